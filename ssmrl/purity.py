"""What shows that code depends on, or changes, something beside its arguments."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Program = tuple[str, list[bytes]]


def program(function: Callable[..., Any], *args: Any) -> Program:
    """Return what ``function`` traces to: equal for two tracings where nothing else plays in.

    Forgets what JAX has compiled, or what is jitted inside would not be traced again.
    """
    jax.clear_caches()
    traced = jax.make_jaxpr(lambda *args: function(*args))(*args)
    if any(isinstance(constant, jax.core.Tracer) for constant in traced.consts):
        raise jax.errors.UnexpectedTracerError("it goes on with what it computed when last traced")
    constants = [np.asarray(plain(constant)).tobytes() for constant in traced.consts]
    return re.sub(r"0x[0-9a-f]+", "", str(traced)), constants


def kept(things: Iterable[Any]) -> dict[tuple[int, str], tuple[int, int]]:
    """Return what shows that attributes of ``things`` are replaced or grow."""
    sized = (list, dict, set)
    return {
        (place, name): (id(value), len(value) if isinstance(value, sized) else 0)
        for place, thing in enumerate(things)
        for name, value in vars(thing).items()
    }


def changed_attribute(before: dict, after: dict) -> str | None:
    """Return the name of an attribute that two results of :func:`kept` disagree on."""
    return next((place[1] for place, what in after.items() if before.get(place) != what), None)


def plain(leaf: Any) -> Any:
    """Return the numbers of a typed random key, anything else as it is."""
    is_key = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
