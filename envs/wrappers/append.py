"""Wrappers that append to a flat observation what the last step told."""

from abc import ABC, abstractmethod
from typing import Any

import jax
import jax.numpy as jnp

from envs.spaces import Box, Tuple, encode, encoded_size, encoded_space
from envs.wrappers.base import Transition, Wrapper
from ssmrl.errors import UsageError


class Append(Wrapper, ABC):
    """Appends to a flat observation what the last step told; needs no state of its own.

    Raises ``UsageError`` while tracing where the observation is not a vector.
    """

    @abstractmethod
    def appended_space(self, params: Any) -> Box:
        """Return the one-dimensional Box of what is appended."""

    @abstractmethod
    def at_start(self, params: Any) -> jax.Array:
        """Return what the first observation of an episode carries: float32 [K]."""

    @abstractmethod
    def after_step(self, action: Any, reward: jax.Array, params: Any) -> jax.Array:
        """Return what an observation carries after a step of the same episode: float32 [K]."""

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """Return the first observation [D+K] and the state."""
        obs, state = self.env.reset(key, params)
        return self._append(obs, self.at_start(params)), state

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step; the observation and the final observation are [D+K]."""
        step = self.env.step(key, state, action, params)
        obs, state, reward, terminated, truncated, info = step
        same_episode = self.after_step(action, reward, params)
        extra = jnp.where(terminated | truncated, self.at_start(params), same_episode)
        final = self._append(info["final_observation"], same_episode)
        info = {**info, "final_observation": final}
        return self._append(obs, extra), state, reward, terminated, truncated, info

    def observation_space(self, params: Any) -> Box:
        """Return the Box [D+K] of the longer observations."""
        space = self.env.observation_space(params)
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise self._not_flat(repr(space))
        return encoded_space(Tuple([space, self.appended_space(params)]))

    def _append(self, obs: Any, extra: jax.Array) -> jax.Array:
        if getattr(obs, "ndim", None) != 1:
            raise self._not_flat(str(jax.tree.map(jnp.shape, obs)))
        return jnp.concatenate([obs.astype(jnp.float32), extra])

    def _not_flat(self, found: str) -> UsageError:
        return UsageError(
            f"environment {self.name!r}: {type(self).__name__} appends to a vector, but the "
            f"observation is {found}; put FlattenObservation below it"
        )


class PreviousAction(Append):
    """Appends the last action: one-hot, one-hots, or a flat vector; zeros at a start."""

    def appended_space(self, params: Any) -> Box:
        """Return the Box of encoded actions, widened to hold the zeros of a start."""
        flat = encoded_space(self.env.action_space(params))
        return Box(jnp.minimum(flat.low, 0.0), jnp.maximum(flat.high, 0.0), flat.shape)

    def at_start(self, params: Any) -> jax.Array:
        """Return zeros [K]."""
        return jnp.zeros(encoded_size(self.env.action_space(params)))

    def after_step(self, action: Any, reward: jax.Array, params: Any) -> jax.Array:
        """Return the encoded action [K]."""
        return encode(self.env.action_space(params), action)


class PreviousReward(Append):
    """Appends the last reward as one float; zero at a start."""

    def appended_space(self, params: Any) -> Box:
        """Return the unbounded Box [1]."""
        return Box(-jnp.inf, jnp.inf, (1,))

    def at_start(self, params: Any) -> jax.Array:
        """Return a zero [1]."""
        return jnp.zeros(1)

    def after_step(self, action: Any, reward: jax.Array, params: Any) -> jax.Array:
        """Return the reward [1]."""
        return jnp.asarray(reward, jnp.float32).reshape(1)


class StartFlag(Append):
    """Appends one float: 1 in the first observation of an episode, else 0."""

    def appended_space(self, params: Any) -> Box:
        """Return the unit Box [1]."""
        return Box(0.0, 1.0, (1,))

    def at_start(self, params: Any) -> jax.Array:
        """Return a one [1]."""
        return jnp.ones(1)

    def after_step(self, action: Any, reward: jax.Array, params: Any) -> jax.Array:
        """Return a zero [1]."""
        return jnp.zeros(1)
