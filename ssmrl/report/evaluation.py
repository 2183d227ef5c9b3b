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


def run_episodes(
    reset: Callable[[jax.Array], tuple[Any, Any]],
    step: Callable[[jax.Array, Any, jax.Array], tuple],
    act: Callable[..., tuple[Any, jax.Array]],
    memory_state: Any,
    key: jax.Array,
    max_steps: int,
) -> Episodes:
    """Play one episode in every environment, at most ``max_steps`` long: it may go on for ever.

    ``reset(key)`` and ``step(key, state, action)`` drive all environments; ``act(memory_state,
    obs, start, key)`` returns the next memory state and the actions.
    """
    key, key_reset = jax.random.split(key)
    obs, env_state = reset(key_reset)
    zeros = jnp.zeros(obs.shape[0], jnp.float32)
    episodes = Episodes(zeros, zeros, zeros.astype(bool))
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
        so_far = [info[name].astype(jnp.float32) for name in ("episode_return", "episode_length")]
        episodes = Episodes(
            returns=jnp.where(episodes.finished, episodes.returns, so_far[0]),
            lengths=jnp.where(episodes.finished, episodes.lengths, so_far[1]),
            finished=episodes.finished | ended,
        )
        return env_state, obs, ended, memory_state, key, episodes, steps + 1

    return jax.lax.while_loop(running, play, carry)[-2]
