"""Check the spaces of an environment, which people fill with whatever Python takes."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple, dtype_of
from ssmrl.errors import UsageError, shown

ACTIONS = (Discrete, MultiDiscrete, Box)
OBSERVATIONS = (*ACTIONS, Dict, Tuple)


def check_action_space(what: str, space: Any) -> None:
    """Raise ``UsageError`` unless it is a Discrete, a MultiDiscrete or a Box of floats."""
    check_space(what, space, ACTIONS)
    if isinstance(space, Box) and not jnp.issubdtype(space.dtype, jnp.floating):
        raise UsageError(
            f"{what} is {space!r}, but a Box of actions must be of floats; make it a Discrete or "
            "a MultiDiscrete"
        )
    if isinstance(space, Box) and 0 in space.shape:
        raise UsageError(f"{what} is a Box of shape {space.shape}, but must have an entry at least")


def like_action(space: Space) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of an action."""
    return jax.ShapeDtypeStruct(space.shape, dtype_of(space))


def check_space(what: str, space: Any, kinds: tuple[type[Space], ...] = OBSERVATIONS) -> None:
    """Raise ``UsageError``, which begins with ``what``, where a space cannot be worked with."""
    if not isinstance(space, kinds):
        *names, last = (kind.__name__ for kind in kinds)
        raise UsageError(
            f"{what} is {_words(space)}, but must be one of {', '.join(names)} and {last} of "
            "envs.spaces"
        )
    if isinstance(space, Dict | Tuple):
        for key, child in _children(what, space):
            check_space(f"{what}[{key!r}]", child)
    elif isinstance(space, Box):
        _check_box(what, space)
    elif isinstance(space, Discrete) and not (_is_whole(space.n) and 1 <= space.n < 2**31):
        raise UsageError(
            f"{what} is a Discrete of {shown(space.n)}, but must have a whole number from 1 to "
            f"{2**31 - 1}"
        )


def _children(what: str, space: Dict | Tuple) -> list[tuple[Any, Any]]:
    kind, wanted = (Mapping, "mapping") if isinstance(space, Dict) else (Sequence, "sequence")
    fits = isinstance(space.spaces, kind) and len(space.spaces)
    if not fits:
        raise UsageError(
            f"{what} is a {type(space).__name__} of {space.spaces!r}, but must have a {wanted} "
            "with at least one space"
        )
    return list(space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces))


def _check_box(what: str, space: Box) -> None:
    shape = space.shape
    if not isinstance(shape, tuple) or not all(_is_whole(n) and n >= 0 for n in shape):
        raise UsageError(f"{what} is a Box of shape {shape!r}, but must have a tuple of numbers")
    if math.prod(shape) >= 2**31:
        raise UsageError(
            f"{what} is a Box of shape {shape!r}, but must have fewer than 2**31 entries"
        )
    try:
        dtype = jnp.dtype(space.dtype)
    except TypeError:
        raise UsageError(f"{what} is a Box of dtype {space.dtype!r}, which is none") from None
    if not _is_real(dtype):
        raise UsageError(f"{what} is a Box of {dtype}, but must be of real numbers")
    low, high = (_bound(what, space, name) for name in ("low", "high"))
    wrong = ~((low <= high) & (low < np.inf) & (high > -np.inf))  # as NaN is to nothing
    if wrong.any():
        entry = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise UsageError(
            f"{what} is a Box from {low[entry]:g} to {high[entry]:g}"
            f"{f' at {list(entry)}' if entry else ''}, but low must not be above high or NaN"
        )


def _bound(what: str, space: Box, name: str) -> np.ndarray:
    """Return a bound, of the space's shape."""
    bound = getattr(space, name)
    is_number = hasattr(bound, "dtype") or isinstance(bound, int | float)
    if is_number and _is_real(np.asarray(bound).dtype):
        with contextlib.suppress(ValueError):  # that it does not broadcast
            return np.broadcast_to(np.asarray(bound, np.float64), space.shape)
    raise UsageError(
        f"{what} is a Box with {name}={bound!r}, but must have a number or an array that "
        f"broadcasts to {space.shape}"
    )


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _is_real(dtype: Any) -> bool:
    return any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))


def _words(space: Any) -> str:
    package = type(space).__module__.partition(".")[0]  # gymnasium's spaces look like gymnax's
    words = f"a {type(space).__name__}" if " object at 0x" in repr(space) else repr(space)
    return words if package == "builtins" else f"{words} of {package}"
