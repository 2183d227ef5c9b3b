"""Long short-term memory, with the input's projections taken out of the loop over time."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.memory.recurrent import RecurrentLayer, RecurrentStack, orthogonal_per_gate

State = tuple[jax.Array, jax.Array]  # h and c


@jax.custom_vjp
def lstm_cell(carry: State, x_gates: jax.Array, h_gates: jax.Array) -> State:
    """Return h' = o tanh(c') and c' = f c + i g of the gates i, f, g, o; see :class:`LSTMLayer`."""
    i, f, g, o = _gates(x_gates, h_gates)
    c = f * carry[1] + i * g
    return o * nn.tanh(c), c


def _gates(x_gates: jax.Array, h_gates: jax.Array) -> tuple[jax.Array, ...]:
    i, f, g, o = jnp.split(x_gates + h_gates, 4, axis=-1)
    return nn.sigmoid(i), nn.sigmoid(f), nn.tanh(g), nn.sigmoid(o)


def _lstm_cell_fwd(carry, x_gates, h_gates):
    i, f, g, o = _gates(x_gates, h_gates)
    c = f * carry[1] + i * g
    shown = nn.tanh(c)
    of_c = g * i * (1 - i), carry[1] * f * (1 - f), i * (1 - g**2), f
    return (o * shown, c), (of_c, shown * o * (1 - o), o * (1 - shown**2))


def _lstm_cell_bwd(slopes, d_carry):
    (by_i, by_f, by_g, by_c), by_o, c_in_h = slopes
    dh, dc = d_carry
    dc = dc + dh * c_in_h
    d_gates = jnp.concatenate([dc * by_i, dc * by_f, dc * by_g, dh * by_o], axis=-1)
    return (jnp.zeros_like(dh), dc * by_c), d_gates, d_gates


lstm_cell.defvjp(_lstm_cell_fwd, _lstm_cell_bwd)


class LSTMLayer(RecurrentLayer):
    """One layer: i, f, o = σ(x W_ifo + h U_ifo + b_ifo), g = tanh(x W_g + h U_g + b_g),
    c' = f c + i g, h' = o tanh(c').

    W of the four gates is one Dense, U is one matrix of four orthogonal ones. b is one for the
    forget gate f at first, so that cells keep what they hold until they learn to forget, and zero
    for the others (Jozefowicz et al. 2015, section 2.2; flax's cells begin with zeros).
    """

    CELL = staticmethod(lstm_cell)

    def setup(self):
        self.input_gates = nn.Dense(4 * self.features, use_bias=False)
        self.recurrent_kernel = self.param(
            "recurrent_kernel", orthogonal_per_gate, (self.features, 4 * self.features)
        )
        self.recurrent_bias = self.param("recurrent_bias", _remembering, self.features)

    def recurrent_weights(self) -> tuple[jax.Array, jax.Array]:
        """Return U and the bias of all gates."""
        return self.recurrent_kernel, self.recurrent_bias


class LSTM(RecurrentStack):
    """A stack of LSTM layers (Hochreiter & Schmidhuber 1997; forget gates of Gers et al. 2000).

    The state is (h, c), each [*, num_layers, features]. Shapes as in ``ssmrl.memory.Memory``.
    Raises ``UsageError`` on sizes below one.
    """

    LAYER = LSTMLayer

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> State:
        """Return zeros, h_*xLxH and c_*xLxH."""
        return self.zeros(batch_shape), self.zeros(batch_shape)


def _remembering(key: Any, features: int) -> jax.Array:
    """Return b of the gates i, f, g, o."""
    return jnp.repeat(jnp.array([0, 1, 0, 0], jnp.float32), features)
