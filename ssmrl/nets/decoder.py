"""The decoder of images: the encoder's way back."""

from math import prod

import jax
from flax import linen as nn

from ssmrl.nets.dense import Dense
from ssmrl.nets.encoder import block_sides, neighbourhoods
from ssmrl.nets.mlp import MLP


class ConvDecoder(nn.Module):
    """Features become an image in row-major order: [..., H] -> [..., height * width * channels].

    A layer makes the cells of which ``ConvEncoder`` has at most ten on a side, with 16 features
    each; a convolution of 3 x 3 over these follows, with 32; then every cell becomes a block of
    smaller cells, until these are pixels. Works in the dtype of its input but for the last layer,
    which is float32 and has no activation; parameters are float32.

    Args:
        shape: height, width and channels.
    """

    shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        height, width, channels = self.shape
        sides = block_sides(height, width) or [1]
        whole = prod(sides)
        rows, columns = -(-height // whole), -(-width // whole)
        cells = MLP((rows * columns * 16,), name="Seen")(x).reshape(-1, rows, columns, 16)
        cells = MLP((32,), name="Cells")(neighbourhoods(cells))
        for i in range(len(sides) - 1, 0, -1):
            cells = _cells(MLP((sides[i] ** 2 * 32,), name=f"Blocks_{i}")(cells), sides[i])
        pixels = _cells(Dense(sides[0] ** 2 * channels, name="Pixels")(cells), sides[0])
        return pixels[:, :height, :width].reshape(*x.shape[:-1], -1)


def _cells(blocks: jax.Array, side: int) -> jax.Array:
    """Return what blocks [N, H, W, side * side * C] consist of: [N, H * side, W * side, C]."""
    n, rows, columns, _ = blocks.shape
    cells = blocks.reshape(n, rows, columns, side, side, -1).transpose(0, 1, 3, 2, 4, 5)
    return cells.reshape(n, rows * side, columns * side, -1)
