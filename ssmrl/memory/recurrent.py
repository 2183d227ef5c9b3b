"""What gated recurrent networks share: stacked layers, one loop over time, and its derivative.

A layer's carry is one array [*, H], or a tuple of them of which the first is the layer's output.
Its gates are made of projections of the input, x W, and of the output before, h U + b; a cell is
the function from the carry and both projections to the next carry, each unit on its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ssmrl.memory.base import check_layers, check_positive
from ssmrl.nets.affine import as_rank_of

Carry = Any
Cell = Callable[[Carry, jax.Array, jax.Array], Carry]


class RecurrentStack(nn.Module):
    """Layers of the kind ``LAYER``, one on top of the other.

    The state is the carries of all layers, stacked to [*, num_layers, features]. Shapes as in
    ``ssmrl.memory.Memory``. Raises ``UsageError`` on sizes below one.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ()
    LAYER: ClassVar[type["RecurrentLayer"]]

    features: int = 256  # units of every layer
    num_layers: int = 1  # one on top of the other

    def __post_init__(self):
        check_positive(features=self.features)
        check_layers(self.num_layers)
        super().__post_init__()

    def setup(self):
        self.layers = [self.LAYER(self.features) for _ in range(self.num_layers)]

    @nn.nowrap
    def zeros(self, batch_shape: tuple[int, ...]) -> jax.Array:
        """Return an empty *xLxH, of which initial states consist."""
        return jnp.zeros((*batch_shape, self.num_layers, self.features), jnp.float32)

    def scan(
        self, state: Carry, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[Carry, jax.Array]:
        """Take in T steps; returns the last state and y_TxBxH."""
        return self._scan(state, x_TxBxF, start_TxB, -1)

    def scan_states(
        self, state: Carry, x_TxBxF: jax.Array, start_TxB: jax.Array, every: int
    ) -> tuple[Carry, jax.Array, Carry]:
        """Take in T steps; returns what ``scan`` does and states [T / every, B, ...]."""
        states, y = self._scan(state, x_TxBxF, start_TxB, slice(every - 1, None, every))
        return jax.tree.map(lambda leaf: leaf[-1], states), y, states

    def step(self, state: Carry, x_BxF: jax.Array, start_B: jax.Array) -> tuple[Carry, jax.Array]:
        """Take in one step; returns the next state and y_BxH."""
        y, carries = x_BxF, []
        for layer, carry in zip(self.layers, self._by_layer(state), strict=True):
            carry = layer.step(carry, y, start_B)
            y = output(carry)
            carries.append(carry)
        return _stacked(carries), y

    def _scan(
        self, state: Carry, x_TxBxF: jax.Array, start_TxB: jax.Array, kept: int | slice
    ) -> tuple[Carry, jax.Array]:
        """Take in T steps; returns the states after the steps ``kept``, and y_TxBxH."""
        y, carries = x_TxBxF, []
        for layer, carry in zip(self.layers, self._by_layer(state), strict=True):
            carry, y = layer.scan(carry, y, start_TxB, kept)
            carries.append(carry)
        return _stacked(carries), y

    def _by_layer(self, state: Carry) -> list[Carry]:
        return [jax.tree.map(lambda v, i=i: v[..., i, :], state) for i in range(self.num_layers)]


class RecurrentLayer(nn.Module):
    """One layer. A kind of it names its cell and makes ``input_gates``, a Dense, in ``setup``."""

    CELL: ClassVar[staticmethod]  # a Cell

    features: int

    def recurrent_weights(self) -> tuple[jax.Array, jax.Array]:
        """Return U [H, G H] and b [G H] of all G gates."""
        raise NotImplementedError

    def scan(
        self, carry: Carry, x_TxBxF: jax.Array, start_TxB: jax.Array, kept: int | slice
    ) -> tuple[Carry, jax.Array]:
        """Take in T steps; returns the carries after the steps ``kept``, and all h_TxBxH."""
        gates = self.input_gates(x_TxBxF)
        carries = recurrence(self.CELL, gates, start_TxB, carry, *self.recurrent_weights())
        return jax.tree.map(lambda leaf: leaf[kept], carries), output(carries)

    def step(self, carry: Carry, x_BxF: jax.Array, start_B: jax.Array) -> Carry:
        """Take in one step; returns the next carry."""
        carry = _unless(start_B, carry)
        h_gates = _projected(carry, *self.recurrent_weights())
        return self.CELL(carry, self.input_gates(x_BxF), h_gates)


def orthogonal_per_gate(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Return an initial U [H, G H], one orthogonal matrix beside the other."""
    size, width = shape
    keys = jax.random.split(key, width // size)
    square = nn.initializers.orthogonal()
    return jnp.concatenate([square(k, (size, size), jnp.float32) for k in keys], axis=-1)


def output(carry: Carry) -> jax.Array:
    """Return the part of a carry that is the layer's output, h."""
    return jax.tree.leaves(carry)[0]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def recurrence(
    cell: Cell,
    x_gates_TxBxG: jax.Array,
    start_TxB: jax.Array,
    carry: Carry,
    kernel_HxG: jax.Array,
    bias_G: jax.Array,
) -> Carry:
    """Return the carries after every step, [T, B, H]; before a start they are zeroed."""

    def step(carry, inputs):
        x_gates, start = inputs
        carry = _unless(start, carry)
        carry = cell(carry, x_gates, _projected(carry, kernel_HxG, bias_G))
        return carry, carry

    return lax.scan(step, carry, (x_gates_TxBxG, start_TxB), unroll=_unroll())[1]


def _recurrence_fwd(cell, x_gates, start, first, kernel, bias):
    carries = recurrence(cell, x_gates, start, first, kernel, bias)
    return carries, (x_gates, start, first, kernel, bias, carries)


def _recurrence_bwd(cell, residuals, d_carries):
    """Derivative: only what runs from step to step is in the loop, two kernels a step.

    The cells of all steps are differentiated at once, since the carries before them are known,
    and so are weights and inputs, from the derivatives by the carries of all steps.
    """
    x_gates, start, first, kernel, bias, carries = residuals
    before = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), first, carries)
    before = _unless(start, before)
    h_gates = _projected(before, kernel, bias)
    pullbacks = jax.vmap(lambda *inputs: jax.vjp(cell, *inputs)[1])(before, x_gates, h_gates)

    def step(d_later, inputs):
        d_carry, pullback, start = inputs
        d_carry = jax.tree.map(jnp.add, d_later, d_carry)
        d_before, _, d_h_gates = pullback(d_carry)
        through_h = (d_h_gates @ kernel.T).astype(output(d_before).dtype)
        leaves, tree = jax.tree.flatten(d_before)
        d_before = jax.tree.unflatten(tree, [leaves[0] + through_h, *leaves[1:]])
        return _unless(start, d_before), d_carry

    zero = jax.tree.map(jnp.zeros_like, first)
    inputs = (d_carries, pullbacks, start)
    d_first, d_carries = lax.scan(step, zero, inputs, reverse=True, unroll=_unroll())
    _, d_x_gates, d_h_gates = jax.vmap(lambda pullback, d: pullback(d))(pullbacks, d_carries)
    axes = tuple(range(start.ndim))
    d_kernel = jnp.tensordot(output(before), d_h_gates, (axes, axes))
    return d_x_gates, None, d_first, d_kernel, d_h_gates.sum(axes)


recurrence.defvjp(_recurrence_fwd, _recurrence_bwd)


def _unroll() -> int:
    """Steps per turn of the loop: kernels of one turn form one CUDA graph."""
    return 16 if jax.default_backend() == "gpu" else 1


def _unless(start: jax.Array, carry: Carry) -> Carry:
    return jax.tree.map(lambda leaf: jnp.where(start[..., None], 0, leaf), carry)


def _projected(carry: Carry, kernel_HxG: jax.Array, bias_G: jax.Array) -> jax.Array:
    h_gates = output(carry) @ kernel_HxG
    return h_gates + as_rank_of(h_gates, bias_G)


def _stacked(carries: list[Carry]) -> Carry:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=-2), *carries)
