"""Logits of several categorical choices side by side, which need not be among equally many."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def factored_size(sizes: Sequence[int]) -> int:
    """Return how many numbers ``factored_logits`` takes."""
    return len(sizes) * max(sizes)


def factored_logits(x: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """Return logits of one of ``sizes[i]`` for each i: [..., factored_size] to [..., k, widest].

    What a smaller choice does not have is as good as impossible: the least finite number.
    """
    logits = x.reshape(*x.shape[:-1], len(sizes), max(sizes))
    allowed = np.arange(max(sizes)) < np.asarray(sizes)[:, None]
    allowed = np.expand_dims(allowed, tuple(range(x.ndim - 1)))
    return jnp.where(allowed, logits, jnp.finfo(logits.dtype).min)
