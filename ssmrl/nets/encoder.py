"""The encoder of observations that hold an image."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.mlp import MLP


class ConvEncoder(nn.Module):
    """Convolutions over the image in a flat observation, then an MLP: [..., F] -> [..., sizes[-1]].

    Blocks of pixels that do not overlap become cells with 32 features each, until no side has
    more than ten; a convolution of 3 x 3 over the cells follows, with 16 features as in MinAtar
    (Young & Tian 2019). The MLP sees all of these, and beside them what else the observation
    holds. Works in the dtype of its input; parameters are float32.

    Convolutions are written as matrix products: in a loop XLA's own take 6 to 200 times as long
    on a CPU.

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
        ends = (self.offset, self.offset + height * width * channels)
        before, image, after = jnp.split(x, ends, axis=-1)
        cells = image.reshape(-1, *self.shape)
        for i, side in enumerate(block_sides(height, width)):
            cells = MLP((32,), name=f"Blocks_{i}")(_blocks(cells, side))
        cells = MLP((16,), name="Cells")(neighbourhoods(cells))
        seen = cells.reshape(*x.shape[:-1], -1)
        return MLP(self.sizes, name="MLP")(jnp.concatenate([seen, before, after], axis=-1))


def block_sides(height: int, width: int) -> list[int]:
    """Return the sides of the blocks, layer by layer: 128 pixels shrink to 32, 16 and 8."""
    longer, sides = max(height, width), []
    while longer > 10:
        sides.append(4 if longer > 32 else 2)
        longer = -(-longer // sides[-1])
    return sides


def _blocks(image: jax.Array, side: int) -> jax.Array:
    """Return the pixels of each block, [N, ceil(H/side), ceil(W/side), side * side * C]."""
    n, height, width, channels = image.shape
    rows, columns = -(-height // side), -(-width // side)
    missing = (0, rows * side - height), (0, columns * side - width)
    image = jnp.pad(image, ((0, 0), *missing, (0, 0)))
    image = image.reshape(n, rows, side, columns, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return image.reshape(n, rows, columns, -1)


def neighbourhoods(cells: jax.Array) -> jax.Array:
    """Return each cell with its eight neighbours, zeros beyond the edge: [N, H, W, 9 * C]."""
    _, height, width, _ = cells.shape
    padded = jnp.pad(cells, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifts, axis=-1)
