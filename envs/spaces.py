"""Spaces: gymnax's own, the one that it lacks, and their encoding as flat float vectors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments.spaces import Box, Dict, Discrete, Space, Tuple

from ssmrl.errors import UsageError, shown

__all__ = [
    "Box",
    "Dict",
    "Discrete",
    "MultiDiscrete",
    "Space",
    "Tuple",
    "contains",
    "dtype_of",
    "encode",
    "encoded_parts",
    "encoded_size",
    "encoded_space",
    "leaves",
    "two_sided",
]

HUGE = 1e6  # a bound beyond which stands for none


class MultiDiscrete(Space):
    """A vector of ``k`` integers, the i-th from 0 to ``nvec[i] - 1``.

    Args:
        nvec: the ``k`` numbers of categories, each at least 1; raises ``UsageError`` otherwise.
    """

    def __init__(self, nvec: Sequence[int] | np.ndarray):
        given = np.asarray(nvec)
        whole = given.dtype.kind in "iu" and given.ndim == 1 and given.size > 0
        if not whole or not (given.min() >= 1 and given.max() < 2**31):
            raise UsageError(f"MultiDiscrete needs a list of whole numbers >= 1, not {shown(nvec)}")
        self.nvec = given.astype(np.int32)
        self.shape = self.nvec.shape
        self.dtype = jnp.dtype(jnp.int32)

    def __repr__(self) -> str:
        """Return the configured numbers of categories and the dtype."""
        return f"MultiDiscrete({self.nvec.tolist()}, dtype={self.dtype.name})"

    def sample(self, key: jax.Array) -> jax.Array:
        """Sample each entry uniformly and independently: int32 [k]."""
        return jax.random.randint(key, self.shape, 0, self.nvec, dtype=self.dtype)

    def contains(self, x: jax.Array) -> jax.Array:
        """Return whether every entry lies in its range: bool []."""
        x = jnp.asarray(x)
        return jnp.all((x >= 0) & (x < self.nvec))


def contains(space: Space, x: Any) -> jax.Array:
    """Return whether every part of ``x`` lies within the bounds of ``space``: bool []."""
    if isinstance(space, Box):
        return jnp.all((x >= space.low) & (x <= space.high))
    if isinstance(space, Discrete | MultiDiscrete):
        return jnp.all((x >= 0) & (x < (space.n if isinstance(space, Discrete) else space.nvec)))
    parts = [contains(child, _part(x, key)) for key, child in _children(space)]
    return jnp.stack(parts).all()


def dtype_of(space: Space) -> jnp.dtype:
    """Return the dtype of elements as JAX has it: float32 for float64 where x64 is off."""
    return jax.dtypes.canonicalize_dtype(space.dtype)


def two_sided(space: Box) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return low, high and bool, each of the space's shape: where an entry has both bounds.

    Where it lacks one, low and high are -1 and 1: a map between bounds then leaves it as it is.
    """
    low, high = _bounds_of(space)
    both = (low >= -HUGE) & (high <= HUGE)
    return jnp.where(both, low, -1.0), jnp.where(both, high, 1.0), both


def encode(space: Space, x: Any) -> jax.Array:
    """Return ``x`` from ``space`` as one float32 vector [encoded_size(space)].

    Box: its entries in row-major order, floats as they are, integers that have both bounds mapped
    from these to 0 and 1, so that bytes become shares of 255; Discrete: one-hot; MultiDiscrete:
    one-hots side by side; Dict (by sorted key) and Tuple: the encodings of their parts side by
    side.
    """
    if isinstance(space, Box):
        return _between_bounds(space, jnp.asarray(x)).reshape(-1)
    if isinstance(space, Discrete):
        return jax.nn.one_hot(x, space.n, dtype=jnp.float32)
    if isinstance(space, MultiDiscrete):
        # Slot s stands for the value value_of[s] of the entry entry_of[s].
        entry_of = np.repeat(np.arange(space.nvec.size), space.nvec)
        value_of = np.concatenate([np.arange(n) for n in space.nvec])
        return (jnp.asarray(x)[entry_of] == value_of).astype(jnp.float32)
    parts = [encode(child, _part(x, key)) for key, child in _children(space)]
    return jnp.concatenate(parts)


def encoded_size(space: Space) -> int:
    """Return the length of the vectors that ``encode`` makes for ``space``."""
    if isinstance(space, Box):
        return int(np.prod(space.shape, dtype=np.int64))
    if isinstance(space, Discrete):
        return int(space.n)
    if isinstance(space, MultiDiscrete):
        return int(space.nvec.sum())
    return sum(encoded_size(child) for _, child in _children(space))


def encoded_parts(space: Space, offset: int = 0) -> Iterator[tuple[int, Space]]:
    """Yield every part of ``space`` that has no parts, and where its encoding begins."""
    if not isinstance(space, Dict | Tuple):
        yield offset, space
        return
    for _, child in _children(space):
        yield from encoded_parts(child, offset)
        offset += encoded_size(child)


def leaves(space: Space, x: Any) -> Iterator[tuple[Space, Any]]:
    """Yield every part of ``space`` that has no parts, and what of ``x`` is in it, as encoded."""
    if not isinstance(space, Dict | Tuple):
        yield space, x
        return
    for key, child in _children(space):
        yield from leaves(child, _part(x, key))


def encoded_space(space: Space) -> Box:
    """Return the Box [encoded_size(space)] in which ``encode`` places the values of ``space``."""
    low, high = _bounds(space)
    return Box(low, high, (encoded_size(space),), jnp.float32)


def _bounds(space: Space) -> tuple[jax.Array, jax.Array]:
    if isinstance(space, Box):
        low, high = _bounds_of(space)
        mapped = two_sided(space)[2] & _is_integer(space)
        return jnp.where(mapped, 0.0, low).ravel(), jnp.where(mapped, 1.0, high).ravel()
    if isinstance(space, Discrete | MultiDiscrete):
        size = encoded_size(space)
        return jnp.zeros(size), jnp.ones(size)
    lows, highs = zip(*(_bounds(child) for _, child in _children(space)), strict=True)
    return jnp.concatenate(lows), jnp.concatenate(highs)


def _bounds_of(space: Box) -> tuple[jax.Array, jax.Array]:
    shape = tuple(space.shape)
    low, high = (jnp.asarray(bound, jnp.float32) for bound in (space.low, space.high))
    return jnp.broadcast_to(low, shape), jnp.broadcast_to(high, shape)


def _is_integer(x: Any) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.integer))


def _between_bounds(space: Box, x: jax.Array) -> jax.Array:
    """Return float32, integers mapped from their bounds to 0 and 1.

    Spaces that promise integers where the environment gives floats say nothing of these.
    """
    numbers = x.astype(jnp.float32)
    if not _is_integer(space) or not _is_integer(x):
        return numbers
    low, high, both = two_sided(space)
    # A product with the inverse is never above 1, however a compiler rounds a division.
    share = (numbers - low) * (1 / jnp.maximum(high - low, 1.0))
    return jnp.where(both, share, numbers)


def _children(space: Space) -> list[tuple[Any, Space]]:
    if isinstance(space, Dict):
        return sorted(space.spaces.items(), key=lambda item: str(item[0]))
    if isinstance(space, Tuple):
        return list(enumerate(space.spaces))
    raise UsageError(
        f"cannot flatten a space of type {type(space).__module__}.{type(space).__qualname__}; "
        "known are Box, Discrete, MultiDiscrete, Dict and Tuple of envs.spaces"
    )


def _part(x: Any, key: Any) -> Any:
    # gymnax's own Dict observations may be dataclasses, whose parts are attributes.
    by_key = isinstance(x, Mapping) or isinstance(key, int)
    return x[key] if by_key else getattr(x, key)
