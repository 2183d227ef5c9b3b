"""A causal Transformer that sees the last steps of its own episode."""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.errors import UsageError
from ssmrl.memory.base import check_layers, check_positive
from ssmrl.memory.local_attention import (
    ages,
    attend_in_blocks,
    attend_in_ring,
    bounded,
    rotate,
    rotations,
    written,
)

State = tuple[jax.Array, tuple[jax.Array, ...]]  # age_B and a ring_BxCx2xNxD per layer
MOST_CONTEXT = 2**15  # angles are worked out in whole numbers of 32 bits


class Transformer(nn.Module):
    """Pre-norm layers of rotary attention to at most ``context`` steps, the current one among them.

    The state is the age of the next input, [*], and one array [*, context, 2, num_heads,
    features / num_heads] of keys and values per layer, a ring in which the oldest are overwritten.
    Inputs of another width than ``features`` first pass a Dense, "embed". Layers work in the dtype
    of the inputs; the state is float32. Shapes as in ``ssmrl.memory.Memory``. Raises ``UsageError``
    on sizes below one, or that do not fit together.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ()

    features: int = 256  # width of every layer, the output's among them
    num_layers: int = 2  # one on top of the other
    num_heads: int = 4  # of attention, each of features / num_heads numbers
    context: int = 256  # steps that are seen, the current one among them
    ff_multiplier: int = 4  # width of the hidden feed-forward layers, in features

    def __post_init__(self):
        sizes = ("features", "num_heads", "context", "ff_multiplier")
        check_positive(**{name: getattr(self, name) for name in sizes})
        check_layers(self.num_layers)
        if self.context > MOST_CONTEXT:
            raise UsageError(f"context must be at most {MOST_CONTEXT}, but is {self.context}")
        if self.features % (2 * self.num_heads):
            raise UsageError(
                f"num_heads={self.num_heads} must divide features={self.features} into heads of "
                "an even width"
            )
        super().__post_init__()

    def setup(self):
        layers = range(self.num_layers)
        self.embed = nn.Dense(self.features)  # has parameters only if it is called
        self.projections = [Projections(self.num_heads) for _ in layers]
        self.feed_forwards = [FeedForward(self.ff_multiplier) for _ in layers]
        self.last_norm = nn.LayerNorm()

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> State:
        """Return age zero and zeros, one array *xCx2xNxD per layer."""
        width = self.features // self.num_heads
        shape = (*batch_shape, self.context, 2, self.num_heads, width)
        rings = tuple(jnp.zeros(shape, jnp.float32) for _ in range(self.num_layers))
        return jnp.zeros(batch_shape, jnp.int32), rings

    def scan(
        self, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[State, jax.Array]:
        """Take in T steps; returns the last state and y_TxBxH."""
        age_TxB = ages(state[0], start_TxB)

        def attention(q_TxNxD, kv_Tx2xNxD, ring, age_T):
            y_TxNxD = attend_in_blocks(q_TxNxD, kv_Tx2xNxD, ring, age_T)
            return y_TxNxD, written(ring, kv_Tx2xNxD, age_T)

        for _ in start_TxB.shape[1:]:
            attention = jax.vmap(attention, in_axes=(1, 1, 0, 1), out_axes=(1, 0))
        rings, y = self._layers(state[1], x_TxBxF, age_TxB, attention)
        return (bounded(age_TxB[-1] + 1, self.context), rings), y

    def step(self, state: State, x_BxF: jax.Array, start_B: jax.Array) -> tuple[State, jax.Array]:
        """Take in one step; returns the next state and y_BxH."""
        age_B = jnp.where(start_B, 0, state[0])

        def attention(q_NxD, kv_2xNxD, ring, age):
            ring = written(ring, kv_2xNxD[None], age[None])
            return attend_in_ring(q_NxD, ring, age), ring

        for _ in start_B.shape:
            attention = jax.vmap(attention)
        rings, y = self._layers(state[1], x_BxF, age_B, attention)
        return (bounded(age_B + 1, self.context), rings), y

    def _layers(
        self, rings: tuple[jax.Array, ...], x: jax.Array, age: jax.Array, attention: Callable
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        y, new = x, []
        if x.shape[-1] != self.features:
            y = self.embed(x).astype(x.dtype)
        rotation = rotations(age, self.features // self.num_heads, self.context)
        layers = zip(self.projections, self.feed_forwards, rings, strict=True)
        for project, feed_forward, ring in layers:
            q, k, v = project(y)
            kv = jnp.stack([rotate(k, rotation), v], axis=-3)
            seen, ring = attention(rotate(q, rotation), kv, ring, age)
            y = feed_forward(y, seen.reshape(y.shape))
            new.append(ring)
        return tuple(new), self.last_norm(y).astype(x.dtype)


class Projections(nn.Module):
    """The part of a layer before attention: queries, keys and values, each [..., N, D]."""

    num_heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        normed = nn.LayerNorm(dtype=x.dtype)(x)
        projected = nn.Dense(3 * x.shape[-1], dtype=x.dtype)(normed)
        heads = projected.reshape(*x.shape[:-1], 3, self.num_heads, -1)
        return tuple(jnp.moveaxis(heads, -3, 0))


class FeedForward(nn.Module):
    """The part of a layer after attention: x + seen W, and a layer of GELU beside the skip."""

    multiplier: int

    @nn.compact
    def __call__(self, x: jax.Array, seen: jax.Array) -> jax.Array:
        width, dtype = x.shape[-1], x.dtype
        x = x + nn.Dense(width, dtype=dtype)(seen)
        hidden = nn.Dense(self.multiplier * width, dtype=dtype)(nn.LayerNorm(dtype=dtype)(x))
        return x + nn.Dense(width, dtype=dtype)(nn.gelu(hidden))
