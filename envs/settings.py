"""Values that people give to environments, by name, from the command line or YAML."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

from ssmrl.errors import UsageError, shown


def as_number(env: str, key: str, value: Any, default: Any) -> Any:
    """Return ``value`` with the type of ``default`` where that is a number or a flag.

    An integer in a float's place would change the state's type, a float in an integer's place
    could not be a shape. What is neither number nor text (an array, say) is left to the
    environment, and so is everything where the default is no number.

    Raises ``UsageError`` for text, for flags among numbers and numbers among flags, and for
    fractions and what int32 cannot hold in an integer's place.
    """
    if not isinstance(default, bool | int | float):
        return value
    is_flag = isinstance(default, bool)
    is_plain = value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
    if is_plain and (isinstance(value, bool) != is_flag or not isinstance(value, int | float)):
        wanted = "true or false" if is_flag else "a number"
        raise UsageError(f"environment {env!r}: {key} must be {wanted}, not {shown(value)}")
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    if isinstance(default, int) and isinstance(value, float):
        if not value.is_integer():
            raise UsageError(f"environment {env!r}: {key} must be whole, not {shown(value)}")
        value = int(value)
    if isinstance(default, int) and not is_flag and abs(value) >= 2**31:
        raise UsageError(f"environment {env!r}: {key} must be below 2**31, not {shown(value)}")
    return value


def whole_numbers(env: str, key: str, value: Any, low: int) -> tuple[int, ...]:
    """Return a list as integers.

    Raises ``UsageError`` unless it holds at least one number, each whole and at least ``low``.
    """
    found = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
    if not found or not all(
        isinstance(n, Real) and float(n) >= low and float(n).is_integer() for n in found
    ):
        raise UsageError(
            f"environment {env!r}: {key} must be a list of whole numbers >= {low}, "
            f"not {shown(value)}"
        )
    return tuple(int(float(n)) for n in found)


def check_range(env: str, key: str, value: float, low: float, high: float | None = None) -> None:
    """Raise ``UsageError`` unless a number is finite and lies from ``low`` to ``high``."""
    if not (math.isfinite(value) and low <= value and (high is None or value <= high)):
        wanted = f">= {low}" if high is None else f"{low} to {high}"
        raise UsageError(f"environment {env!r}: {key} must be {wanted}, not {value}")
