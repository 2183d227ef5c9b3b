"""A layer in which one input decides what counts of another."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.dense import Dense


class Product(nn.Module):
    """(W x + b) * (1 + V z): a linear map of x [..., F], its numbers times factors by z [..., G].

    Sums of such products tell whether x and z fit: the card of an action, the other of a pair.
    Layers of sums alone learn that late, if at all.
    """

    features: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.sums = Dense(self.features, dtype=self.dtype)
        self.factors = Dense(self.features, dtype=self.dtype, bias_init=nn.initializers.ones)

    def __call__(self, x: jax.Array, z: jax.Array, scale: jax.Array | None = None) -> jax.Array:
        """Return [..., features]; b and the 1 are learnt too. ``scale`` [F] is of x's columns."""
        return self.sums(x, scale) * self.factors(z)
