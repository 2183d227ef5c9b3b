"""Check an agent of somebody's own for what the commands ask of it; nothing is compiled."""

from typing import Any

import jax
import jax.numpy as jnp

from ssmrl.errors import UsageError
from ssmrl.shapes import difference
from ssmrl.train.metrics import Mean

PARTS = ("steps_per_update", "num_updates", "env", "init", "update", "learnt")
PLAYING = ("initial_memory", "act")
FIELDS = ("params", "update")
METRICS = ("loss", "grad_norm", "episode_return")


def check_agent(name: str, agent: Any) -> None:
    """Raise ``UsageError`` where the agent lacks what training, evaluation and plan look at."""
    _check_has(name, agent, (*PARTS, *PLAYING))
    key = jax.random.key(0)
    state = jax.eval_shape(agent.init, key)
    _check_has(f"{name}: its state", state, FIELDS)
    after, metrics = jax.eval_shape(agent.update, state)
    _check_same(f"{name}: state", "update", state, after)
    for metric in METRICS:
        if not isinstance(metrics.get(metric), Mean):
            raise UsageError(f"{name}: update must return {metric!r} as a Mean among its metrics")
    jax.eval_shape(agent.learnt, state)

    env, before = agent.env.with_num(2), agent.initial_memory(2)
    obs = jax.eval_shape(env.reset, key)[0]
    arguments = (state, before, obs, jnp.ones(2, bool), key, True)
    _check_same(f"{name}: memory state", "act", before, jax.eval_shape(agent.act, *arguments)[0])


def _check_has(owner: str, thing: Any, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not hasattr(thing, name)]
    if missing:
        raise UsageError(f"{owner} has no {missing[0]!r}; agents/ppo.py has all that is needed")


def _check_same(what: str, method: str, before: Any, after: Any) -> None:
    differs = difference(before, after)
    if differs:
        path, expected, found = differs
        raise UsageError(
            f"{what}{path} is {found} after {method}, but {expected} before; keep it the same"
        )
