"""Strict configuration: nested mappings become frozen dataclasses, or one sentence says why not.

YAML files and command-line overrides take the same way: both are mappings that
:func:`from_mapping` checks against the fields of a dataclass, so that a misspelt key or a
value of the wrong type ends before anything is traced.
"""

import dataclasses
import itertools
import math
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING
from typing import Any, TypeVar

from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean
from ssmrl.train.values import (
    NoValue,
    Typed,
    as_list,
    convert_scalar,
    plain,
    spells_number,
    wrong,
)

C = TypeVar("C")


def from_mapping(cls: type[C], mapping: Mapping[str, Any], path: str = "") -> C:
    """Build dataclass ``cls`` from ``mapping``; keys may be spelt with dashes.

    Raises ``UsageError`` for a key that ``cls`` lacks (naming the nearest that it has) and for a
    value that is not of the field's type. Numbers may come as strings, as they do from a shell
    and from YAML, where ``5e-5`` is one.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    values = {}
    for name, value in named(mapping).items():
        if name.startswith("no_") and fields.get(name[3:]) is bool:  # --no-flag
            name, value = name[3:], not convert(value, bool, path + name)
        if name not in fields:
            raise UsageError(f"unknown key {shown(path + name)}{_nearest(name, fields, path)}")
        values[name] = convert(value, fields[name], path + name)
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        if f.init and f.name not in values and f.default is f.default_factory is MISSING:
            option = (path + f.name).replace("_", "-")
            raise UsageError(
                f"{path + f.name} needs a value; it has no default: give it as --{option} VALUE"
            )
    return cls(**values)


def named(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the mapping with its keys as fields are spelt."""
    return {str(key).replace("-", "_"): value for key, value in mapping.items()}


def _nearest(name: str, fields: Mapping[str, Any], path: str) -> str:
    if "." in name:
        *groups, leaf = name.split(".")
        nested = leaf + ": ..."
        for group in reversed(groups):
            nested = f"{group}: {{{nested}}}"
        return f"; write {nested}"
    flat = {path + f for f in fields} | {
        f"{path}{f}.{inner.name}"
        for f, hint in fields.items()
        if dataclasses.is_dataclass(hint)
        for inner in dataclasses.fields(hint)
    }
    return did_you_mean(path + name, flat)


def convert(value: Any, hint: Any, path: str) -> Any:
    """Return ``value`` as type ``hint``, or raise ``UsageError`` naming ``path`` and the value."""
    if isinstance(value, NoValue) and hint is not bool:
        raise UsageError(f"{path} needs a value; give it as --{path.replace('_', '-')} VALUE")
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            has_name = any(f.name == "name" for f in dataclasses.fields(hint))
            way_out = f"; name it {path}.name" if has_name else ""
            raise UsageError(f"{path} must be a group of options, not {shown(value)}{way_out}")
        return from_mapping(typing.cast(type, hint), value, path + ".")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_optional(value, arguments, path)
    if origin is typing.Literal:
        if value not in arguments:
            choices = ", ".join(map(repr, arguments))
            raise UsageError(f"{path} must be one of {choices}, not {shown(value)}")
        return arguments[arguments.index(value)]  # plain, where the value is Typed
    if origin is tuple:
        return tuple(convert(v, arguments[0], path) for v in as_list(value, path))
    if origin is dict or hint is dict:
        if not isinstance(value, Mapping):
            raise wrong(value, "a mapping", path)
        entry = arguments[1] if arguments else Any
        read = plain if entry is Any else lambda v, path: convert(v, entry, path)
        return {k: read(v, f"{path}.{k}") for k, v in named(value).items()}
    return convert_scalar(value, hint, path)


def _convert_optional(value: Any, arguments: tuple[Any, ...], path: str) -> Any:
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
        return None
    (inner,) = (a for a in arguments if a is not type(None))
    return convert(value, inner, path)


def check_above_zero(prefix: str, config: Any, *names: str) -> None:
    """Raise ``UsageError`` for the first of the fields that is not above 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise UsageError(f"{prefix}{name} must be above 0, not {getattr(config, name)}")


def check_unless_none(prefix: str, config: Any, *names: str) -> None:
    """Raise ``UsageError`` for the first of the fields that is neither None nor above 0."""
    check_above_zero(prefix, config, *(n for n in names if getattr(config, n) is not None))


def check_not_negative(prefix: str, config: Any, *names: str) -> None:
    """Raise ``UsageError`` for the first of the fields that is below 0."""
    for name in names:
        if getattr(config, name) < 0:
            raise UsageError(f"{prefix}{name} must not be below 0, but is {getattr(config, name)}")


def check_shares(prefix: str, config: Any, *names: str) -> None:
    """Raise ``UsageError`` for the first of the fields that does not lie in 0..1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise UsageError(f"{prefix}{name} must lie in 0..1, not {getattr(config, name)}")


def check_within(name: str, value: int, least: int, most: int = 2**31 - 1) -> None:
    """Raise ``UsageError`` unless a number lies from ``least`` to ``most``."""
    if not least <= value <= most:
        raise UsageError(f"{name} must lie in {least}..{most}, not {shown(value)}")


def check_divides(part_name: str, part: int, whole_name: str, whole: int) -> None:
    """Raise ``UsageError``, naming the nearest numbers that do, where ``part`` does not divide."""
    if whole % part:
        small = [d for d in range(1, math.isqrt(whole) + 1) if whole % d == 0]
        divisors = {*small, *(whole // d for d in small)}
        nearest = sorted(sorted(divisors, key=lambda d: abs(d - part))[:2])
        raise UsageError(
            f"{part_name}={part} does not divide {whole_name}={whole}; nearest that do: "
            + " and ".join(map(str, nearest))
        )


def check_multiple(name: str, value: int, of_name: str, of: int) -> None:
    """Raise ``UsageError``, naming the nearest that are, where ``value`` is not a multiple."""
    if value % of:
        below = value // of * of
        nearest = [str(near) for near in (below, below + of) if near > 0]
        raise UsageError(
            f"{name}={value} is not a multiple of {of_name}={of}; nearest that "
            f"{'are' if len(nearest) > 1 else 'is'}: {' and '.join(nearest)}"
        )


def parse_overrides(arguments: Sequence[str], keyed: Collection[str] = ()) -> dict[str, Any]:
    """Turn ``--ppo.num-envs 8 --x`` into ``{"ppo": {"num_envs": "8"}, "x": "true"}``.

    Several numbers for one option, a list's, are joined by commas. Of an option that is given
    twice the last holds, so that scripts can append to a command. Options that are ``keyed`` may
    be given for several keys: ``--sweep a.b=1,2`` is ``{"sweep": {"a.b": "1,2"}}``.
    """
    overrides: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise UsageError(f"expected an option such as --seed 1, found {flag!r}")
        name, equals, value = flag[2:].partition("=")
        if not equals:
            has_value = rest and not rest[0].startswith("--")
            more = itertools.takewhile(spells_number, rest[1:])
            values = [rest[0], *more] if has_value else []
            rest = rest[len(values) :]
            value = ",".join(values) if values else NoValue("true")
        if not all(name.split(".")):
            raise UsageError(
                f"--{shown(name)[1:-1]} is no option: every dot must stand between two names"
            )
        group = overrides
        *groups, leaf = name.replace("-", "_").split(".")
        if name in keyed:
            groups, (leaf, value) = [name], _key_and_value(name, value)
        for part in groups:
            group = group.setdefault(part, {})
            if not isinstance(group, dict):
                raise UsageError(f"--{name}: {part!r} was given a value before; give it once")
        group[leaf] = value if isinstance(value, Typed) else Typed(value)
    return overrides


def _key_and_value(option: str, given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not (key and equals):
        found = "nothing" if isinstance(given, NoValue) else shown(given)
        raise UsageError(f"--{option} needs NAME=VALUE,VALUE,...; found {found}")
    return key.replace("-", "_"), value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the entries of ``over`` laid on top, group by group."""
    merged = named(base)
    for key, value in named(over).items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def to_mapping(config: Any) -> dict[str, Any]:
    """Return a nested mapping of plain values that YAML can hold and ``from_mapping`` reads."""
    return _listed(dataclasses.asdict(config))


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _listed(v) for k, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, tuple | list) else value
