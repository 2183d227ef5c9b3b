"""What categories tell of latents by themselves: a code that a world model begins with."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ssmrl.nets.dense import Dense
from ssmrl.world_model.categories import Categories
from ssmrl.world_model.latents import Latents
from ssmrl.world_model.parts import Part

CONFIDENCE = 3.0  # that of a group in its class at first, as the logarithm of odds


class Code(nn.Module):
    """Logits of the latents, of categories alone: packed parts to float32 [..., G * C].

    A layer whose weights begin as ``first_code``, so that at first a group of latents stands for
    one entry of the observation. Of an MLP alone every group is a mixture of all entries: one card
    that is turned changes many groups, and what a memory has to foretell is a scrambled board.
    """

    parts: tuple[Part, ...]
    latents: Latents

    @nn.compact
    def __call__(self, packed: Sequence[jax.Array]) -> jax.Array:
        pairs = zip(self.parts, packed, strict=True)
        told = [(part, x) for part, x in pairs if isinstance(part, Categories)]
        if not told:
            return jnp.float32(0)
        sizes = [size for part, _ in told for size in part.one_hots]
        init = lambda *_: first_code(sizes, self.latents.groups, self.latents.classes)  # noqa: E731
        x = jnp.concatenate([part.features(x) for part, x in told], axis=-1)
        return Dense(self.latents.size, kernel_init=init, name="Dense")(x)


def first_code(sizes: Sequence[int], groups: int, classes: int) -> jax.Array:
    """Return weights from one-hots of ``sizes`` to logits of latents: float32 [sum, G * C].

    An entry of more categories than classes takes several groups, for the digits of its category's
    number to base C. Groups that are left over begin with nothing, entries without one as well.
    """
    digits = [(i, d) for i, size in enumerate(sizes) for d in range(_length(size, classes))]
    ends = np.cumsum([0, *sizes])
    stands_for = np.full((ends[-1], groups), -1)  # for which class
    for group, (entry, digit) in enumerate(digits[:groups]):
        numbers = np.arange(sizes[entry])
        stands_for[ends[entry] + numbers, group] = numbers // classes**digit % classes
    one_hots = jax.nn.one_hot(stands_for, classes, dtype=jnp.float32)  # of -1 zeros
    return (math.log(classes) + CONFIDENCE) * one_hots.reshape(ends[-1], groups * classes)


def _length(size: int, classes: int) -> int:
    """Return how many digits to a base numbers below ``size`` have, at least one."""
    length = 1
    while classes > 1 and classes**length < size:
        length += 1
    return length
