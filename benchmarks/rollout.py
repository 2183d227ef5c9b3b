"""Time acting alone: environment steps per second with the published network and at random.

    python -m benchmarks.rollout [--envs ID ...] [--num-envs 64 1024 16384]
    python -m benchmarks.rollout --envs 'popgym/*' --num-envs 65536 --policies random

Writes rollout.json and rollout.md; with ``--name popgym`` rollout-popgym.json and .md.
"""

import argparse
import fnmatch
import sys
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import jax

import envs
from agents.experiment import load_experiment
from agents.run import make_agent
from benchmarks.ppo import SMALL, SMALL_S5, step_flops
from benchmarks.report import LEFT_OUT, Bench, arguments
from benchmarks.timing import Timing, sample
from envs.vector import VectorEnv
from ssmrl.train.config import parse_overrides

ENVS = ("popgym/RepeatPreviousEasy", "popgym/PositionOnlyCartPoleEasy", "CartPole-v1")
NUM_ENVS = (64, 1024, 16384)
NUM_STEPS = 64  # of each environment in a timed roll-out: long observations fill a GPU


def main(argv: Sequence[str] | None = None) -> int:
    """Time every environment at every number of copies."""
    parser = arguments("Time roll-outs without learning.")
    parser.add_argument(
        "--envs", nargs="+", default=ENVS, metavar="ID", help="environments; * stands for anything"
    )
    parser.add_argument("--policies", nargs="+", choices=tuple(POLICIES), default=tuple(POLICIES))
    parser.add_argument("--num-envs", nargs="+", type=int, help="how many copies of them")
    options = parser.parse_args(argv)
    bench = Bench.start(options)
    num_steps = 16 if options.small else NUM_STEPS
    table = bench.table("rollout", steps=num_steps, network="paper/popgym")
    sizes = options.num_envs or ((8,) if options.small else NUM_ENVS)
    for env, num_envs, policy in product(known(options.envs), sizes, options.policies):
        try:
            agent = make_actor(env, num_envs, num_steps, options)
            trace = bench.trace("rollout", env, num_envs, policy)
            timing, floor = POLICIES[policy](bench, agent, trace)
        except LEFT_OUT as error:
            table.skip(f"{env} x {num_envs}, {policy}", error)
            continue
        steps = num_envs * num_steps
        table.add(
            {
                "environment": env,
                "environments": num_envs,
                "policy": policy,
                "million steps/s": steps / timing.median / 1e6,
                "low million steps/s": steps / timing.high / 1e6,
                "high million steps/s": steps / timing.low / 1e6,
                "us per step of all": timing.median / num_steps * 1e6,
                "floor us": floor / num_steps * 1e6,
                "share of floor %": 100 * floor / timing.median,
            }
        )
    return 0


def known(patterns: Sequence[str]) -> list[str]:
    """Return the names of environments that patterns stand for, and what is no pattern."""
    names = [name for p in patterns for name in (fnmatch.filter(envs.names(), p) or [p])]
    return list(dict.fromkeys(names))


def make_actor(env: str, num_envs: int, num_steps: int, options: argparse.Namespace) -> Any:
    """Return the published agent in an environment of this name."""
    sizes = [f"--ppo.num-envs={num_envs}", f"--ppo.num-steps={num_steps}"]
    small = [*SMALL, *SMALL_S5] if options.small else []
    steps = f"--total-steps={num_envs * num_steps}"
    overrides = [f"--env.name={env}", *small, *sizes, steps, "--ppo.num-minibatches=1"]
    return make_agent(load_experiment("paper/popgym", parse_overrides(overrides)))


def time_s5(bench: Bench, agent: Any, trace: Any) -> tuple[Timing, float]:
    """Time the agent's roll-out; its floor is that of the network's matrix products."""
    state = jax.jit(agent.init)(jax.random.key(0))
    timing = _time(jax.jit(agent.rollout), state, trace)
    flops = step_flops(state.params) * agent.steps_per_update
    return timing, flops / bench.ceilings.matmul[agent.config.compute_dtype]


def time_random(bench: Bench, agent: Any, trace: Any) -> tuple[Timing, float]:
    """Time random actions; the floor is that of writing down what was seen."""
    env, config = agent.env, agent.config
    play = jax.jit(random_play(env, config.num_steps))
    _, state = jax.jit(env.reset)(jax.random.key(0))
    _, seen = jax.eval_shape(play, state, jax.random.key(1))
    seen_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(seen))
    return _time(play, state, trace), seen_bytes / bench.ceilings.copy


def random_play(env: VectorEnv, num_steps: int) -> Callable[[Any, jax.Array], tuple[Any, Any]]:
    """Return ``play(state, key) -> state, (obs, reward, terminated, truncated)`` [T, B, ...]."""

    def step(state: Any, key: jax.Array) -> tuple[Any, Any]:
        key_act, key_env = jax.random.split(key)
        action = env.sample_actions(key_act)
        obs, state, reward, terminated, truncated, _ = env.step(key_env, state, action)
        return state, (obs, reward, terminated, truncated)

    def play(state: Any, key: jax.Array) -> tuple[Any, Any]:
        return jax.lax.scan(step, state, jax.random.split(key, num_steps))

    return play


POLICIES = {"random": time_random, "S5": time_s5}


def _time(play: Callable[..., tuple[Any, Any]], state: Any, trace: Any) -> Timing:
    """Time roll-outs that follow one another; each takes milliseconds, so calls do not show."""
    key = jax.random.key(2)

    def run(units: int) -> Any:
        nonlocal state, key
        for _ in range(units):
            state, seen = play(state, key)
        return state, seen

    return sample(run, trace=trace)


if __name__ == "__main__":
    sys.exit(main())
