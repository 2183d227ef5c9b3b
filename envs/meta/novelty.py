"""Pay for looking where a trial has not looked yet."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.settings import check_range
from envs.wrappers.base import StatefulWrapper, Transition


@struct.dataclass
class NoveltyState:
    """The trial's state, and which cells it has seen."""

    env_state: Any
    seen: jax.Array  # bool [size, size]


class Novelty(StatefulWrapper):
    """Trials in a dark room that pay ``bonus`` more where the player is for the first time.

    Who only ever found goals in some cells has no reason to look into the others. With the bonus it
    learns to search all of the room until it has found the goal, which a trial's later inner
    episodes then show, since little is new by then. ``info["inner_return"]`` is without the bonus.

    Args:
        env: a trial in a ``Room``.
        size: cells along a side.
        bonus: what a new cell pays, from 0 to 1.

    Raises ``UsageError`` for another bonus.
    """

    def __init__(self, env: Any, size: int, bonus: float):
        super().__init__(env)
        check_range(self.name, "novelty", bonus, 0.0, 1.0)
        self._size, self._bonus = size, bonus

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, NoveltyState]:
        """Begin a trial, which has seen where it begins."""
        obs, env_state = self.env.reset(key, params)
        return obs, NoveltyState(env_state, self._at(obs))

    def step(self, key: jax.Array, state: NoveltyState, action: Any, params: Any) -> Transition:
        """Step, and pay for what is new."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        is_over, here = terminated | truncated, self._at(obs)
        is_new = ~is_over & jnp.any(here & ~state.seen)
        state = NoveltyState(env_state, here | (state.seen & ~is_over))
        return obs, state, reward + self._bonus * is_new, terminated, truncated, info

    def _at(self, obs: Any) -> jax.Array:
        """Return where the player is seen, bool [size, size]."""
        row, column = obs["observation"]
        cells = jnp.arange(self._size)
        return (cells == row)[:, None] & (cells == column)[None]
