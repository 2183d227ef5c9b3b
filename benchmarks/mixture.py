"""Time a mixture of environments against its members, each alone with the whole batch.

    python -m benchmarks.mixture [--envs meta/Mixture meta/ClassicControl] [--num-envs 64 1024]

Writes mixture.json and mixture.md. ``share of members' mean %`` is the mixture's speed over the
mean of what its members make alone, weighted by their parts of the batch (of seconds a step).
Actions are random, which leaves environments alone, or of the published network, as in training.
"""

import copy
import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

from benchmarks.report import LEFT_OUT, Bench, arguments
from benchmarks.rollout import NUM_STEPS, POLICIES, make_actor
from envs.vector import VectorEnv
from ssmrl.errors import UsageError

NUM_ENVS = (64, 1024, 16384)


def main(argv: Sequence[str] | None = None) -> int:
    """Time every mixture at every size."""
    parser = arguments("Time mixtures of environments.")
    parser.add_argument("--envs", nargs="+", default=["meta/Mixture"], metavar="ID")
    parser.add_argument("--num-envs", nargs="+", type=int, help="environments in a batch")
    parser.add_argument("--policies", nargs="+", choices=tuple(POLICIES), default=tuple(POLICIES))
    options = parser.parse_args(argv)
    bench = Bench.start(options)
    num_steps = 16 if options.small else NUM_STEPS
    table = bench.table("mixture", steps=num_steps, network="paper/popgym")
    sizes = options.num_envs or ((8,) if options.small else NUM_ENVS)
    for name, num, policy in product(options.envs, sizes, options.policies):
        try:
            agent = make_actor(name, num, num_steps, options)
            if not agent.env.groups:
                raise UsageError(f"environment {name!r} is no mixture")
            together = seconds(bench, agent, policy, agent.env)
            alone = [seconds(bench, agent, policy, env) for env in agent.env.alone()]
        except LEFT_OUT as error:
            table.skip(f"{name} x {num}, {policy}", error)
            continue
        shares = [(rows.stop - rows.start) / num for rows in agent.env.groups.values()]
        mean = sum(share * own for share, own in zip(shares, alone, strict=True))
        steps = num * num_steps
        table.add(
            {
                "mixture": name,
                "environments": num,
                "policy": policy,
                "million steps/s": steps / together / 1e6,
                "members' mean": steps / mean / 1e6,
                "slowest member": steps / max(alone) / 1e6,
                "share of members' mean %": 100 * mean / together,
            }
        )
    return 0


def seconds(bench: Bench, agent: Any, policy: str, env: VectorEnv) -> float:
    """Return how long a roll-out in ``env`` takes, with the network that the mixture needs."""
    agent = copy.copy(agent)
    agent.env = env
    timing, _ = POLICIES[policy](bench, agent, None)
    return timing.median


if __name__ == "__main__":
    sys.exit(main())
