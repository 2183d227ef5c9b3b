"""Sums and products with one vector for all tokens, with gradients that suit a GPU.

XLA likes to fuse the sum over tokens that is such a vector's gradient with what else reads the
cotangent, and the whole then runs at the pace of a column sum, on the path that everything waits
for. Here that sum is a kernel apart, which can run beside others.
"""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_vjp
def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Return x + bias, [..., N] and [N], in x's dtype."""
    return x + as_rank_of(x, bias.astype(x.dtype))


@jax.custom_vjp
def add_scaled(x: jax.Array, scale: jax.Array, u: jax.Array) -> jax.Array:
    """Return x + scale * u, [..., N], [N] and [..., N], in x's dtype."""
    return x + as_rank_of(u, scale.astype(x.dtype)) * u


def _add_bias_bwd(bias: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    return dy, _total(dy).astype(bias.dtype)


def _add_scaled_bwd(residuals: tuple, dy: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    scale, u = residuals
    du = as_rank_of(dy, scale.astype(dy.dtype)) * dy
    return dy, _total(dy, u).astype(scale.dtype), du


add_bias.defvjp(lambda x, bias: (add_bias(x, bias), bias), _add_bias_bwd)
add_scaled.defvjp(lambda x, scale, u: (add_scaled(x, scale, u), (scale, u)), _add_scaled_bwd)


def _total(dy: jax.Array, u: jax.Array | None = None) -> jax.Array:
    """Return the sum of dy, or of dy u, over all axes but the last, in float32."""
    dy = lax.optimization_barrier(dy).astype(jnp.float32)
    return jnp.sum(dy if u is None else dy * u, axis=tuple(range(dy.ndim - 1)))


def as_rank_of(like: jax.Array, vector: jax.Array) -> jax.Array:
    """Return a vector with leading axes of size one, for products with ``like``."""
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
