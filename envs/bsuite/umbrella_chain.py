"""bsuite's umbrella chain: one early choice pays at the end, among noise that pays always."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment

from envs.settings import check_range
from envs.spaces import Box, Discrete


@struct.dataclass
class EnvState:
    """The weather, the choice and the time."""

    need_umbrella: jax.Array  # int8 []: 0 or 1
    has_umbrella: jax.Array  # int8 []: 0 or 1; random before the first action
    time: jax.Array  # int32 []: steps taken


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    chain_length: int = 10  # steps of an episode

    @property
    def max_steps_in_episode(self) -> int:
        """The length of every episode, in steps."""
        return self.chain_length


class UmbrellaChain(environment.Environment):
    """Take an umbrella on the first step or not, and learn only on the last if it was right.

    Rules of bsuite. Observation: float32 [3 + n_distractor] = (need, have, time left, random
    bits that mean nothing). Action: 1 takes the umbrella, 0 leaves it; only the first does
    anything. Reward: ±1 on the last step, for having what is needed; on every other step ±1 at
    random. The best mean return is 1, that of a random player 0. Need and choice show in every
    observation: this tests credit assignment under noise, not memory.

    An episode has ``chain_length`` steps, terminates and is never truncated, where gymnax's is cut
    after 100 steps. bsuite's umbrella_length varies ``chain_length`` with 20 distractors, its
    umbrella_distract ``n_distractor`` with a length of 20.

    Args:
        chain_length: steps of an episode, at least 1.
        n_distractor: meaningless bits beside the observation, at least 0.

    Raises ``UsageError`` where either is less.
    """

    def __init__(self, chain_length: int = 10, n_distractor: int = 0):
        super().__init__()
        check_range(self.name, "chain_length", chain_length, 1)
        check_range(self.name, "n_distractor", n_distractor, 0)
        self._chain_length = chain_length
        self.n_distractor = n_distractor

    @property
    def default_params(self) -> EnvParams:
        """The constructor's length."""
        return EnvParams(chain_length=self._chain_length)

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Draw the weather, and whether an umbrella seems to be at hand."""
        bits = _random_bits(key, 2 + self.n_distractor)
        state = EnvState(need_umbrella=bits[0], has_umbrella=bits[1], time=jnp.int32(0))
        return _observe(state, bits[2:], params), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Choose on the first step; pay noise before the last, the outcome on it."""
        bits = _random_bits(key, 1 + self.n_distractor)
        chosen = jnp.asarray(action, jnp.int8)
        has = jnp.where(state.time == 0, chosen, state.has_umbrella)
        state = dataclasses.replace(state, has_umbrella=has, time=state.time + 1)
        is_over = self.is_terminated(state, params)
        is_good = jnp.where(is_over, has == state.need_umbrella, bits[0] == 1)
        reward = jnp.where(is_good, 1.0, -1.0)
        return _observe(state, bits[1:], params), state, reward, is_over, {}

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return whether the chain is at its end."""
        return state.time >= params.chain_length

    def is_truncated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return false: the last step always pays."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """To leave the umbrella or to take it."""
        return 2

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        """Return 0 to leave the umbrella, 1 to take it."""
        return Discrete(2)

    def observation_space(self, params: EnvParams) -> Box:
        """Return the unit Box of (need, have, time left, distractors)."""
        return Box(0, 1, (3 + self.n_distractor,), jnp.float32)

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return the weather, the choice and the steps to go."""
        params = self.default_params if params is None else params
        weather = "rain" if int(state.need_umbrella) else "sun"
        choice = "umbrella" if int(state.has_umbrella) else "no umbrella"
        is_chosen = "" if int(state.time) else " (not yet chosen)"
        return f"{weather}, {choice}{is_chosen}, {params.chain_length - int(state.time)} to go"


def _observe(state: EnvState, distractors: jax.Array, params: EnvParams) -> jax.Array:
    time_left = (params.chain_length - state.time) / params.chain_length
    known = jnp.stack([state.need_umbrella, state.has_umbrella, time_left])
    return jnp.concatenate([known, distractors.astype(jnp.float32)])


def _random_bits(key: jax.Array, num: int) -> jax.Array:
    """Return ``num`` fair bits from as few random words as hold them: int8 [num]."""
    words = jax.random.bits(key, (-(-num // 32), 1), jnp.uint32)
    bits = (words >> jnp.arange(32, dtype=jnp.uint32)[None]) & 1
    return bits.ravel()[:num].astype(jnp.int8)
