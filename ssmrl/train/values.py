"""Values from the command line and from YAML: read as what a field wants, or refused."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from ssmrl.errors import UsageError, shown
from ssmrl.train.yaml_file import parse_yaml

LongInt = Annotated[int, "of 64 bits"]  # for what is never put into an array; other ints have 32

_NUMBERS = {int: "a whole number", LongInt: "a whole number", float: "a number"}
_LARGEST, _SMALLEST = (float(getattr(np.finfo(np.float32), n)) for n in ("max", "tiny"))


class Typed(str):
    """A value as it was typed on the command line."""


class NoValue(Typed):
    """What stands for the value of an option that was given none: only a flag can do with it."""


def convert_scalar(value: Any, hint: Any, path: str) -> Any:
    """Return ``value`` as type ``hint``, or raise ``UsageError`` naming ``path`` and the value."""
    if hint in _NUMBERS:
        number = _number(value)
        if number is None:
            raise wrong(value, _NUMBERS[hint], path)
        return _in_range(number, value, hint, path)
    if hint is Any or type(value) is hint:
        return value
    if hint is str and isinstance(value, Typed):
        return str(value)
    if hint is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    words = {bool: "true or false", str: "a string"}
    raise wrong(value, words.get(hint, str(hint)), path)


def _in_range(number: int | float, value: Any, hint: Any, path: str) -> int | float:
    if hint is float:
        _check_float32(number, value, path)
        return float(number)
    if isinstance(number, float) and not number.is_integer():
        raise wrong(value, _NUMBERS[hint], path)
    number, bits = int(number), 32 if hint is int else 64
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        most = 2 ** (bits - 1) - 1
        raise UsageError(f"{path} must fit into {bits} bits (at most {most}), not {shown(value)}")
    return number


def _check_float32(number: int | float, value: Any, path: str) -> None:
    """Raise ``UsageError`` where float32 makes infinity or zero of a number that is neither."""
    if abs(number) > _LARGEST:
        raise UsageError(
            f"{path} must be a number of 32 bits (at most {_LARGEST:.7g}), not {shown(value)}"
        )
    if 0 < abs(number) < _SMALLEST:
        raise UsageError(
            f"{path} must be 0 or a number of 32 bits (at least {_SMALLEST:.7g}), "
            f"not {shown(value)}"
        )


def _number(value: Any) -> int | float | None:
    """Return the finite number that ``value`` is or spells, whole ones exactly; None if none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:  # a fraction, an exponent, or more digits than Python reads
            return _float(value)
    return value if isinstance(value, int) or value - value == 0 else None


def _float(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if number - number == 0:
        return number
    # Digits alone spell a number, if one beyond all ranges; inf and nan spell none.
    return 10**400 if any(map(str.isdigit, text)) else None


def spells_number(word: str) -> bool:
    """Return whether a word of the command line is a number."""
    return _number(word) is not None


def as_list(value: Any, path: str) -> Sequence[Any]:
    """Return a list's entries; of text, what commas separate."""
    if isinstance(value, str):
        return [v.strip() for v in value.strip("[]() ").split(",") if v.strip()]
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, list | tuple):
        return value
    raise wrong(value, "a list", path)


def plain(value: Any, path: str) -> Any:
    """Return an entry of a free-form mapping, its numbers checked.

    What was typed, at whatever depth, is read as YAML does, and 1e-3 as a number.
    """
    if isinstance(value, dict) and any(isinstance(v, Typed | dict) for v in value.values()):
        return {key: plain(entry, f"{path}.{key}") for key, entry in value.items()}
    if isinstance(value, Typed):
        value = _read(value)
    _check_numbers(value, path)
    return value


def _read(typed: Typed) -> Any:
    try:
        read = parse_yaml(typed)
    except UsageError:
        return str(typed)
    number = _number(typed) if read == typed else None  # a quoted number stays a string
    return read if number is None else number


def _check_numbers(value: Any, path: str) -> None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _check_numbers(entry, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for entry in value:
            _check_numbers(entry, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if _number(value) is None:
            raise wrong(value, "a finite number", path)
        convert_scalar(value, int if isinstance(value, int) else float, path)


def wrong(value: Any, expected: str, path: str) -> UsageError:
    """Return the error that says what ``path`` must be and what it is."""
    return UsageError(f"{path} must be {expected}, not {shown(value)}")
