"""Hand-written environments with known sequences, which owe nothing to gymnax's base class."""

from collections import namedtuple

import jax
import jax.numpy as jnp
from flax import struct

from envs.spaces import Box, Discrete

LegacyStep = namedtuple("LegacyStep", "obs state reward done info")


@struct.dataclass
class TinyParams:
    max_steps_in_episode: int = 3
    reward_scale: float = 1.0


@struct.dataclass
class TinyState:
    time: jax.Array


class Tiny:
    """Observes [t], pays t after step t, and ends after three steps (by itself, or by time)."""

    default_params = TinyParams()

    def __init__(self, actions=None, truncates=False, observe=None, space=None):
        self.actions = Discrete(3) if actions is None else actions
        self.truncates = truncates
        self.observe = observe or (lambda t: jnp.float32(t)[None])
        self.space = space or Box(0.0, 10.0, (1,), jnp.float32)

    def action_space(self, params):
        return self.actions

    def observation_space(self, params):
        return self.space

    def reset(self, key, params):
        return self.observe(jnp.int32(0)), TinyState(jnp.int32(0))

    def step(self, key, state, action, params):
        time = state.time + 1
        ended = time >= params.max_steps_in_episode
        next_time = jnp.where(ended, 0, time)
        terminated, truncated = ended & (not self.truncates), ended & self.truncates
        reward = self.reward(time, action) * params.reward_scale
        info = {"final_observation": self.observe(time)}
        return self.observe(next_time), TinyState(next_time), reward, terminated, truncated, info

    def reward(self, time, action):
        return time.astype(jnp.float32)


class Echo(Tiny):
    """Pays the sum of a Box action, so that a test sees which action arrived."""

    def reward(self, time, action):
        return jnp.sum(action)


class Legacy:
    """An environment of gymnax before 1.0: one flag for every end; action 1 ends by itself."""

    default_params = TinyParams()

    def action_space(self, params=None):
        return Discrete(2)

    def observation_space(self, params):
        return Box(0.0, 10.0, (1,), jnp.float32)

    def reset_env(self, key, params):
        return jnp.zeros(1), TinyState(0)

    def step_env(self, key, state, action, params):
        state = TinyState(state.time + 1)
        done = (action == 1) | (state.time >= params.max_steps_in_episode)
        return LegacyStep(jnp.full(1, state.time, jnp.float32), state, 1.0, done, {"extra": 7})

    def reset(self, key, params=None):
        return self.reset_env(key, params or self.default_params)

    def step(self, key, state, action, params=None):
        obs, state, reward, done, info = self.step_env(key, state, action, params)
        obs_reset, state_reset = self.reset_env(key, params)
        state = jax.tree.map(lambda a, b: jnp.where(done, a, b), state_reset, state)
        return jnp.where(done, obs_reset, obs), state, reward, done, info


class LegacyWithoutParams:
    """Only a step that resets by itself, and no parameters anywhere; ends after two steps."""

    action_space = Discrete(2)

    def observation_space(self):
        return Box(0.0, 10.0, (1,), jnp.float32)

    def reset(self, key):
        return jnp.zeros(1), jnp.int32(0)

    def step(self, key, state, action):
        done = state >= 1
        time = jnp.where(done, 0, state + 1)
        return jnp.float32(time)[None], time, jnp.float32(1.0), done.astype(jnp.float32), {}


class LegacyWrapper:
    """An old wrapper that passes unknown attributes on and doubles the reward."""

    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        return getattr(self._env, name)

    def step(self, key, state, action, params):
        obs, state, reward, done, info = self._env.step(key, state, action, params)
        return obs, state, 2 * reward, done, info
