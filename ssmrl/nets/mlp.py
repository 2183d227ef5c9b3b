"""The multi-layer perceptron used on both sides of the memory."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.affine import add_bias


class MLP(nn.Module):
    """Dense layers, each followed by the activation: [..., F] -> [..., sizes[-1]].

    Works in the dtype of its input; parameters are float32.
    """

    sizes: Sequence[int]
    scale: float = 2**0.5  # of the orthogonal initialisation
    activation: Callable[[jax.Array], jax.Array] = nn.leaky_relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, size in enumerate(self.sizes):
            name = f"Dense_{i}"
            kernel = nn.initializers.orthogonal(self.scale)
            x = nn.Dense(size, use_bias=False, dtype=x.dtype, kernel_init=kernel, name=name)(x)
            bias = self.param(f"bias_{i}", nn.initializers.zeros, (size,), jnp.float32)
            x = self.activation(add_bias(x, bias))
        return x
