"""Gated recurrent units, with the input's projections taken out of the loop over time."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ssmrl.memory.base import check_layers, check_positive
from ssmrl.nets.affine import as_rank_of


class GRU(nn.Module):
    """A stack of GRU layers (Cho et al. 2014), in the form of cuDNN and ``flax.linen.GRUCell``.

    The state is [*, num_layers, features]. Shapes as in ``ssmrl.memory.Memory``. Raises
    ``UsageError`` on sizes below one.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ()

    features: int = 256  # units of every layer
    num_layers: int = 1  # one on top of the other

    def __post_init__(self):
        check_positive(features=self.features)
        check_layers(self.num_layers)
        super().__post_init__()

    def setup(self):
        self.layers = [GRULayer(self.features) for _ in range(self.num_layers)]

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> jax.Array:
        """Return zeros, h_*xLxH."""
        return jnp.zeros((*batch_shape, self.num_layers, self.features), jnp.float32)

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
            return jnp.concatenate(
                [square(k, (shape[0], shape[0]), jnp.float32) for k in keys], axis=-1
            )

        self.input_gates = nn.Dense(3 * self.features)
        self.recurrent_kernel = self.param(
            "recurrent_kernel", orthogonal_per_gate, (self.features, 3 * self.features)
        )
        self.recurrent_bias = self.param(
            "recurrent_bias", nn.initializers.zeros, (self.features,), jnp.float32
        )

    def scan(
        self, h_BxH: jax.Array, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in T steps; returns h_BxH and all h_TxBxH."""
        weights = (self.recurrent_kernel, self.recurrent_bias)
        h_TxBxH = _recurrence(self.input_gates(x_TxBxF), start_TxB, h_BxH, *weights)
        return h_TxBxH[-1], h_TxBxH

    def step(self, h_BxH: jax.Array, x_BxF: jax.Array, start_B: jax.Array) -> jax.Array:
        """Take in one step; returns h_BxH."""
        h_BxH = _unless(start_B, h_BxH)
        h_gates_Bx3H = h_BxH @ self.recurrent_kernel
        return _cell(h_BxH, self.input_gates(x_BxF), h_gates_Bx3H, self.recurrent_bias)[0]


@jax.custom_vjp
def _recurrence(x_gates_TxBx3H, start_TxB, h_BxH, kernel_Hx3H, bias_H):
    """Return all h_TxBxH."""

    def step(h_BxH, inputs):
        x_gates, start = inputs
        h_BxH = _unless(start, h_BxH)
        h_BxH = _cell(h_BxH, x_gates, h_BxH @ kernel_Hx3H, bias_H)[0]
        return h_BxH, h_BxH

    return lax.scan(step, h_BxH, (x_gates_TxBx3H, start_TxB), unroll=_unroll())[1]


def _recurrence_fwd(x_gates, start, h, kernel, bias):
    states = _recurrence(x_gates, start, h, kernel, bias)
    return states, (x_gates, start, h, kernel, bias, states)


def _recurrence_bwd(residuals, dy_TxBxH):
    """Derivative: only what runs from step to step is in the loop, d h_t, two kernels a step.

    The gates of all steps are worked out again at once, since the states before them are known,
    and so are the derivatives by weights and inputs from the d h_t of all steps.
    """
    x_gates, start, h, kernel, bias, states = residuals
    before = _unless(start, jnp.concatenate([h[None], states[:-1]]))
    h_gates = before @ kernel
    _, (r, z, n) = _cell(before, x_gates, h_gates, bias)
    n_slope = (1 - z) * (1 - n**2)
    r_slope = n_slope * (h_gates[..., -n.shape[-1] :] + as_rank_of(n, bias)) * r * (1 - r)
    z_slope = (before - n) * z * (1 - z)
    # by the r, z and n parts of h @ kernel, all multiples of d h_t
    slopes = jnp.stack([r_slope, z_slope, n_slope * r], axis=-2)

    def step(dh_BxH, inputs):
        dy, slopes_Bx3xH, z, start = inputs
        dh = dh_BxH + dy
        d_gates = (dh[..., None, :] * slopes_Bx3xH).reshape(*dh.shape[:-1], 3 * dh.shape[-1])
        return _unless(start, dh * z + d_gates @ kernel.T), dh

    zero = jnp.zeros_like(h)
    inputs = (dy_TxBxH, slopes, z, start)
    dh_first, dh = lax.scan(step, zero, inputs, reverse=True, unroll=_unroll())
    by_gate = dh[..., None, :] * slopes
    d_gates = by_gate.reshape(h_gates.shape)
    axes = tuple(range(dh.ndim - 1))
    d_kernel = jnp.tensordot(before, d_gates, (axes, axes))
    dx_gates = jnp.concatenate([d_gates[..., : -n.shape[-1]], dh * n_slope], axis=-1)
    return dx_gates, None, dh_first, d_kernel, by_gate[..., 2, :].sum(axes)


_recurrence.defvjp(_recurrence_fwd, _recurrence_bwd)


def _unroll() -> int:
    """Steps per turn of the loop: kernels of one turn form one CUDA graph."""
    return 16 if jax.default_backend() == "gpu" else 1


def _unless(start, h):
    return jnp.where(start[..., None], 0, h)


def _cell(h, x_gates, h_gates, bias):
    """Return the next h and the gates r, z, n."""
    x_r, x_z, x_n = jnp.split(x_gates, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h_gates, 3, axis=-1)
    r = nn.sigmoid(x_r + h_r)
    z = nn.sigmoid(x_z + h_z)
    n = nn.tanh(x_n + r * (h_n + as_rank_of(h, bias)))
    return (1 - z) * n + z * h, (r, z, n)
