"""The multi-layer perceptron used on both sides of the memory."""

from collections.abc import Callable, Sequence

import jax
from flax import linen as nn


class MLP(nn.Module):
    """Dense layers, each followed by the activation: [..., F] -> [..., sizes[-1]]."""

    sizes: Sequence[int]
    scale: float = 2**0.5  # of the orthogonal initialisation
    activation: Callable[[jax.Array], jax.Array] = nn.leaky_relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for size in self.sizes:
            x = self.activation(
                nn.Dense(size, kernel_init=nn.initializers.orthogonal(self.scale))(x)
            )
        return x
