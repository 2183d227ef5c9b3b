"""Complex numbers as real arrays: ``[re | im]`` on the last axis, called planar here.

The arithmetic works on *parts*: a tuple of the two halves of a planar array, or of the one real
array. Real and planar recurrences thereby run through the same lines.
"""

import jax
import jax.numpy as jnp
from jax import lax

Parts = tuple[jax.Array, ...]


def split(x: jax.Array, planar: bool) -> Parts:
    """Return the parts of ``x_...xN``: two of ``...xP`` with N = 2P if planar, else ``x`` alone."""
    return tuple(jnp.split(x, 2, axis=-1)) if planar else (x,)


def join(parts: Parts) -> jax.Array:
    """Undo ``split``."""
    return jnp.concatenate(parts, axis=-1) if len(parts) == 2 else parts[0]


def multiply(a: Parts, x: Parts) -> Parts:
    """Return a · x, a real or a complex product."""
    if len(a) == 1:
        return (a[0] * x[0],)
    (a_re, a_im), (x_re, x_im) = a, x
    return a_re * x_re - a_im * x_im, a_re * x_im + a_im * x_re


def multiply_whole(a: jax.Array, x: jax.Array) -> jax.Array:
    """Return a · x of planar arrays, without cutting x up: one pass over it on a GPU."""
    a_re, a_im = split(a, planar=True)
    pairs = x.reshape(*x.shape[:-1], 2, x.shape[-1] // 2)
    straight = jnp.stack([a_re, a_re], axis=-2) * pairs
    return (straight + jnp.stack([-a_im, a_im], axis=-2) * pairs[..., ::-1, :]).reshape(x.shape)


def conjugate(x: Parts) -> Parts:
    """Return the complex conjugate; real numbers stay as they are."""
    return x if len(x) == 1 else (x[0], -x[1])


def to_complex(x: jax.Array) -> jax.Array:
    """Turn a planar ``x_...x2P`` into a complex ``...xP`` (half precision becomes complex64)."""
    re, im = split(x.astype(jnp.promote_types(x.dtype, jnp.float32)), planar=True)
    return lax.complex(re, im)


def from_complex(z: jax.Array) -> jax.Array:
    """Turn a complex ``z_...xP`` into a planar ``...x2P``."""
    return join((z.real, z.imag))
