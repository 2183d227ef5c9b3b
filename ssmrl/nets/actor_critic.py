"""A policy and a value function that share an encoder and a memory."""

from typing import Any

import distrax
import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.dense import Dense
from ssmrl.nets.mlp import MLP


class ActorCritic(nn.Module):
    """Encoder, memory, and two heads; the paper's network (Lu et al. 2023, table 3).

    ``encoder`` maps observations to the memory's input, ``memory`` obeys the contract of
    ``ssmrl.memory``, ``action_head`` maps features to a distribution. ``scan`` takes a sequence
    and ``step`` one moment; both return the new memory state, the distribution of actions and the
    values. Layers work in ``dtype``, all but the last ones of the heads and those of memories that
    have no use for it (GRU, LSTM, MLP); parameters, memory states and results are float32.
    """

    memory: Any
    action_head: nn.Module
    encoder: nn.Module
    head_sizes: tuple[int, ...] = (128, 128)
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.actor_body = MLP(self.head_sizes, gain=2.0)
        self.critic_body = MLP(self.head_sizes, gain=2.0)
        self.critic_out = Dense(1, kernel_init=nn.initializers.orthogonal(1.0))

    def scan(
        self, state: Any, obs_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[Any, distrax.Distribution, jax.Array]:
        """Return the state after the sequence, the policy over [T, B] and the values [T, B]."""
        state, y = self.memory.scan(state, self._encoded(obs_TxBxF), start_TxB)
        return state, self._policy(y), self._value(y)

    def prepare(self) -> dict[str, Any]:
        """Return keyword arguments for many calls of ``step`` and ``value``."""
        prepare = getattr(self.memory, "prepare", None)
        return {} if prepare is None else {"prepared": prepare(self.dtype)}

    def step(
        self, state: Any, obs_BxF: jax.Array, start_B: jax.Array, **prepared: Any
    ) -> tuple[Any, distrax.Distribution, jax.Array]:
        """Return the state after the observation, the policy over [B] and the values [B]."""
        state, y = self.memory.step(state, self._encoded(obs_BxF), start_B, **prepared)
        return state, self._policy(y), self._value(y)

    def value(
        self, state: Any, obs_BxF: jax.Array, start_B: jax.Array, **prepared: Any
    ) -> jax.Array:
        """Return only the values [B] that ``step`` would."""
        _, y = self.memory.step(state, self._encoded(obs_BxF), start_B, **prepared)
        return self._value(y)

    def _encoded(self, obs: jax.Array) -> jax.Array:
        return self.encoder(obs.astype(self.dtype))

    def _policy(self, y: jax.Array) -> distrax.Distribution:
        return self.action_head(self.actor_body(y.astype(self.dtype)))

    def _value(self, y: jax.Array) -> jax.Array:
        return self.critic_out(self.critic_body(y.astype(self.dtype)))[..., 0]
