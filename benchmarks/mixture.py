"""Time a mixture of environments against its members, each alone with the whole batch.

    python -m benchmarks.mixture [--envs meta/Mixture meta/ClassicControl] [--num-envs 64 1024]

Writes mixture.json and mixture.md. ``share of members' mean %`` is the mixture's speed over the
mean of what its members make alone, weighted by their parts of the batch (of seconds a step).
"""

import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import jax

import envs
from benchmarks.report import LEFT_OUT, Bench, arguments
from benchmarks.rollout import random_play
from benchmarks.timing import Timing, sample
from envs.meta.mixture import members_of
from envs.vector import VectorEnv, vectorise

NUM_ENVS = (64, 1024, 16384)
NUM_STEPS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Time every mixture at every size."""
    parser = arguments("Time mixtures of environments.")
    parser.add_argument("--envs", nargs="+", default=["meta/Mixture"], metavar="ID")
    parser.add_argument("--num-envs", nargs="+", type=int, help="environments in a batch")
    options = parser.parse_args(argv)
    bench = Bench.start(options)
    num_steps = 16 if options.small else NUM_STEPS
    table = bench.table("mixture", steps=num_steps, policy="random")
    sizes = options.num_envs or ((8,) if options.small else NUM_ENVS)
    for name, num in product(options.envs, sizes):
        try:
            env, params = envs.make(name)
            together = _time(vectorise(env, params, envs.wrap).with_num(num), num_steps)
            alone = [
                _time(VectorEnv(envs.wrap(member), own, num), num_steps)
                for _, member, own in members_of(env, params)
            ]
        except LEFT_OUT as error:
            table.skip(f"{name} x {num}", error)
            continue
        parts = [share / num for share in env.shares(num)]
        mean = sum(part * timing.median for part, timing in zip(parts, alone, strict=True))
        steps = num * num_steps
        table.add(
            {
                "mixture": name,
                "environments": num,
                "million steps/s": steps / together.median / 1e6,
                "members' mean": steps / mean / 1e6,
                "slowest member": steps / max(t.median for t in alone) / 1e6,
                "share of members' mean %": 100 * mean / together.median,
            }
        )
    return 0


def _time(env: VectorEnv, num_steps: int) -> Timing:
    play: Any = jax.jit(random_play(env, num_steps))
    _, state = jax.jit(env.reset)(jax.random.key(0))
    key = jax.random.key(2)

    def run(units: int) -> Any:
        nonlocal state
        for _ in range(units):
            state, seen = play(state, key)
        return state, seen

    return sample(run)


if __name__ == "__main__":
    sys.exit(main())
