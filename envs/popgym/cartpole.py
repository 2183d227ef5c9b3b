"""POPGym's cart poles, which hide the velocities or the positions, with and without noise."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment
from gymnax.environments.classic_control import cartpole

from envs.popgym.control import HalfSeen, Noisy
from envs.spaces import Box


@struct.dataclass
class EnvParams(environment.EnvParams):
    """gymnax's, but that what follows from others cannot be set apart from them."""

    gravity: float = 9.8
    masscart: float = 1.0
    masspole: float = 0.1
    length: float = 0.5
    force_mag: float = 10.0
    tau: float = 0.02
    theta_threshold_radians: float = 12 * 2 * math.pi / 360
    x_threshold: float = 2.4
    max_steps_in_episode: int = 200

    @property
    def total_mass(self) -> float:
        """That of cart and pole."""
        return self.masscart + self.masspole

    @property
    def polemass_length(self) -> float:
        """The pole's mass times its half length."""
        return self.masspole * self.length


@struct.dataclass
class NoisyEnvParams(EnvParams):
    """Those, and the noise of the observation."""

    noise_sigma: float = 0.1  # standard deviation, in metres and radians alike


class HalfSeenCartPole(HalfSeen, cartpole.CartPole):
    """Balances a pole; subclasses say which two of the four state variables show.

    Physics of gymnasium's CartPoleEnv (explicit Euler, 0.02 s), start uniform in ±0.05 for all
    four state variables. Action: 0 pushes left, 1 right. Reward: 1/T in every step, that of the
    fall included, with T = ``max_steps_in_episode``, so the maximum return is 1. A fall (beyond
    ±2.4 m or ±12 degrees) terminates; step T truncates, and a fall in step T does both.

    Args:
        max_steps_in_episode, legacy: see ``HalfSeen``.
    """

    seen: tuple[str, str]  # fields of the state

    @property
    def default_params(self) -> EnvParams:
        """gymnax's physics with the level's time limit."""
        return EnvParams(max_steps_in_episode=self._max_steps)

    def step_env(
        self,
        key: jax.Array,
        state: cartpole.EnvState,
        action: jax.Array,
        params: EnvParams,
    ) -> tuple[jax.Array, cartpole.EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Push the cart for one time step."""
        obs, state, _, _, _ = super().step_env(key, state, action, params)
        reward = jnp.asarray(1.0 / params.max_steps_in_episode, jnp.float32)
        return obs, state, reward, self.is_terminated(state, params), {}

    def get_obs(self, state: cartpole.EnvState, params: Any = None, key: Any = None) -> jax.Array:
        """Return the two variables that show."""
        return jnp.array([getattr(state, variable) for variable in self.seen])

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


class NoisyPositionOnlyCartPole(Noisy, PositionOnlyCartPole):
    """PositionOnlyCartPole with Gaussian noise on every observation, that of ``reset`` included.

    Rules of popgym 1.0.7: the noisy observation is clipped to the observation space (which the
    angle's noise often reaches); the physics stay free of noise; T = 200 on every level. popgym
    up to 1.0.3 called it NoisyStatelessCartPole. Arguments: see ``Noisy``.
    """

    noisy_params = NoisyEnvParams
