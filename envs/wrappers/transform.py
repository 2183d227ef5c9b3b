"""Wrappers that map each observation, action or reward to another, whatever came before."""

import math
from abc import ABC, abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.spaces import (
    HUGE,
    Box,
    Discrete,
    MultiDiscrete,
    Space,
    dtype_of,
    encode,
    encoded_space,
    two_sided,
)
from envs.wrappers.base import Transition, Wrapper
from envs.wrappers.checks import action_space, box_observation, number, numbers, usage_error


class MapObservation(Wrapper, ABC):
    """Maps every observation, the final ones too; subclasses give the map and its space."""

    @abstractmethod
    def observe(self, obs: Any, params: Any) -> Any:
        """Return what the agent sees in place of ``obs``."""

    @abstractmethod
    def observation_space(self, params: Any) -> Space:
        """Return the space of what ``observe`` returns."""

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Return the mapped first observation and the state."""
        obs, state = self.env.reset(key, params)
        return self.observe(obs, params), state

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step; the observation and the final observation are mapped."""
        obs, state, *signals, info = self.env.step(key, state, action, params)
        final = self.observe(info["final_observation"], params)
        return self.observe(obs, params), state, *signals, {**info, "final_observation": final}


class AsCategories(MapObservation):
    """Reads the integers of an observation as categories, so that agents see them one-hot.

    The observation becomes MultiDiscrete, int32 [D], in row-major order: each entry as many
    categories as its Box has values, from 0.

    Raises ``UsageError`` where the observation is not a Box of integers from 0 to finite bounds.
    """

    def __init__(self, env: Any, params: Any):
        super().__init__(env)
        space = env.observation_space(params)  # here, since bounds are no constants while tracing
        is_whole = isinstance(space, Box) and jnp.issubdtype(space.dtype, jnp.integer)
        if not is_whole or np.any(np.asarray(space.low)) or np.max(space.high) > HUGE:
            raise usage_error(self, f"takes integers from 0 to finite bounds, not {space!r}")
        high = np.broadcast_to(np.asarray(space.high, np.int64), space.shape)
        self._space = MultiDiscrete(high.ravel() + 1)

    def observe(self, obs: Any, params: Any) -> jax.Array:
        """Return the categories."""
        return jnp.asarray(obs, jnp.int32).reshape(-1)

    def observation_space(self, params: Any) -> MultiDiscrete:
        """Return the space of the categories."""
        return self._space


class MapAction(Wrapper, ABC):
    """Maps every action on its way to the environment; subclasses give the map."""

    @abstractmethod
    def act(self, action: Any, params: Any) -> jax.Array:
        """Return the action of ``env`` for one of the agent's."""

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step with the mapped action."""
        return self.env.step(key, state, self.act(action, params), params)


class FlattenObservation(MapObservation):
    """Makes one float32 vector of any observation; ``envs.spaces.encode`` says how."""

    def observe(self, obs: Any, params: Any) -> jax.Array:
        """Return the flat observation [D]."""
        return encode(self.env.observation_space(params), obs)

    def observation_space(self, params: Any) -> Box:
        """Return the Box [D] of the flat observations."""
        return encoded_space(self.env.observation_space(params))


class NormaliseObservation(MapObservation):
    """Returns (obs - mean) / scale in float32, with numbers that are known beforehand.

    Running statistics are the agent's business. The observation must be a Box, of any shape.

    Args:
        mean: one number, or numbers that broadcast to the shape of the observation.
        scale: the same, each above 0.

    Raises ``UsageError`` for other observations and numbers.
    """

    def __init__(self, env: Any, mean: Any, scale: Any):
        super().__init__(env)
        shape = tuple(box_observation(self).shape)
        self._mean = numbers(self, "mean", mean, shape)
        positive = numbers(self, "scale", scale, shape)
        if not (positive > 0).all():
            raise usage_error(self, f"needs scale > 0, not {scale!r}")
        # Compilers turn some divisions by constants into products, which would round otherwise
        # than the bounds of the space.
        self._factor = np.float32(1) / positive

    def observe(self, obs: Any, params: Any) -> jax.Array:
        """Return the normalised observation."""
        return (jnp.asarray(obs, jnp.float32) - self._mean) * self._factor

    def observation_space(self, params: Any) -> Box:
        """Return the Box with its bounds normalised."""
        space = self.env.observation_space(params)
        shape = tuple(space.shape)
        low, high = (jnp.broadcast_to(jnp.asarray(b), shape) for b in (space.low, space.high))
        return Box(self.observe(low, params), self.observe(high, params), shape, jnp.float32)


class ClipAction(MapAction):
    """Clips the actions of a Box to its bounds before the environment sees them.

    Those of other spaces pass.
    """

    def act(self, action: Any, params: Any) -> jax.Array:
        """Return the clipped action."""
        space = self.env.action_space(params)
        if not isinstance(space, Box):
            return action
        dtype = dtype_of(space)
        clipped = jnp.clip(jnp.asarray(action, dtype), space.low, space.high)
        return clipped.astype(dtype)  # bounds may be floats


class RescaleAction(MapAction):
    """Takes actions from -1 to 1 and stretches them to the bounds; what lies beyond is clipped.

    So it goes with each entry of a Box of floats that has both bounds. An entry that lacks one
    keeps its unit and is clipped to the other; actions of other spaces pass. The space is asked
    for in every step, since parameters may move bounds.
    """

    def act(self, action: Any, params: Any) -> jax.Array:
        """Return the stretched action."""
        space = self.env.action_space(params)
        return stretch(space, action) if is_continuous(space) else action

    def action_space(self, params: Any) -> Space:
        """Return the Box from -1 to 1, or with the environment's bounds where it lacks one."""
        space = self.env.action_space(params)
        if not is_continuous(space):
            return space
        both = two_sided(space)[2]
        low, high = jnp.where(both, -1.0, space.low), jnp.where(both, 1.0, space.high)
        return Box(low, high, space.shape, space.dtype)


class BinnedAction(MapAction):
    """Lets a number from -1 to 1 choose among n actions, so that these fit among continuous ones.

    The action is a Box [1]; -1 to 1 are n equal bins, of which the i-th means action i. What lies
    beyond is clipped, and a number between two bins belongs to the upper one.

    Raises ``UsageError`` where the actions are not Discrete.
    """

    def __init__(self, env: Any):
        super().__init__(env)
        if not isinstance(space := action_space(self), Discrete):
            raise usage_error(self, f"takes Discrete actions, not {space!r}")

    @property
    def num_actions(self) -> int:
        """The one number."""
        return 1

    def act(self, action: Any, params: Any) -> jax.Array:
        """Return the action that is meant: an integer []."""
        space = self.env.action_space(params)
        share = (jnp.asarray(action, jnp.float32)[0] + 1) / 2
        chosen = jnp.floor(jnp.clip(share, 0, 1) * space.n).astype(dtype_of(space))
        return jnp.clip(chosen, 0, space.n - 1)

    def action_space(self, params: Any) -> Box:
        """Return the Box [1] from -1 to 1."""
        return Box(-1.0, 1.0, (1,), jnp.float32)


class ScaleReward(Wrapper):
    """Pays scale * (reward + shift) in every step, in float32.

    Args:
        scale: above 0.
        shift: any finite number; it also changes what an episode's length is worth.

    Raises ``UsageError`` for other numbers.
    """

    def __init__(self, env: Any, scale: float, shift: float = 0.0):
        super().__init__(env)
        self._scale = number(self, "scale", scale, zero=False)
        self._shift = number(self, "shift", shift, least=-math.inf)

    def __getattr__(self, name: str) -> Any:
        if name == "optimal_return":  # which is told in the environment's own rewards
            raise AttributeError(name)
        return super().__getattr__(name)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step, and change the reward."""
        obs, state, reward, *flags, info = self.env.step(key, state, action, params)
        paid = self._scale * (jnp.asarray(reward, jnp.float32) + self._shift)
        return obs, state, paid, *flags, info


def stretch(space: Box, action: Any) -> jax.Array:
    """Return an action from -1 to 1 stretched to the bounds of ``space``, and clipped to them."""
    low, high, _ = two_sided(space)
    middle, half = high / 2 + low / 2, high / 2 - low / 2
    stretched = middle + half * jnp.asarray(action, jnp.float32)
    return jnp.clip(stretched, space.low, space.high).astype(dtype_of(space))


def is_continuous(space: Space) -> bool:
    """Return whether ``space`` is a Box of floats."""
    return isinstance(space, Box) and bool(jnp.issubdtype(space.dtype, jnp.floating))
