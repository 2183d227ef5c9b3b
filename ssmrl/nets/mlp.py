"""The multi-layer perceptron used on both sides of the memory."""

from collections.abc import Callable, Sequence

import jax
from flax import linen as nn

from ssmrl.nets.dense import Dense


class MLP(nn.Module):
    """Dense layers, each followed by the activation: [..., F] -> [..., sizes[-1]].

    Works in the dtype of its input; parameters are float32.
    """

    sizes: Sequence[int]
    gain: float = 2**0.5  # of the orthogonal initialisation
    activation: Callable[[jax.Array], jax.Array] = nn.leaky_relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.orthogonal(self.gain)
        for i, size in enumerate(self.sizes):
            layer = Dense(size, dtype=x.dtype, kernel_init=init, name=f"Dense_{i}")
            x = self.activation(layer(x))
        return x
