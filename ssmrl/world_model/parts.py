"""What a flat observation consists of, and how each part of it is kept, seen and foretold.

A part is some columns of the flat observation. Replay keeps it packed, in the narrowest dtype that
loses nothing; the encoder sees its features; and the decoder's numbers for it are a likelihood of
the packed part. Categories are one-hot on their way in and categorical on their way out: nothing
ever takes their numbers for magnitudes. Parts are constants, equal where they are alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.errors import UsageError
from ssmrl.rl.two_hot import symexp, symlog
from ssmrl.world_model.categories import Categories, Integers, OneHots

__all__ = [
    "Categories",
    "Image",
    "Integers",
    "Numbers",
    "OneHots",
    "Part",
    "pack",
    "total_size",
    "unpack",
]


class Part(Protocol):
    """Some columns of a flat observation."""

    @property
    def size(self) -> int:
        """How many columns it has."""

    @property
    def outputs(self) -> int:
        """How many numbers foretell it."""

    def pack(self, x: jax.Array) -> jax.Array:
        """Return columns [..., size] as they are kept: [..., k]."""

    def unpack(self, packed: jax.Array) -> jax.Array:
        """Return the columns again, float32 [..., size]: to the bit what was packed."""

    def features(self, packed: jax.Array) -> jax.Array:
        """Return what an encoder sees of it, float32 [..., F]."""

    def log_prob(self, outputs: jax.Array, packed: jax.Array) -> jax.Array:
        """Return the log-likelihood, summed over columns: [..., outputs] and [..., k] to [...]."""

    def most_likely(self, outputs: jax.Array) -> jax.Array:
        """Return the likeliest values, packed: [..., outputs] to [..., k]."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of any size: seen and foretold as their ``symlog`` (Hafner et al. 2023)."""

    size: int

    @property
    def outputs(self) -> int:
        """A mean for each."""
        return self.size

    def pack(self, x: jax.Array) -> jax.Array:
        """Return them as they are."""
        return x.astype(jnp.float32)

    def unpack(self, packed: jax.Array) -> jax.Array:
        """Return them as they are."""
        return packed

    def features(self, packed: jax.Array) -> jax.Array:
        """Return their symlog."""
        return symlog(packed)

    def log_prob(self, outputs: jax.Array, packed: jax.Array) -> jax.Array:
        """Return that of Gaussians of variance 1 in symlog, without the constant log √2π each."""
        return -0.5 * jnp.sum(jnp.square(symlog(packed) - outputs.astype(jnp.float32)), axis=-1)

    def most_likely(self, outputs: jax.Array) -> jax.Array:
        """Return the means."""
        return symexp(outputs.astype(jnp.float32))


@dataclass(frozen=True)
class Image:
    """Pixels in row-major order: in the flat observation bytes as shares of 255, else floats."""

    height: int
    width: int
    channels: int
    is_bytes: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, self.channels

    @property
    def size(self) -> int:
        """The numbers of all pixels."""
        return self.height * self.width * self.channels

    @property
    def outputs(self) -> int:
        """A mean for each."""
        return self.size

    def pack(self, x: jax.Array) -> jax.Array:
        """Return the bytes, uint8, or the floats as they are."""
        return jnp.round(x * 255).astype(jnp.uint8) if self.is_bytes else x.astype(jnp.float32)

    def unpack(self, packed: jax.Array) -> jax.Array:
        """Return the floats, or the bytes as shares of 255."""
        if not self.is_bytes:
            return packed
        return packed.astype(jnp.float32) * (np.float32(1) / np.float32(255))

    def features(self, packed: jax.Array) -> jax.Array:
        """Return the columns as they are."""
        return self.unpack(packed)

    def log_prob(self, outputs: jax.Array, packed: jax.Array) -> jax.Array:
        """Return that of Gaussians of variance 1/2, without a constant: minus squared errors."""
        error = self.unpack(packed) - outputs.astype(jnp.float32)
        return -jnp.sum(jnp.square(error), axis=-1)

    def most_likely(self, outputs: jax.Array) -> jax.Array:
        """Return the means; of bytes those nearest to them."""
        outputs = outputs.astype(jnp.float32)
        return self.pack(jnp.clip(outputs, 0, 1) if self.is_bytes else outputs)


def total_size(parts: Sequence[Part]) -> int:
    """Return the length of the flat observations that consist of these parts."""
    return sum(part.size for part in parts)


def pack(parts: Sequence[Part], x: jax.Array) -> tuple[jax.Array, ...]:
    """Return flat observations [..., F] part by part, each as it is kept.

    Raises ``UsageError`` where the parts have not F columns in all.
    """
    if x.shape[-1] != total_size(parts):
        raise UsageError(
            f"observations have {x.shape[-1]} columns, but their parts {total_size(parts)}"
        )
    ends = list(accumulate(part.size for part in parts))
    pieces = jnp.split(x, ends[:-1], axis=-1)
    return tuple(part.pack(piece) for part, piece in zip(parts, pieces, strict=True))


def unpack(parts: Sequence[Part], packed: Sequence[jax.Array]) -> jax.Array:
    """Return the flat observations that were packed, to the bit: [..., F]."""
    pieces = [part.unpack(piece) for part, piece in zip(parts, packed, strict=True)]
    return jnp.concatenate(pieces, axis=-1)
