"""The encoder of observations that hold an image."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.affine import add_bias
from ssmrl.nets.mlp import MLP


class ConvEncoder(nn.Module):
    """Convolutions over the image in a flat observation, then an MLP: [..., F] -> [..., sizes[-1]].

    The MLP sees the last feature map and beside it all else that the observation holds. Works in
    the dtype of its input; parameters are float32.

    Args:
        offset: where the image begins in the observation, in row-major order.
        shape: its height, width and channels.
        sizes: of the MLP's layers.
    """

    offset: int
    shape: tuple[int, int, int]
    sizes: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        height, width, channels = self.shape
        before, image, after = jnp.split(
            x, (self.offset, self.offset + height * width * channels), axis=-1
        )
        image = image.reshape(-1, *self.shape)
        for i, (kernel, stride) in enumerate(convolutions(height, width)):
            image = nn.leaky_relu(self._convolved(image, i, kernel, stride))
        seen = image.reshape(*x.shape[:-1], -1)
        return MLP(self.sizes, name="MLP")(jnp.concatenate([seen, before, after], axis=-1))

    def _convolved(self, image: jax.Array, i: int, kernel: int, stride: int) -> jax.Array:
        features = 16 if i == 0 else 32
        y = nn.Conv(
            *(features, (kernel, kernel), (stride, stride)),
            use_bias=False,
            dtype=image.dtype,
            kernel_init=nn.initializers.orthogonal(2**0.5),
            name=f"Conv_{i}",
        )(image)
        return add_bias(y, self.param(f"bias_{i}", nn.initializers.zeros, (features,)))


def convolutions(height: int, width: int) -> list[tuple[int, int]]:
    """Return kernel size and stride of each: strides until the longer side is 10 or less.

    A grid of 10 cells keeps its cells (as in MinAtar, Young & Tian 2019); frames shrink as
    in Mnih et al. 2015, 128 pixels to 32, 16 and 8.
    """
    side, layers = max(height, width), []
    if side > 32:
        side, layers = _shrunk(side, 4), [(8, 4)]
    while side > 10:
        side, layers = _shrunk(side, 2), [*layers, (4, 2)]
    return [*layers, (3, 1)]


def _shrunk(side: int, stride: int) -> int:
    return -(-side // stride)
