"""Gated recurrent units, with the input's projections taken out of the loop over time."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ssmrl.memory.base import check_positive


class GRU(nn.Module):
    """A stack of GRU layers (Cho et al. 2014), in the form of cuDNN and ``flax.linen.GRUCell``.

    The state is [*, num_layers, features]. Shapes as in ``ssmrl.memory.Memory``. Raises
    ``UsageError`` on sizes below one.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ()

    features: int = 256  # units of every layer
    num_layers: int = 1

    def __post_init__(self):
        check_positive(features=self.features, num_layers=self.num_layers)
        super().__post_init__()

    def setup(self):
        self.layers = [GRULayer(self.features) for _ in range(self.num_layers)]

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> jax.Array:
        """Return zeros, h_*xLxH."""
        return jnp.zeros((*batch_shape, self.num_layers, self.features))

    def scan(
        self, state: jax.Array, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in T steps; returns the last state and y_TxBxH."""
        y, states = x_TxBxF, []
        for i, layer in enumerate(self.layers):
            h, y = layer.scan(state[..., i, :], y, start_TxB)
            states.append(h)
        return jnp.stack(states, axis=-2), y

    def step(
        self, state: jax.Array, x_BxF: jax.Array, start_B: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in one step; returns the next state and y_BxH."""
        y, states = x_BxF, []
        for i, layer in enumerate(self.layers):
            y = layer.step(state[..., i, :], y, start_B)
            states.append(y)
        return jnp.stack(states, axis=-2), y


class GRULayer(nn.Module):
    """One layer: r, z = σ(x W_rz + b_rz + h U_rz), n = tanh(x W_n + b_n + r (h U_n + c)),
    h' = (1 - z) n + z h.

    W and b of the three gates are one Dense, U is one matrix of three orthogonal ones.
    """

    features: int

    def setup(self):
        def orthogonal_per_gate(key, shape):
            keys = jax.random.split(key, 3)
            square = nn.initializers.orthogonal()
            return jnp.concatenate([square(k, (shape[0], shape[0])) for k in keys], axis=-1)

        self.input_gates = nn.Dense(3 * self.features)
        self.recurrent_kernel = self.param(
            "recurrent_kernel", orthogonal_per_gate, (self.features, 3 * self.features)
        )
        self.recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (self.features,))

    def scan(
        self, h_BxH: jax.Array, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in T steps; returns h_BxH and all h_TxBxH."""

        def body(h_BxH, inputs):
            h_BxH = self._cell(h_BxH, *inputs)
            return h_BxH, h_BxH

        return lax.scan(body, h_BxH, (self.input_gates(x_TxBxF), start_TxB))

    def step(self, h_BxH: jax.Array, x_BxF: jax.Array, start_B: jax.Array) -> jax.Array:
        """Take in one step; returns h_BxH."""
        return self._cell(h_BxH, self.input_gates(x_BxF), start_B)

    def _cell(self, h_BxH, x_gates_Bx3H, start_B):
        h_BxH = jnp.where(start_B[..., None], 0, h_BxH)
        x_r, x_z, x_n = jnp.split(x_gates_Bx3H, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(h_BxH @ self.recurrent_kernel, 3, axis=-1)
        bias = self.recurrent_bias.reshape((1,) * (h_BxH.ndim - 1) + (-1,))
        r = nn.sigmoid(x_r + h_r)
        z = nn.sigmoid(x_z + h_z)
        n = nn.tanh(x_n + r * (h_n + bias))
        return (1 - z) * n + z * h_BxH
