"""What POPGym's cart poles and pendulums share: two numbers that show, a time limit, noise."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment

from envs.settings import check_range


class HalfSeen(environment.Environment):
    """Stands before one of gymnax's classes: its physics, POPGym's time limit.

    Args:
        max_steps_in_episode: T, at least 1; ``UsageError`` otherwise. Step T truncates.
        legacy: as in popjaxrl, the port of Lu et al. 2023, step T terminates and nothing ever
            truncates, so that agents do not bootstrap there.
    """

    def __init__(self, max_steps_in_episode: int = 200, legacy: bool = False):
        super().__init__()
        check_range(self.name, "max_steps_in_episode", max_steps_in_episode, 1)
        self.obs_shape = (2,)
        self.legacy = legacy
        self._max_steps = max_steps_in_episode

    @property
    def name(self) -> str:
        """The class, not gymnax's Pendulum-v1."""
        return type(self).__name__

    @property
    def default_params(self) -> Any:
        """gymnax's physics with the level's time limit."""
        return super().default_params.replace(max_steps_in_episode=self._max_steps)

    def is_terminated(self, state: Any, params: Any) -> jax.Array:
        """Return whether the physics ended the episode."""
        ended = super().is_terminated(state, params)
        return ended | (state.time >= params.max_steps_in_episode) if self.legacy else ended

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        """Return whether T steps are over."""
        over = jnp.asarray(state.time >= params.max_steps_in_episode)
        return jnp.zeros((), bool) if self.legacy else over


class Noisy(HalfSeen):
    """Stands before a ``HalfSeen`` environment: Gaussian noise on every observation.

    Also on that of ``reset``. What is seen is clipped to the observation space; the physics stay
    free of noise.

    Args:
        max_steps_in_episode: T, at least 1.
        noise_sigma: standard deviation of either number; 0.1, 0.2, 0.3 on the levels Easy, Medium,
            Hard.
        legacy: see ``HalfSeen``.

    Raises ``UsageError`` where ``noise_sigma`` is negative.
    """

    noisy_params: type  # gymnax's parameters and ``noise_sigma``

    def __init__(
        self, max_steps_in_episode: int = 200, noise_sigma: float = 0.1, legacy: bool = False
    ):
        super().__init__(max_steps_in_episode, legacy)
        check_range(self.name, "noise_sigma", noise_sigma, 0)
        self._noise_sigma = noise_sigma

    @property
    def default_params(self) -> Any:
        """gymnax's physics with the level's time limit and noise."""
        return self.noisy_params(**vars(super().default_params), noise_sigma=self._noise_sigma)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """Start anew and look with noise."""
        key_state, key_noise = jax.random.split(key)
        obs, state = super().reset_env(key_state, params)
        return self._add_noise(key_noise, obs, params), state

    def step_env(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple:
        """Move for one time step and look with noise."""
        obs, *rest = super().step_env(key, state, action, params)
        return self._add_noise(key, obs, params), *rest

    def _add_noise(self, key: jax.Array, obs: jax.Array, params: Any) -> jax.Array:
        space = self.observation_space(params)
        noise = params.noise_sigma * jax.random.normal(key, obs.shape)
        return jnp.clip(obs + noise, space.low, space.high)
