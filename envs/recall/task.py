"""What the recall tasks share: the episode's length is known, and its last answer ends it."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment

from envs.spaces import Discrete


class RecallTask(environment.Environment):
    """Ends by itself after ``num_steps(params)`` steps, as many as the task needs.

    The time limit grows with the task, so nothing is ever truncated. Subclasses have a state with
    ``time``, the steps taken: int32 [].
    """

    num_answers: int  # the actions, set by the constructor

    def num_steps(self, params: Any) -> jax.Array | int:
        """Return the length of every episode, in steps."""
        raise NotImplementedError

    def is_terminated(self, state: Any, params: Any) -> jax.Array:
        """Return whether the last answer is given."""
        return state.time >= self.num_steps(params)

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        """Return false: time never runs out."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """The possible answers."""
        return self.num_answers

    def action_space(self, params: Any = None) -> Discrete:
        """Return the answer to give."""
        return Discrete(self.num_answers)


def score(is_right: jax.Array, num_asked: jax.Array | int, is_asked: jax.Array) -> jax.Array:
    """Return ±1/``num_asked`` for an answer, and 0 where nothing is asked: float32 []."""
    reward = jnp.where(is_right, 1.0, -1.0) / num_asked
    return jnp.where(is_asked, reward, 0.0)
