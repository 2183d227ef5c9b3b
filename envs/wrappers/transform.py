"""Wrappers that flatten observations, count episodes and clip actions."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.spaces import Box, encode, encoded_space
from envs.wrappers.base import Transition, Wrapper


class FlattenObservation(Wrapper):
    """Makes one float32 vector of any observation; ``envs.spaces.encode`` says how."""

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """Return the flat first observation [D] and the state."""
        obs, state = self.env.reset(key, params)
        return encode(self.env.observation_space(params), obs), state

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step; the observation and the final observation are flat [D]."""
        obs, state, *signals, info = self.env.step(key, state, action, params)
        space = self.env.observation_space(params)
        final = encode(space, info["final_observation"])
        return encode(space, obs), state, *signals, {**info, "final_observation": final}

    def observation_space(self, params: Any) -> Box:
        """Return the Box [D] of the flat observations."""
        return encoded_space(self.env.observation_space(params))


@struct.dataclass
class StatisticsState:
    """The wrapped environment's state and the totals of the running episode."""

    env_state: Any
    episode_return: jax.Array  # float32 []
    episode_length: jax.Array  # int32 []


class EpisodeStatistics(Wrapper):
    """Sums the reward as ``env`` gives it and counts steps.

    ``info["episode_return"]`` (float32) and ``info["episode_length"]`` (int32) are the totals of
    the running episode with this step, so they are final where ``terminated | truncated``.
    """

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, StatisticsState]:
        """Return the first observation, and the state with empty totals."""
        obs, env_state = self.env.reset(key, params)
        return obs, StatisticsState(env_state, jnp.float32(0), jnp.int32(0))

    def step(self, key: jax.Array, state: StatisticsState, action: Any, params: Any) -> Transition:
        """Step; the totals go into ``info`` and start anew with an episode."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        total = state.episode_return + jnp.asarray(reward, jnp.float32)
        length = state.episode_length + 1
        info = {**info, "episode_return": total, "episode_length": length}
        ended = terminated | truncated
        state = StatisticsState(env_state, jnp.where(ended, 0, total), jnp.where(ended, 0, length))
        return obs, state, reward, terminated, truncated, info


class ClipAction(Wrapper):
    """Clips the actions of a Box space to its bounds before the environment sees them."""

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Step with the clipped action."""
        space = self.env.action_space(params)
        clipped = jnp.clip(jnp.asarray(action, space.dtype), space.low, space.high)
        return self.env.step(key, state, clipped, params)
