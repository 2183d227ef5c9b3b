"""Wrappers that disturb the observation: noise, a slow swing, entries that carry nothing.

Each draws from a key of its own (``own_key``), so that the environment lives through the same
episodes with the wrapper as without. The reward stays as it is.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.spaces import Box, Tuple, encoded_space
from envs.wrappers.base import StatefulWrapper, Transition, Wrapper, own_key
from envs.wrappers.checks import box_observation, number, vector_observation, whole_number


class ObservationNoise(Wrapper):
    """Adds independent Gaussian noise to every entry of every observation, unclipped.

    The first observation of an episode has its noise too, and so has the final one; where no
    episode ends the final observation is the returned one, noise included. The observation must
    be a Box, of any shape; it becomes float32, unbounded.

    Args:
        sigma: standard deviation, at least 0, in the units of the observation; where entries
            differ in scale put ``NormaliseObservation`` below.

    Raises ``UsageError`` for other observations and numbers.
    """

    def __init__(self, env: Any, sigma: float):
        super().__init__(env)
        box_observation(self)
        self._sigma = number(self, "sigma", sigma)

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """Return the noisy first observation and the state."""
        obs, state = self.env.reset(key, params)
        return self._blur(own_key(self, key), obs), state

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step; at an end the two observations have noise of their own."""
        step = self.env.step(key, state, action, params)
        obs, state, reward, terminated, truncated, info = step
        key_first, key_final = jax.random.split(own_key(self, key))
        final = self._blur(key_final, info["final_observation"])
        obs = jnp.where(terminated | truncated, self._blur(key_first, obs), final)
        return obs, state, reward, terminated, truncated, {**info, "final_observation": final}

    def observation_space(self, params: Any) -> Box:
        """Return the unbounded Box."""
        shape = self.env.observation_space(params).shape
        return Box(-jnp.inf, jnp.inf, shape, jnp.float32)

    def _blur(self, key: jax.Array, obs: Any) -> jax.Array:
        obs = jnp.asarray(obs, jnp.float32)
        return obs + self._sigma * jax.random.normal(key, obs.shape)


@struct.dataclass
class SwingState:
    """The wrapped environment's state, and where in its swing the observation is."""

    env_state: Any
    phase: jax.Array  # float32 [], or the observation's shape: in turns, from 0 to 1
    time: jax.Array  # int32 []: steps since the episode's start


class SinusoidalPerturbation(StatefulWrapper):
    """Adds amplitude * sin(2π (t / period + phase)) to the observation after t steps.

    The phase is drawn uniformly for each episode, so that an agent must find it out to see
    through the swing. The observation must be a Box, of any shape; it becomes float32, and the
    bounds widen by the amplitude.

    Args:
        amplitude: at least 0, in the units of the observation.
        period: of the swing in steps, above 0; below 2 it looks like a slower one.
        shared: whether all entries swing together; otherwise each has a phase of its own.

    Raises ``UsageError`` for other observations and numbers.
    """

    def __init__(self, env: Any, amplitude: float, period: float, shared: bool = True):
        super().__init__(env)
        shape = tuple(box_observation(self).shape)
        self._shape = () if shared else shape
        self._amplitude = number(self, "amplitude", amplitude)
        self._period = number(self, "period", period, zero=False)

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, SwingState]:
        """Return the first observation at time 0 of a swing, and the state."""
        obs, env_state = self.env.reset(key, params)
        state = SwingState(env_state, self._draw(key), jnp.int32(0))
        return self._swing(obs, state), state

    def step(self, key: jax.Array, state: SwingState, action: Any, params: Any) -> Transition:
        """Step; the final observation still swings as the episode that it closes."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        going_on = SwingState(env_state, state.phase, state.time + 1)
        anew = SwingState(env_state, self._draw(key), jnp.int32(0))
        final = self._swing(info["final_observation"], going_on)
        ended = terminated | truncated
        obs = jnp.where(ended, self._swing(obs, anew), final)
        phase = jnp.where(ended, anew.phase, going_on.phase)
        time = jnp.where(ended, anew.time, going_on.time)
        info = {**info, "final_observation": final}
        return obs, SwingState(env_state, phase, time), reward, terminated, truncated, info

    def observation_space(self, params: Any) -> Box:
        """Return the Box, widened by the amplitude on both sides."""
        space = self.env.observation_space(params)
        low, high = (jnp.asarray(bound, jnp.float32) for bound in (space.low, space.high))
        return Box(low - self._amplitude, high + self._amplitude, space.shape, jnp.float32)

    def _draw(self, key: jax.Array) -> jax.Array:
        return jax.random.uniform(own_key(self, key), self._shape)

    def _swing(self, obs: Any, state: SwingState) -> jax.Array:
        # The remainder is exact, where time / period would lose its fraction as time grows.
        time = jnp.mod(state.time.astype(jnp.float32), self._period)
        wave = jnp.sin(2 * jnp.pi * (time / self._period + state.phase))
        return jnp.asarray(obs, jnp.float32) + self._amplitude * wave


@struct.dataclass
class DistractorsState:
    """The wrapped environment's state and what stands in the entries that carry nothing."""

    env_state: Any
    values: jax.Array  # float32 [num]


class Distractors(StatefulWrapper):
    """Appends ``num`` entries to a vector that tell nothing of the environment.

    Each is a standard normal number at an episode's start and by itself at any time, and
    x_t = correlation * x_{t-1} + sqrt(1 - correlation²) * noise_t from step to step.

    Args:
        num: how many, at least 0.
        correlation: from 0 (new numbers in every step) over, say, 0.99 (slowly wandering ones) to
            1 (the same ones throughout an episode).

    Raises ``UsageError`` for other numbers, and where the observation is not a vector.
    """

    def __init__(self, env: Any, num: int, correlation: float = 0.0):
        super().__init__(env)
        vector_observation(self)
        self._num = whole_number(self, "num", num, least=0)
        self._keep = number(self, "correlation", correlation, most=1)
        self._renew = math.sqrt(1 - self._keep**2)

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, DistractorsState]:
        """Return the first observation [D+num] and the state."""
        obs, env_state = self.env.reset(key, params)
        values = jax.random.normal(own_key(self, key), (self._num,))
        return _append(obs, values), DistractorsState(env_state, values)

    def step(self, key: jax.Array, state: DistractorsState, action: Any, params: Any) -> Transition:
        """Step; the observation and the final observation are [D+num]."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        first, noise = jax.random.normal(own_key(self, key), (2, self._num))
        moved = self._keep * state.values + self._renew * noise
        values = jnp.where(terminated | truncated, first, moved)
        info = {**info, "final_observation": _append(info["final_observation"], moved)}
        state = DistractorsState(env_state, values)
        return _append(obs, values), state, reward, terminated, truncated, info

    def observation_space(self, params: Any) -> Box:
        """Return the Box [D+num], unbounded where it carries nothing."""
        distractors = Box(-jnp.inf, jnp.inf, (self._num,))
        return encoded_space(Tuple([self.env.observation_space(params), distractors]))


def _append(obs: jax.Array, values: jax.Array) -> jax.Array:
    return jnp.concatenate([obs.astype(jnp.float32), values])
