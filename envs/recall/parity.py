"""The running parity of a stream of bits."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.recall.task import RecallTask, score
from envs.settings import check_range
from envs.spaces import Discrete


@struct.dataclass
class EnvState:
    """The bit on the screen and the answer."""

    bit: jax.Array  # int8 []: 0 or 1
    parity: jax.Array  # int8 []: of all bits so far, this one included
    time: jax.Array  # int32 []: steps taken


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    length: int = 64  # steps of an episode, each with a bit and an answer


class Parity(RecallTask):
    """Name in every step whether the ones so far are odd in number: a state machine of two states.

    Observation: a fair bit, Discrete(2). Action: 0 for even, 1 for odd, the bit just seen
    included. Reward: ±1/length in every step, so the perfect return is 1. Without memory the best
    is 1/length, for repeating the bit, which is right on the first step and every second time
    after; a random player gets 0. Episodes have ``length`` steps.

    Every bit matters until the end, so forgetting is no help; a linear recurrence with real,
    positive coefficients cannot express it at all lengths (Merrill et al. 2024, "The illusion of
    state in state-space models").

    Args:
        length: bits in an episode, at least 1 (``UsageError`` otherwise).
    """

    num_answers = 2

    def __init__(self, length: int = 64):
        super().__init__()
        check_range(self.name, "length", length, 1)
        self._length = length

    @property
    def default_params(self) -> EnvParams:
        """The constructor's length."""
        return EnvParams(length=self._length)

    def num_steps(self, params: EnvParams) -> int:
        """Return one step a bit."""
        return params.length

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Show the first bit, which is its own parity."""
        bit = jax.random.bernoulli(key).astype(jnp.int8)
        return bit.astype(jnp.int32), EnvState(bit=bit, parity=bit, time=jnp.int32(0))

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Score the answer, then show the next bit; the one after the last is never asked for."""
        reward = score(action == state.parity, params.length, jnp.bool_(True))
        bit = jax.random.bernoulli(key).astype(jnp.int8)
        state = EnvState(bit=bit, parity=state.parity ^ bit, time=state.time + 1)
        return bit.astype(jnp.int32), state, reward, self.is_terminated(state, params), {}

    def observation_space(self, params: EnvParams) -> Discrete:
        """Return the bit."""
        return Discrete(2)

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return the bit that the player sees, and the answer."""
        params = self.default_params if params is None else params
        step = f"bit {int(state.time) + 1} of {int(params.length)}"
        return f"{step}: [{int(state.bit)}]   parity so far: {int(state.parity)}"
