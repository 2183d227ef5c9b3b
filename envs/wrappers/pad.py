"""Wrappers that give environments of different sizes one size, so that one network serves all."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.spaces import Box, Discrete, Space, Tuple, encoded_space
from envs.wrappers.checks import action_space, usage_error, vector_observation, whole_number
from envs.wrappers.transform import MapAction, MapObservation


class PadObservation(MapObservation):
    """Fills a vector [D] up with zeros to float32 [size].

    Args:
        size: at least D.

    Raises ``UsageError`` for a smaller size, and where the observation is not a vector.
    """

    def __init__(self, env: Any, size: int):
        super().__init__(env)
        length = vector_observation(self)
        self._size = whole_number(self, "size", size, least=length)
        self._missing = self._size - length

    def observe(self, obs: Any, params: Any) -> jax.Array:
        """Return the observation with its zeros: [size]."""
        return jnp.pad(jnp.asarray(obs, jnp.float32), (0, self._missing))

    def observation_space(self, params: Any) -> Box:
        """Return the Box [size]; what is filled up has the bounds 0 and 0."""
        filled_up = Box(0.0, 0.0, (self._missing,))
        return encoded_space(Tuple([self.env.observation_space(params), filled_up]))


class PadActions(MapAction):
    """Offers ``size`` actions, or vectors [size] of actions, whatever the environment takes.

    Discrete(n): action a means a modulo n, so no choice is void, and the first size mod n actions
    have one more name than the others. Box [K]: the first K entries count, the others are ignored
    and lie between -1 and 1. A previous action that is appended above has the new size.

    Args:
        size: at least n or K.

    Raises ``UsageError`` for a smaller size, and for other action spaces.
    """

    def __init__(self, env: Any, size: int):
        super().__init__(env)
        space = action_space(self)
        is_vector = isinstance(space, Box) and len(space.shape) == 1
        if not is_vector and not isinstance(space, Discrete):
            raise usage_error(self, f"takes Discrete actions and vectors, not {space!r}")
        least = space.shape[0] if isinstance(space, Box) else space.n
        self._size = whole_number(self, "size", size, least=least)

    @property
    def num_actions(self) -> int:
        """The number of actions, or of their entries."""
        return self._size

    def act(self, action: Any, params: Any) -> jax.Array:
        """Return the action of the environment."""
        space = self.env.action_space(params)
        if isinstance(space, Discrete):
            return jnp.asarray(action) % space.n
        return jnp.asarray(action)[: space.shape[0]]

    def action_space(self, params: Any) -> Space:
        """Return Discrete(size) or the Box [size]."""
        space = self.env.action_space(params)
        if isinstance(space, Discrete):
            return Discrete(self._size, dtype=space.dtype)
        surplus = Box(-1.0, 1.0, (self._size - space.shape[0],))
        padded = encoded_space(Tuple([space, surplus]))
        return Box(padded.low, padded.high, padded.shape, space.dtype)
