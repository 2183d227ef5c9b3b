"""POPGym's CartPole that hides the velocities, with and without noise."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.classic_control import cartpole

from envs.spaces import Box


@struct.dataclass
class EnvParams(cartpole.EnvParams):
    """gymnax's physics, POPGym's time limit."""

    max_steps_in_episode: int = 200  # also sets the reward, 1 / this


@struct.dataclass
class NoisyEnvParams(EnvParams):
    """The same with the noise of the observation."""

    noise_sigma: float = 0.1  # standard deviation, in metres and radians alike


class PositionOnlyCartPole(cartpole.CartPole):
    """Balance a pole while seeing only positions.

    Rules of popgym 1.0.7, physics of gymnasium's CartPoleEnv (explicit Euler, 0.02 s), start
    uniform in ±0.05 for all four state variables. Observation: float32 [2] = (cart position in
    metres, pole angle in radians). Action: 0 pushes left, 1 right. Reward: 1/T in every step,
    that of the fall included, with T = ``max_steps_in_episode``. A fall (beyond ±2.4 m or ±12
    degrees) terminates; step T truncates, and a fall in step T does both.

    Args:
        max_steps_in_episode: T; 200, 400, 600 on the levels Easy, Medium, Hard.
    """

    def __init__(self, max_steps_in_episode: int = 200):
        super().__init__()
        self.obs_shape = (2,)
        self._max_steps = max_steps_in_episode

    @property
    def default_params(self) -> EnvParams:
        """The level's time limit."""
        return EnvParams(max_steps_in_episode=self._max_steps)

    def step_env(
        self, key: jax.Array, state: cartpole.EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, cartpole.EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Push the cart for one time step."""
        obs, state, _, _, _ = super().step_env(key, state, action, params)
        reward = jnp.asarray(1.0 / params.max_steps_in_episode, jnp.float32)
        return obs, state, reward, self.is_terminated(state, params), {}

    def get_obs(self, state: cartpole.EnvState, params: Any = None, key: Any = None) -> jax.Array:
        """Return position and angle."""
        return jnp.array([state.x, state.theta])

    @property
    def name(self) -> str:
        """The class, not gymnax's CartPole-v1."""
        return type(self).__name__

    def observation_space(self, params: EnvParams) -> Box:
        """Return twice the range in which the pole stands, so that a fall is inside too."""
        high = jnp.array([params.x_threshold * 2, params.theta_threshold_radians * 2])
        return Box(-high, high, (2,), jnp.float32)


class NoisyPositionOnlyCartPole(PositionOnlyCartPole):
    """PositionOnlyCartPole with Gaussian noise on every observation, that of ``reset`` included.

    Rules of popgym 1.0.7: the noisy observation is clipped to the observation space (which the
    angle's noise often reaches); the physics stay free of noise; T = 200 on every level.

    Args:
        max_steps_in_episode: T.
        noise_sigma: standard deviation; 0.1, 0.2, 0.3 on the levels Easy, Medium, Hard.
    """

    def __init__(self, max_steps_in_episode: int = 200, noise_sigma: float = 0.1):
        super().__init__(max_steps_in_episode)
        self._noise_sigma = noise_sigma

    @property
    def default_params(self) -> NoisyEnvParams:
        """The level's time limit and noise."""
        return NoisyEnvParams(max_steps_in_episode=self._max_steps, noise_sigma=self._noise_sigma)

    def step_env(
        self, key: jax.Array, state: cartpole.EnvState, action: jax.Array, params: NoisyEnvParams
    ) -> tuple[jax.Array, cartpole.EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Push the cart for one time step and look with noise."""
        obs, *rest = super().step_env(key, state, action, params)
        return self._add_noise(key, obs, params), *rest

    def reset_env(
        self, key: jax.Array, params: NoisyEnvParams
    ) -> tuple[jax.Array, cartpole.EnvState]:
        """Start near the upright and look with noise."""
        key_state, key_noise = jax.random.split(key)
        obs, state = super().reset_env(key_state, params)
        return self._add_noise(key_noise, obs, params), state

    def _add_noise(self, key: jax.Array, obs: jax.Array, params: NoisyEnvParams) -> jax.Array:
        space = self.observation_space(params)
        noise = params.noise_sigma * jax.random.normal(key, obs.shape)
        return jnp.clip(obs + noise, space.low, space.high)
