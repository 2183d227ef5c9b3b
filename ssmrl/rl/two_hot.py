"""Numbers as distributions over bins, and the scales on which such bins are evenly spaced.

A number between two bins is the mixture of these two whose mean it is; regression becomes
classification, whose gradient does not grow with the number. Large numbers are squashed first:
by ``signed_root`` in MuZero and Muesli, by ``symlog`` in DreamerV3.
"""

import chex
import jax
import jax.numpy as jnp

from ssmrl.nets.affine import as_rank_of

LINEAR = 1e-3  # share of x itself in its signed root


def symmetric_bins(num_bins: int, largest: float) -> jax.Array:
    """Return ``num_bins`` centres from -largest to largest, evenly spaced: [K].

    Opposite ones are opposite to the bit, and of an odd number the middle one is 0, which those of
    ``linspace`` are not.
    """
    places = jnp.arange(num_bins, dtype=jnp.float32) - (num_bins - 1) / 2
    return places * (2 * largest / (num_bins - 1))


def two_hot(x: jax.Array, bins: jax.Array) -> jax.Array:
    """Return the probabilities of increasing ``bins`` [K] with mean ``x``: [...] -> [..., K].

    What lies beyond the outermost bins becomes the outermost. Source: Bellemare et al. 2017.
    """
    chex.assert_rank(bins, 1)
    x = jnp.clip(x, bins[0], bins[-1])[..., None]
    # How far x is on the way to each bin from the one before (the first is always passed), and
    # beyond the last (never). A search would be a loop of small kernels on a GPU, and what is
    # wanted has an entry for each bin anyway.
    gaps = jnp.diff(bins)
    begins = as_rank_of(x, jnp.concatenate([bins[:1] - 2 * gaps[:1], bins]))
    lengths = as_rank_of(x, jnp.concatenate([gaps[:1], gaps, gaps[-1:]]))
    passed = jnp.clip((x - begins) / lengths, 0, 1)
    return passed[..., :-1] - passed[..., 1:]


def mean(logits: jax.Array, bins: jax.Array) -> jax.Array:
    """Return the means of distributions over bins that lie symmetrically about 0, [..., K].

    Opposite bins are set off against each other first, so that equal logits mean exactly 0: a
    plain sum would leave the rounding errors of large bins (Hafner et al. 2023).
    """
    probabilities = jax.nn.softmax(logits)
    # Bins may reach 1e8: a GPU is not to keep eleven bits of the probabilities.
    return 0.5 * jnp.matmul(probabilities - probabilities[..., ::-1], bins, precision="highest")


def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Return the cross-entropies over the last axis; the target has no gradient."""
    return -jnp.sum(jax.lax.stop_gradient(target) * jax.nn.log_softmax(logits), axis=-1)


def signed_root(x: jax.Array) -> jax.Array:
    """Return sgn(x) (sqrt(|x| + 1) - 1) + LINEAR x; source: Pohlen et al. 2018."""
    return x / (jnp.sqrt(jnp.abs(x) + 1) + 1) + LINEAR * x  # the same, without a difference


def signed_root_inverse(y: jax.Array) -> jax.Array:
    """Return the x whose ``signed_root`` is y.

    s = sqrt(|x| + 1) solves c s^2 + s = |y| + 1 + c, c = LINEAR. Then |y| = (s - 1) (1 + c
    (s + 1)) and |x| = (s - 1) (s + 1): written so, nothing is subtracted, which would cost three
    digits near 0.
    """
    total = jnp.abs(y) + 1 + LINEAR
    s = 2 * total / (1 + jnp.sqrt(1 + 4 * LINEAR * total))
    return y * (s + 1) / (LINEAR * (s + 1) + 1)


def symlog(x: jax.Array) -> jax.Array:
    """Return sgn(x) log(1 + |x|); source: Hafner et al. 2023."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(y: jax.Array) -> jax.Array:
    """Return sgn(y) (exp(|y|) - 1), the inverse of ``symlog``."""
    return jnp.sign(y) * jnp.expm1(jnp.abs(y))
