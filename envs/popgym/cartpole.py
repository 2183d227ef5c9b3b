"""POPGym's cart poles, which hide the velocities or the positions, with and without noise."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.classic_control import cartpole

from envs.spaces import Box
from ssmrl.errors import UsageError


@struct.dataclass
class EnvParams(cartpole.EnvParams):
    """gymnax's physics, POPGym's time limit."""

    max_steps_in_episode: int = 200  # also sets the reward, 1 / this


@struct.dataclass
class NoisyEnvParams(EnvParams):
    """The same with the noise of the observation."""

    noise_sigma: float = 0.1  # standard deviation, in metres and radians alike


class HalfSeenCartPole(cartpole.CartPole):
    """Balances a pole; subclasses say which two of the four state variables show.

    Physics of gymnasium's CartPoleEnv (explicit Euler, 0.02 s), start uniform in ±0.05 for all
    four state variables. Action: 0 pushes left, 1 right. Reward: 1/T in every step, that of the
    fall included, with T = ``max_steps_in_episode``, so the maximum return is 1. A fall (beyond
    ±2.4 m or ±12 degrees) terminates; step T truncates, and a fall in step T does both.

    Args:
        max_steps_in_episode: T, at least 1; ``UsageError`` otherwise.
        legacy: as in popjaxrl, the port of Lu et al. 2023, step T terminates and nothing ever
            truncates, so that agents do not bootstrap there.
    """

    seen: tuple[str, str]  # fields of the state

    def __init__(self, max_steps_in_episode: int = 200, legacy: bool = False):
        super().__init__()
        if max_steps_in_episode < 1:
            raise UsageError(
                f"environment {self.name!r}: max_steps_in_episode must be >= 1, "
                f"not {max_steps_in_episode}"
            )
        self.obs_shape = (2,)
        self.legacy = legacy
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

    def is_terminated(self, state: cartpole.EnvState, params: EnvParams) -> jax.Array:
        """Return whether the pole has fallen or the cart has left its track."""
        fallen = super().is_terminated(state, params)
        return fallen | (state.time >= params.max_steps_in_episode) if self.legacy else fallen

    def is_truncated(self, state: cartpole.EnvState, params: EnvParams) -> jax.Array:
        """Return whether T steps are over."""
        over = jnp.asarray(state.time >= params.max_steps_in_episode)
        return jnp.zeros((), bool) if self.legacy else over

    def get_obs(self, state: cartpole.EnvState, params: Any = None, key: Any = None) -> jax.Array:
        """Return the two variables that show."""
        return jnp.array([getattr(state, variable) for variable in self.seen])

    @property
    def name(self) -> str:
        """The class, not gymnax's CartPole-v1."""
        return type(self).__name__

    def render(self, state: cartpole.EnvState, params: EnvParams | None = None) -> str:
        """Return the cart ``#`` on its track, the pole ``o`` (drawn thrice as slanted), and the
        state, of which the agent sees what stands in brackets (where there is noise, through
        it). One concrete state, outside jit.
        """
        params = self.default_params if params is None else params
        x, theta, limit = float(state.x), float(state.theta), float(params.x_threshold)
        rows = []
        for height in (3, 2, 1, 0):  # in units of two columns; the track is 41 columns wide
            shift = 2 * height * math.tan(3 * theta)
            column = min(max(round(20 + 20 * x / limit + shift), 0), 40)
            row = [" " if height else "-"] * 41
            row[column] = "o" if height else "#"
            rows.append(f"|{''.join(row)}|")
        values = {
            "x": f"x {x:+.3f} m",
            "x_dot": f"x' {float(state.x_dot):+.3f} m/s",
            "theta": f"angle {theta:+.3f} rad",
            "theta_dot": f"angle' {float(state.theta_dot):+.3f} rad/s",
        }
        seen = self.seen if int(state.time) else ("x", "theta")  # what ``reset`` shows
        shown = [f"[{text}]" if name in seen else text for name, text in values.items()]
        time = f"step {int(state.time)} of {int(params.max_steps_in_episode)}"
        return "\n".join([*rows, "  ".join([*shown, time])])


class PositionOnlyCartPole(HalfSeenCartPole):
    """Balance a pole while seeing only positions.

    Rules of popgym 1.0.7; action, reward and ends are those of ``HalfSeenCartPole``. Observation:
    float32 [2] = (cart position in metres, pole angle in radians). T = 200, 400, 600 on the
    levels Easy, Medium, Hard. popgym up to 1.0.3 called it StatelessCartPole.
    """

    seen = ("x", "theta")

    def observation_space(self, params: EnvParams) -> Box:
        """Return twice the range in which the pole stands, so that a fall is inside too."""
        high = jnp.array([params.x_threshold * 2, params.theta_threshold_radians * 2])
        return Box(-high, high, (2,), jnp.float32)


class VelocityOnlyCartPole(HalfSeenCartPole):
    """Balance a pole while seeing only velocities.

    Rules of popgym 1.0.7; action, reward and ends are those of ``HalfSeenCartPole``. Observation:
    float32 [2] = (cart velocity in m/s, pole angular velocity in rad/s), unbounded. As in popgym
    the observation of ``reset`` is another one: (cart position, pole angle), what
    PositionOnlyCartPole shows. T = 200, 400, 600 on the levels Easy, Medium, Hard. popjaxrl has
    no such environment; ``legacy`` gives it the time limit of popjaxrl's others.
    """

    seen = ("x_dot", "theta_dot")

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, cartpole.EnvState]:
        """Start near the upright and show the positions, this once."""
        _, state = super().reset_env(key, params)
        return jnp.array([state.x, state.theta]), state

    def observation_space(self, params: EnvParams) -> Box:
        """Return the unbounded plane."""
        high = jnp.full(2, jnp.inf)
        return Box(-high, high, (2,), jnp.float32)


class NoisyPositionOnlyCartPole(PositionOnlyCartPole):
    """PositionOnlyCartPole with Gaussian noise on every observation, that of ``reset`` included.

    Rules of popgym 1.0.7: the noisy observation is clipped to the observation space (which the
    angle's noise often reaches); the physics stay free of noise; T = 200 on every level. popgym
    up to 1.0.3 called it NoisyStatelessCartPole.

    Args:
        max_steps_in_episode: T, at least 1.
        noise_sigma: standard deviation; 0.1, 0.2, 0.3 on the levels Easy, Medium, Hard.
        legacy: see ``HalfSeenCartPole``.

    Raises ``UsageError`` where ``noise_sigma`` is negative.
    """

    def __init__(
        self, max_steps_in_episode: int = 200, noise_sigma: float = 0.1, legacy: bool = False
    ):
        super().__init__(max_steps_in_episode, legacy)
        if noise_sigma < 0:
            raise UsageError(
                f"environment {self.name!r}: noise_sigma must be >= 0, not {noise_sigma}"
            )
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
