"""POPGym's pendulum that hides the angular velocity, with and without noise."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.classic_control import pendulum

from envs.popgym.control import HalfSeen, Noisy
from envs.spaces import Box

LARGEST_COST = 16.2736044  # pi² + 0.1 * 8² + 0.001 * 2²: hanging, at full speed and torque


@struct.dataclass
class NoisyEnvParams(pendulum.EnvParams):
    """gymnax's, and the noise of the observation."""

    noise_sigma: float = 0.1  # standard deviation of either coordinate


class PositionOnlyPendulum(HalfSeen, pendulum.Pendulum):
    """Swing a pendulum up and hold it while seeing only where it is.

    Rules of popgym 1.0.7, physics of gymnasium's PendulumEnv (0.05 s a step, speed clipped to ±8
    rad/s); start uniform in ±pi rad and ±1 rad/s. Observation: float32 [2] = (cosine, sine) of
    the angle, which is 0 upright. Action: torque, float32 [1], clipped to ±2 N m. Reward: with
    the state before the step, cost = angle² + 0.1 speed² + 0.001 torque², at most 16.27, scaled
    to (1 - cost / 8.14) / T, so every return lies in ±1 and only an upright rest earns 1; a swing
    up costs some of it. T = ``max_steps_in_episode`` steps truncate, nothing terminates. popgym
    up to 1.0.3 called it StatelessPendulum.

    Args:
        max_steps_in_episode: T; 200, 150, 100 on the levels Easy, Medium, Hard.
        legacy: see ``HalfSeen``.
    """

    def reset_env(
        self, key: jax.Array, params: pendulum.EnvParams
    ) -> tuple[jax.Array, pendulum.EnvState]:
        """Start anywhere."""
        obs, state = super().reset_env(key, params)
        # gymnax's is a plain Python number, with which a compiled step is compiled twice.
        return obs, state.replace(last_u=jnp.zeros_like(state.theta))

    def step_env(
        self,
        key: jax.Array,
        state: pendulum.EnvState,
        action: jax.Array,
        params: pendulum.EnvParams,
    ) -> tuple[jax.Array, pendulum.EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Turn the pendulum for one time step."""
        obs, state, negative_cost, _, _ = super().step_env(key, state, action, params)
        half = LARGEST_COST / 2
        reward = (negative_cost + half) / half / params.max_steps_in_episode
        return obs, state, reward, self.is_terminated(state, params), {}

    def get_obs(self, state: pendulum.EnvState, params: Any = None, key: Any = None) -> jax.Array:
        """Return cosine and sine of the angle."""
        return jnp.array([jnp.cos(state.theta), jnp.sin(state.theta)])

    def observation_space(self, params: pendulum.EnvParams) -> Box:
        """Return the square around the unit circle."""
        high = jnp.ones(2)
        return Box(-high, high, (2,), jnp.float32)

    def render(self, state: pendulum.EnvState, params: pendulum.EnvParams | None = None) -> str:
        """Return the rod ``o`` hinged at ``+``, upright at the top, and the state, of which the
        agent sees what stands in brackets (where there is noise, through it). One concrete
        state, outside jit.
        """
        params = self.default_params if params is None else params
        theta = float(state.theta)
        rows = [[" "] * 13 for _ in range(7)]  # a character is about twice as high as wide
        for distance in (1, 2, 3):
            right, up = -distance * math.sin(theta), distance * math.cos(theta)
            rows[3 - round(up)][6 + round(2 * right)] = "o"
        rows[3][6] = "+"
        values = (
            f"[cos {math.cos(theta):+.3f}  sin {math.sin(theta):+.3f}]  "
            f"angle' {float(state.theta_dot):+.3f} rad/s  torque {float(state.last_u):+.3f} N m  "
            f"step {int(state.time)} of {int(params.max_steps_in_episode)}"
        )
        return "\n".join([*("".join(row).rstrip() for row in rows), values])


class NoisyPositionOnlyPendulum(Noisy, PositionOnlyPendulum):
    """PositionOnlyPendulum with Gaussian noise on every observation, that of ``reset`` included.

    Rules of popgym 1.0.7: the noisy cosine and sine are clipped to ±1; the physics stay free of
    noise; T = 200 on every level. popgym up to 1.0.3 called it NoisyStatelessPendulum. Arguments:
    see ``Noisy``; with ``legacy`` the noise is not clipped either, as in popjaxrl, and the
    observation space has no bounds (popjaxrl's says ±1 all the same).
    """

    noisy_params = NoisyEnvParams

    def observation_space(self, params: pendulum.EnvParams) -> Box:
        """Return the square around the unit circle, or all the plane for noise not clipped."""
        high = jnp.full(2, jnp.inf if self.legacy else 1.0)
        return Box(-high, high, (2,), jnp.float32)
