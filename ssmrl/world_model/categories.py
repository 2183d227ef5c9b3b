"""Parts of observations that are categories: one-hot going in, categorical coming out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.nets.affine import as_rank_of
from ssmrl.nets.factored import factored_logits, factored_size


class Categories(ABC):
    """Columns or groups of columns that hold one of a few values each, packed as its number."""

    @property
    @abstractmethod
    def classes(self) -> tuple[int, ...]:
        """How many numbers each packed entry knows, from 0: [k]."""

    @property
    @abstractmethod
    def one_hots(self) -> tuple[int, ...]:
        """How many columns of the features each entry has, of which at most one is 1: [k]."""

    @property
    def outputs(self) -> int:
        """Logits of all numbers of all entries."""
        return factored_size(self.classes)

    @property
    def dtype(self) -> np.dtype:
        """What the largest number fits into."""
        return np.min_scalar_type(max(self.classes) - 1)

    def log_probs(self, outputs: jax.Array) -> jax.Array:
        """Return the logarithms of all probabilities, float32 [..., k, most classes]."""
        return jax.nn.log_softmax(factored_logits(outputs.astype(jnp.float32), self.classes))

    def log_prob(self, outputs: jax.Array, packed: jax.Array) -> jax.Array:
        """Return the log-probability of the numbers, categorical and independent."""
        log_probs = self.log_probs(outputs)
        numbers = jnp.arange(max(self.classes)).reshape((1,) * packed.ndim + (-1,))
        return jnp.sum(jnp.where(packed[..., None] == numbers, log_probs, 0), axis=(-2, -1))

    def most_likely(self, outputs: jax.Array) -> jax.Array:
        """Return the likeliest number of each entry."""
        return jnp.argmax(factored_logits(outputs, self.classes), axis=-1).astype(self.dtype)


@dataclass(frozen=True)
class OneHots(Categories):
    """Categories, one-hot side by side, ``sizes[i]`` of the i-th.

    A group of columns may also be all zeros, as the previous action is at a start. Packed, a
    category is its number plus 1, and no category is 0.
    """

    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """The columns of all groups."""
        return sum(self.sizes)

    @property
    def classes(self) -> tuple[int, ...]:
        """The categories, and none."""
        return tuple(n + 1 for n in self.sizes)

    @property
    def one_hots(self) -> tuple[int, ...]:
        """The categories; none has no column."""
        return self.sizes

    def pack(self, x: jax.Array) -> jax.Array:
        """Return what stands in each group: [..., len(sizes)]."""
        group, number = _slots(self.sizes)
        weights = np.zeros((self.size, len(self.sizes)), np.float32)
        weights[np.arange(self.size), group] = number + 1
        # A sum of one product, so exact; but not where a GPU would keep eleven bits of it.
        return jnp.matmul(x, weights, precision="highest").astype(self.dtype)

    def unpack(self, packed: jax.Array) -> jax.Array:
        """Return the one-hots, or zeros where there is none."""
        group, number = _slots(self.sizes)
        return _equal(packed[..., group], number + 1)

    def features(self, packed: jax.Array) -> jax.Array:
        """Return the columns as they are."""
        return self.unpack(packed)


@dataclass(frozen=True)
class Integers(Categories):
    """Integers from ``low`` to ``high``, in the flat observation shares of this range.

    Bounds are those of every column, or one for each. Packed as what they are above ``low``; to
    encoder and decoder they are categories.
    """

    size: int
    low: int | tuple[int, ...]
    high: int | tuple[int, ...]

    @property
    def classes(self) -> tuple[int, ...]:
        """The values of each column."""
        return tuple(int(n) + 1 for n in self._range)

    @property
    def one_hots(self) -> tuple[int, ...]:
        """A column for each value."""
        return self.classes

    @property
    def _range(self) -> np.ndarray:
        return np.broadcast_to(np.subtract(self.high, self.low), (self.size,))

    def pack(self, x: jax.Array) -> jax.Array:
        """Return the integers above ``low``."""
        ranges = as_rank_of(x, jnp.asarray(self._range, jnp.float32))
        return jnp.round(x * ranges).astype(self.dtype)

    def unpack(self, packed: jax.Array) -> jax.Array:
        """Return the shares, rounded as ``envs.spaces.encode`` rounds them."""
        inverse = np.float32(1) / np.maximum(self._range, 1).astype(np.float32)
        return packed.astype(jnp.float32) * as_rank_of(packed, jnp.asarray(inverse))

    def features(self, packed: jax.Array) -> jax.Array:
        """Return the values one-hot, column by column."""
        column, number = _slots(self.classes)
        return _equal(packed[..., column], number)


def _slots(sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return of one-hots side by side whose each column is, and for which number it stands."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return owner, np.concatenate([np.arange(n) for n in sizes])


def _equal(x: jax.Array, numbers: np.ndarray) -> jax.Array:
    return (x == as_rank_of(x, jnp.asarray(numbers))).astype(jnp.float32)
