"""All arrays of a tree as the rows of one matrix, for what is done to each array by itself."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

WIDTH = 512


@dataclass(frozen=True)
class Rows:
    """How float32 arrays become one matrix [R, WIDTH], and come back.

    Each array begins a row of its own, with zeros behind its end. So the norms of all arrays are a
    sum along rows and one over them, where a vector of all numbers would take kernels for each.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tree: Any) -> "Rows":
        """Return the rows of trees with this one's structure and shapes."""
        leaves, structure = jax.tree.flatten(tree)
        return cls(structure, tuple(x.shape for x in leaves))

    def pack(self, tree: Any) -> jax.Array:
        """Return a tree's arrays as rows."""
        pieces = []
        for x, count in zip(jax.tree.leaves(tree), self._counts, strict=True):
            flat = jnp.pad(jnp.ravel(x), (0, count * WIDTH - x.size))
            pieces.append(flat.reshape(count, WIDTH))
        return jnp.concatenate(pieces)

    def unpack(self, rows: jax.Array) -> Any:
        """Return the tree whose arrays these rows are."""
        pieces = jnp.split(rows, np.cumsum(self._counts)[:-1])
        leaves = [
            jnp.ravel(piece)[: math.prod(shape)].reshape(shape)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def norms(self, rows: jax.Array) -> jax.Array:
        """Return the Euclidean norm of each array, [A]."""
        squares = jnp.square(rows).sum(axis=1)
        mine = jnp.arange(len(self.shapes))[:, None] == self._array_of_row[None]
        return jnp.sqrt(jnp.where(mine, squares[None], 0).sum(axis=1))

    def spread(self, numbers: jax.Array) -> jax.Array:
        """Return one number of each array, [A], for each of its rows: [R, 1]."""
        return numbers[self._array_of_row][:, None]

    @cached_property
    def _counts(self) -> list[int]:
        return [-(-math.prod(shape) // WIDTH) for shape in self.shapes]

    @cached_property
    def _array_of_row(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.shapes), dtype=np.int32), self._counts)
