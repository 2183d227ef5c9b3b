"""What wrappers ask of their arguments and of the environment, before anything is traced."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from envs.spaces import Box, Space
from envs.wrappers.base import Wrapper
from ssmrl.errors import UsageError


def whole_number(wrapper: Wrapper, name: str, value: Any, least: int) -> int:
    """Return the argument ``name``; raises ``UsageError`` unless it is whole and >= ``least``."""
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    raise usage_error(wrapper, f"needs a whole number {name} >= {least}, not {value!r}")


def number(
    wrapper: Wrapper,
    name: str,
    value: Any,
    most: float = math.inf,
    zero: bool = True,
    least: float = 0.0,
) -> float:
    """Return the argument ``name``.

    Raises ``UsageError`` unless it is finite and from ``least``, 0 or no bound at all (-inf), to
    ``most``; 0 included if ``zero``.
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if real and math.isfinite(value) and least <= value <= most and (zero or value > 0):
        return float(value)
    bounds = (" >= 0" if zero else " > 0") if math.isinf(most) else f" from 0 to {most:g}"
    bounds = "" if math.isinf(least) else bounds
    raise usage_error(wrapper, f"needs a finite number {name}{bounds}, not {value!r}")


def numbers(wrapper: Wrapper, name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the argument ``name`` as float32 of this shape.

    Raises ``UsageError`` unless it is finite numbers that broadcast to it.
    """
    try:
        array = np.broadcast_to(np.asarray(value, np.float32), shape)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if np.isfinite(array).all():
        return array
    raise usage_error(
        wrapper, f"needs finite numbers {name} for observations of shape {shape}, not {value!r}"
    )


def box_observation(wrapper: Wrapper) -> Box:
    """Return the observation space below; raises ``UsageError`` unless it is a Box."""
    space = _at_defaults(wrapper, wrapper.env.observation_space)
    if isinstance(space, Box):
        return space
    raise _not_flat(wrapper, "numbers", space)


def vector_observation(wrapper: Wrapper) -> int:
    """Return the length of the observations below; raises ``UsageError`` unless they are [D]."""
    space = _at_defaults(wrapper, wrapper.env.observation_space)
    if isinstance(space, Box) and len(space.shape) == 1:
        return int(space.shape[0])
    raise _not_flat(wrapper, "a vector", space)


def action_space(wrapper: Wrapper) -> Space:
    """Return the action space below."""
    return _at_defaults(wrapper, wrapper.env.action_space)


def usage_error(wrapper: Wrapper, complaint: str) -> UsageError:
    """Return the error that says which wrapper of which environment complains."""
    return UsageError(f"environment {wrapper.name!r}: {type(wrapper).__name__} {complaint}")


def _at_defaults(wrapper: Wrapper, space: Any) -> Any:
    """Return the space with the default parameters: others may move bounds, but no shapes."""
    return space(getattr(wrapper.env, "default_params", None))


def _not_flat(wrapper: Wrapper, expected: str, space: Any) -> UsageError:
    return usage_error(
        wrapper,
        f"needs {expected}, but the observation is {space!r}; put FlattenObservation below it",
    )
