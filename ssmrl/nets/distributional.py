"""Real numbers as distributions over bins: how they are encoded, read out and learnt."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.dense import Dense
from ssmrl.rl import two_hot


@dataclass(frozen=True)
class Bins(ABC):
    """Bins that lie symmetrically about 0, spread out or squashed so that large numbers fit.

    Equal logits mean exactly 0, as those of ``head`` are at first.

    Args:
        num: how many; odd, so that the middle one is 0.
        largest: of the last one, on the scale on which they are even.
    """

    num: int
    largest: float

    @abstractmethod
    def encode(self, x: jax.Array) -> jax.Array:
        """Return numbers [...] as probabilities [..., K]; those beyond the last bin become it."""

    @abstractmethod
    def mean(self, logits: jax.Array) -> jax.Array:
        """Return the numbers for which logits [..., K] stand: float32 [...]."""

    def loss(self, logits: jax.Array, x: jax.Array) -> jax.Array:
        """Return the cross-entropies of numbers [...] under logits [..., K]; x has no gradient."""
        return two_hot.cross_entropy(logits.astype(jnp.float32), self.encode(x))

    def head(self) -> Dense:
        """Return the layer that makes logits, with a kernel of zeros: every mean is 0 at first."""
        return Dense(self.num, kernel_init=nn.initializers.zeros)

    @property
    def even(self) -> jax.Array:
        """Centres on the scale on which they are even, [K]."""
        return two_hot.symmetric_bins(self.num, self.largest)


@dataclass(frozen=True)
class SymexpBins(Bins):
    """Bins at the symexp of even ones: the mean is that of the numbers (Hafner et al. 2023).

    The published ones reach from -485 to 485 million, and are 0.17 apart around 0.
    """

    num: int = 255
    largest: float = 20.0

    def encode(self, x: jax.Array) -> jax.Array:
        """Return the two-hots of numbers."""
        return two_hot.two_hot(x, two_hot.symexp(self.even))

    def mean(self, logits: jax.Array) -> jax.Array:
        """Return the means."""
        return two_hot.mean(logits.astype(jnp.float32), two_hot.symexp(self.even))


@dataclass(frozen=True)
class RootBins(Bins):
    """Even bins of the numbers' signed root, of which the mean is undone (Hessel et al. 2021)."""

    num: int = 601
    largest: float = 300.0

    def encode(self, x: jax.Array) -> jax.Array:
        """Return the two-hots of signed roots."""
        return two_hot.two_hot(two_hot.signed_root(x), self.even)

    def mean(self, logits: jax.Array) -> jax.Array:
        """Return the numbers of which the signed roots have these means."""
        return two_hot.signed_root_inverse(two_hot.mean(logits.astype(jnp.float32), self.even))
