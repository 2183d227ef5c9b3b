"""POPGym's MultiarmedBandit: find the arm that pays best, and keep to it."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment

from envs.settings import check_range
from envs.spaces import Box, Discrete


@struct.dataclass
class EnvState:
    """The machine of an episode."""

    payouts: jax.Array  # float32 [num_bandits]: each arm's probability to pay
    time: jax.Array  # int32 []: steps taken


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    max_steps_in_episode: int = 200  # also sets the reward, ±1 / this


class MultiarmedBandit(environment.Environment):
    """Pull one of several arms in every step; each pays with a probability of its own.

    Rules of popgym 1.0.7. The probabilities are uniform in [0, 1), drawn anew in each episode.
    Observation: whether the arm just pulled paid, Discrete(2), and 0 after ``reset``; which arm
    it was must be remembered or appended (``PreviousAction``). Action: an arm. Reward: 1/T where
    it paid, else -1/T (popgym's docstring says that nothing is lost, its code takes 1/T) with
    T = ``max_steps_in_episode``. T steps truncate, nothing terminates. Whoever knew the best arm
    would get 2 K / (K + 1) - 1 on average: 0.82, 0.90, 0.94 on the levels Easy, Medium, Hard.
    popgym shows the probabilities in ``info``, which is empty here.

    Args:
        num_bandits: K arms, at least 1; 10, 20, 30 on the three levels.
        max_steps_in_episode: T, at least 1; 200, 400, 600 on the three levels.
        legacy: as in popjaxrl, the port of Lu et al. 2023, the observation is one float, 0 or 1,
            and step T terminates, so that agents do not bootstrap there.

    Raises ``UsageError`` where ``num_bandits`` or ``max_steps_in_episode`` is less than 1.
    """

    def __init__(
        self, num_bandits: int = 10, max_steps_in_episode: int = 200, legacy: bool = False
    ):
        super().__init__()
        check_range(self.name, "num_bandits", num_bandits, 1)
        check_range(self.name, "max_steps_in_episode", max_steps_in_episode, 1)
        self.num_bandits = num_bandits
        self.legacy = legacy
        self._max_steps = max_steps_in_episode

    @property
    def default_params(self) -> EnvParams:
        """The level's number of steps."""
        return EnvParams(max_steps_in_episode=self._max_steps)

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Draw the arms' probabilities."""
        payouts = jax.random.uniform(key, (self.num_bandits,))
        return self._observe(jnp.zeros((), bool)), EnvState(payouts=payouts, time=jnp.int32(0))

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Pull one arm."""
        paid = jax.random.uniform(key) < state.payouts[action]
        reward = jnp.where(paid, 1.0, -1.0) / params.max_steps_in_episode
        state = state.replace(time=state.time + 1)  # type: ignore[attr-defined]
        return self._observe(paid), state, reward, self.is_terminated(state, params), {}

    def _observe(self, paid: jax.Array) -> jax.Array:
        return paid.astype(jnp.float32).reshape(1) if self.legacy else paid.astype(jnp.int32)

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return false: only time ends an episode."""
        over = jnp.asarray(state.time >= params.max_steps_in_episode)
        return over if self.legacy else jnp.zeros((), bool)

    def is_truncated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return whether T steps are over."""
        over = jnp.asarray(state.time >= params.max_steps_in_episode)
        return jnp.zeros((), bool) if self.legacy else over

    @property
    def num_actions(self) -> int:
        """The number of arms."""
        return self.num_bandits

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        """Return the arm to pull."""
        return Discrete(self.num_bandits)

    def observation_space(self, params: EnvParams) -> Discrete | Box:
        """Return whether the last arm paid."""
        return Box(0.0, 1.0, (1,), jnp.float32) if self.legacy else Discrete(2)

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return one line per arm with its probability, of which the agent sees nothing, and the
        time. One concrete state, outside jit.
        """
        params = self.default_params if params is None else params
        best = int(state.payouts.argmax())
        rows = []
        for arm, payout in enumerate(state.payouts.tolist()):
            bar = "=" * round(20 * payout)
            rows.append(f"{arm:3d} |{bar:<20}| {payout:.3f}{' best' * (arm == best)}")
        time = f"step {int(state.time)} of {int(params.max_steps_in_episode)}"
        return "\n".join([*rows, time])
