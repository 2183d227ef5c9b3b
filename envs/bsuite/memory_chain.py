"""bsuite's memory tests: see some bits, wait, recall one of them."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.bsuite import memory_chain

from envs.settings import check_range
from envs.spaces import Box


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    memory_length: int = 5  # steps from the context to the query

    @property
    def max_steps_in_episode(self) -> int:
        """The length of every episode, in steps."""
        return self.memory_length + 1


class MemoryChain(memory_chain.MemoryChain):
    """gymnax's MemoryChain without its limit of 1000 steps, which cuts the query off.

    Observation: float32 [2 + num_bits] = (time left, query, context as ±1). Action: 0 or 1.
    Reward: ±1 on the last step, else 0, so the perfect return is 1, and 0 without memory. As in
    bsuite an observation shows the state before the transition, so the context shows in the first
    two observations, and an episode has ``memory_length + 1`` steps. The query, the number of the
    bit that is asked for, shows when the answer is due: with a length of 1 beside the context, so
    that no memory is needed. An episode ends by itself at any length and is never truncated.

    bsuite's memory_len varies ``memory_length`` with 1 bit; its memory_size varies ``num_bits``
    with a length of 2.

    Args:
        num_bits: bits of context, one of which is asked for.
        memory_length: steps from the context to the query.

    Raises ``UsageError`` where either is less than 1.
    """

    def __init__(self, num_bits: int = 1, memory_length: int = 5):
        check_range(self.name, "num_bits", num_bits, 1)
        check_range(self.name, "memory_length", memory_length, 1)
        super().__init__(num_bits)
        self._memory_length = memory_length

    @property
    def default_params(self) -> EnvParams:
        """The constructor's length."""
        return EnvParams(memory_length=self._memory_length)

    def is_truncated(self, state: memory_chain.EnvState, params: EnvParams) -> jax.Array:
        """Return false: the last step is always the answer."""
        return jnp.zeros((), bool)

    @property
    def name(self) -> str:
        """The class, not gymnax's MemoryChain-bsuite."""
        return type(self).__name__

    def observation_space(self, params: EnvParams) -> Box:
        """Return a Box that holds the context's -1 too, which gymnax's does not."""
        return Box(-1, max(1, self.num_bits - 1), (self.num_bits + 2,), jnp.float32)

    def render(self, state: Any, params: EnvParams | None = None) -> str:
        """Return the context as 0s and 1s, the asked bit in brackets, and the steps to go."""
        params = self.default_params if params is None else params
        bits = [str(bit) for bit in state.context.tolist()]
        bits[int(state.query)] = f"[{bits[int(state.query)]}]"
        left = int(params.memory_length) - int(state.time)
        return f"context {' '.join(bits)}   " + (f"{left} to go" if left > 0 else "answer!")
