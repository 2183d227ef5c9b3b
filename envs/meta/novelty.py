"""Pay for looking where a trial has not looked yet."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.settings import check_range
from envs.wrappers.base import StatefulWrapper, Transition


@struct.dataclass
class NoveltyState:
    """The trial's state, and what was searched for each of the rewards."""

    env_state: Any
    seen: jax.Array  # bool [rewards, size, size], where one was while it was sought
    found: jax.Array  # bool [rewards], whether it was earned in this trial


class Novelty(StatefulWrapper):
    """Trials in a dark room that pay ``bonus`` more for a new cell, until what is sought is found.

    Who only ever found goals in some cells has no reason to look into the others. With the bonus it
    learns to search all of the room. Once a trial knows of a reward, to look for it pays no more;
    of a key and its door, first the one is sought and then, from the key on, the other.
    ``info["inner_return"]`` is without the bonus.

    Args:
        env: a trial in a ``Room``.
        size: cells along a side.
        bonus: what a new cell pays, from 0 to 1.
        rewards: how many there are in an inner episode, one after the other.

    Raises ``UsageError`` for another bonus.
    """

    def __init__(self, env: Any, size: int, bonus: float, rewards: int = 1):
        super().__init__(env)
        check_range(self.name, "novelty", bonus, 0.0, 1.0)
        self._size, self._bonus, self._rewards = size, bonus, rewards

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, NoveltyState]:
        """Begin a trial, which has seen where it begins."""
        obs, env_state = self.env.reset(key, params)
        found = jnp.zeros(self._rewards, bool)
        return obs, NoveltyState(env_state, self._at(obs, self._sought(env_state)), found)

    def step(self, key: jax.Array, state: NoveltyState, action: Any, params: Any) -> Transition:
        """Step, and pay for what is new."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        is_over, here = terminated | truncated, self._at(obs, self._sought(env_state))
        found = state.found | (self._sought(state.env_state) & (reward > 0))
        is_new = ~is_over & jnp.any(here & ~state.seen & ~found[:, None, None])
        state = NoveltyState(env_state, here | (state.seen & ~is_over), found & ~is_over)
        return obs, state, reward + self._bonus * is_new, terminated, truncated, info

    def _sought(self, env_state: Any) -> jax.Array:
        """Return which reward is the next, bool [rewards]; beyond the last it is the last."""
        earned = jnp.minimum(env_state.inner_return.astype(jnp.int32), self._rewards - 1)
        return jnp.arange(self._rewards) == earned

    def _at(self, obs: Any, sought: jax.Array) -> jax.Array:
        """Return where the player is seen, and for what, bool [rewards, size, size]."""
        row, column = obs["observation"]
        cells = jnp.arange(self._size)
        return sought[:, None, None] & (cells == row)[None, :, None] & (cells == column)[None, None]
