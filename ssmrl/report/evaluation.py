"""Evaluation: whole episodes side by side, each environment until its first end."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class Episodes(struct.PyTreeNode):
    """First episodes of [B] environments; those cut off at a limit are not finished."""

    returns: jax.Array
    lengths: jax.Array
    finished: jax.Array
    inner_returns: jax.Array  # [B, K] of the inner episodes of trials; NaN where none ended


def run_episodes(
    reset: Callable[[jax.Array], tuple[Any, Any]],
    step: Callable[[jax.Array, Any, jax.Array], tuple],
    act: Callable[..., tuple[Any, jax.Array]],
    memory_state: Any,
    key: jax.Array,
    max_steps: int,
    num_inner: int = 0,
    forget: jax.Array | bool = False,
    without_past: Callable[[jax.Array], jax.Array] = lambda obs: obs,
) -> Episodes:
    """Play one episode in every environment, at most ``max_steps`` long: it may go on for ever.

    ``reset(key)`` and ``step(key, state, action)`` drive all environments; ``act(memory_state,
    obs, start, key)`` returns the next memory state and the actions. Where an episode is a trial,
    ``info`` tells of its inner episodes, of which the first ``num_inner`` are kept; with
    ``forget`` each of them is a start to the memory, and to the agent, which sees its first
    observation through ``without_past``.
    """
    key, key_reset = jax.random.split(key)
    obs, env_state = reset(key_reset)
    zeros = jnp.zeros(obs.shape[0], jnp.float32)
    nothing = jnp.full((obs.shape[0], num_inner), jnp.nan)
    episodes = Episodes(zeros, zeros, zeros.astype(bool), nothing)
    carry = (env_state, obs, ~episodes.finished, memory_state, key, episodes, jnp.int32(0))

    def running(carry: tuple) -> jax.Array:
        *_, episodes, steps = carry
        return ~jnp.all(episodes.finished) & (steps < max_steps)

    def play(carry: tuple) -> tuple:
        env_state, obs, start, memory_state, key, episodes, steps = carry
        key, key_act, key_env = jax.random.split(key, 3)
        memory_state, action = act(memory_state, obs, start, key_act)
        obs, env_state, _, terminated, truncated, info = step(key_env, env_state, action)
        ended = terminated | truncated
        start = ended
        if num_inner:
            forgets = forget & info["episode_done"]
            start = ended | forgets
            obs = jnp.where(
                jnp.expand_dims(forgets, tuple(range(1, obs.ndim))), without_past(obs), obs
            )
        episodes = _add(episodes, info, ended)
        return env_state, obs, start, memory_state, key, episodes, steps + 1

    return jax.lax.while_loop(running, play, carry)[-2]


def _add(episodes: Episodes, info: dict[str, jax.Array], ended: jax.Array) -> Episodes:
    """Return the episodes with a step; those that have finished stay as they are."""
    total, length = (
        info[name].astype(jnp.float32) for name in ("episode_return", "episode_length")
    )
    inner = episodes.inner_returns
    if inner.shape[1]:
        counts = info["episode_done"] & ~episodes.finished
        column = jnp.where(counts, info["inner_episode"], inner.shape[1])
        rows = jnp.arange(inner.shape[0])
        inner = inner.at[rows, column].set(info["inner_return"], mode="drop")
    return Episodes(
        returns=jnp.where(episodes.finished, episodes.returns, total),
        lengths=jnp.where(episodes.finished, episodes.lengths, length),
        finished=episodes.finished | ended,
        inner_returns=inner,
    )
