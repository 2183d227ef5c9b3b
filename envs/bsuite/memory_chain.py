"""bsuite's memory length test: see a bit, wait, recall it."""

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.bsuite import memory_chain

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
    Reward: ±1 on the last step, else 0. As in bsuite an observation shows the state before the
    transition, so the context shows in the first two observations, and an episode has
    ``memory_length + 1`` steps. It ends by itself at any length and is never truncated.

    Args:
        num_bits: bits of context, one of which is asked for.
    """

    @property
    def default_params(self) -> EnvParams:
        """A memory of 5 steps."""
        return EnvParams()

    def is_truncated(self, state: memory_chain.EnvState, params: EnvParams) -> jax.Array:
        """Return false: the last step is always the answer."""
        return jnp.zeros((), bool)

    def observation_space(self, params: EnvParams) -> Box:
        """Return a Box that holds the context's -1 too, which gymnax's does not."""
        return Box(-1, max(1, self.num_bits - 1), (self.num_bits + 2,), jnp.float32)
