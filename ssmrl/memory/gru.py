"""Gated recurrent units, with the input's projections taken out of the loop over time."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.memory.recurrent import RecurrentLayer, RecurrentStack, orthogonal_per_gate


@jax.custom_vjp
def gru_cell(h: jax.Array, x_gates: jax.Array, h_gates: jax.Array) -> jax.Array:
    """Return h' = (1 - z) n + z h of the gates r, z, n; see :class:`GRULayer`."""
    _, z, n, _ = _gates(x_gates, h_gates)
    return (1 - z) * n + z * h


def _gates(x_gates: jax.Array, h_gates: jax.Array) -> tuple[jax.Array, ...]:
    """Return r, z, n, and the part of n that r scales."""
    x_r, x_z, x_n = jnp.split(x_gates, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h_gates, 3, axis=-1)
    r = nn.sigmoid(x_r + h_r)
    return r, nn.sigmoid(x_z + h_z), nn.tanh(x_n + r * h_n), h_n


def _gru_cell_fwd(h, x_gates, h_gates):
    r, z, n, h_n = _gates(x_gates, h_gates)
    by_n = (1 - z) * (1 - n**2)
    slopes = by_n * h_n * r * (1 - r), (h - n) * z * (1 - z), by_n, by_n * r, z
    return (1 - z) * n + z * h, slopes


def _gru_cell_bwd(slopes, dh):
    by_r, by_z, by_n, by_h_n, by_h = slopes
    d_r, d_z = dh * by_r, dh * by_z
    d_x_gates, d_h_gates = ((d_r, d_z, dh * last) for last in (by_n, by_h_n))
    return dh * by_h, jnp.concatenate(d_x_gates, axis=-1), jnp.concatenate(d_h_gates, axis=-1)


gru_cell.defvjp(_gru_cell_fwd, _gru_cell_bwd)


class GRULayer(RecurrentLayer):
    """One layer: r, z = σ(x W_rz + b_rz + h U_rz), n = tanh(x W_n + b_n + r (h U_n + c)),
    h' = (1 - z) n + z h.

    W and b of the three gates are one Dense, U is one matrix of three orthogonal ones.
    """

    CELL = staticmethod(gru_cell)

    def setup(self):
        self.input_gates = nn.Dense(3 * self.features)
        self.recurrent_kernel = self.param(
            "recurrent_kernel", orthogonal_per_gate, (self.features, 3 * self.features)
        )
        self.recurrent_bias = self.param(
            "recurrent_bias", nn.initializers.zeros, (self.features,), jnp.float32
        )

    def recurrent_weights(self) -> tuple[jax.Array, jax.Array]:
        """Return U and the bias of all gates, of which only n has one."""
        return self.recurrent_kernel, jnp.pad(self.recurrent_bias, (2 * self.features, 0))


class GRU(RecurrentStack):
    """A stack of GRU layers (Cho et al. 2014), in the form of cuDNN and ``flax.linen.GRUCell``.

    The state is [*, num_layers, features]. Shapes as in ``ssmrl.memory.Memory``. Raises
    ``UsageError`` on sizes below one.
    """

    LAYER = GRULayer

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> jax.Array:
        """Return zeros, h_*xLxH."""
        return self.zeros(batch_shape)
