"""Tasks of any environment: some fields of its params are drawn for each trial."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.meta.trial import draw_task
from envs.wrappers.base import Wrapper, name_of
from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean

SPLITS = ("train", "held_out")


@dataclasses.dataclass(frozen=True)
class Range:
    """Uniform from low to high; whole numbers, both ends included, for a whole field."""

    low: float
    high: float
    is_whole: bool

    def draw(self, key: jax.Array) -> jax.Array:
        """Return a number []."""
        if self.is_whole:
            return jax.random.randint(key, (), int(self.low), int(self.high) + 1)
        return jax.random.uniform(key, (), jnp.float32, self.low, self.high)

    def overlaps(self, other: "Range | Choice") -> bool:
        """Return whether a value of the one can be one of the other; ends that touch do."""
        if isinstance(other, Choice):
            return other.overlaps(self)
        return self.low <= other.high and other.low <= self.high


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several numbers, all as likely."""

    values: tuple[float, ...]
    is_whole: bool

    def draw(self, key: jax.Array) -> jax.Array:
        """Return a number []."""
        dtype = jnp.int32 if self.is_whole else jnp.float32
        return jax.random.choice(key, jnp.asarray(self.values, dtype))

    def overlaps(self, other: "Range | Choice") -> bool:
        """Return whether a value of the one can be one of the other."""
        if isinstance(other, Choice):
            return bool(set(self.values) & set(other.values))
        return any(other.low <= value <= other.high for value in self.values)


class Varied(Wrapper):
    """An environment whose tasks differ in fields of its params.

    Args:
        vary: for each field what its value is drawn from: a list of numbers, ``{"low": x, "high":
            y}``, or ``{"train": ..., "held_out": ...}`` of two of these, which do not overlap.
        split: which of the two is drawn from, "train" or "held_out".

    Raises ``UsageError`` for fields that the params lack or that hold no number, for empty lists,
    ranges that are upside down, and for held-out values that there are none of, or that are
    trained on.
    """

    def __init__(self, env: Any, params: Any, vary: Mapping[str, Any], split: str = "train"):
        super().__init__(env)
        check_split(self.name, split)
        known = [f.name for f in dataclasses.fields(params)] if _is_dataclass(params) else []
        for field in vary:
            if field not in known:
                hint = did_you_mean(field, known) if known else "; it has none"
                raise UsageError(f"environment {self.name!r} has no parameter {field!r}{hint}")
        both = {key: self._sets(key, value, getattr(params, key)) for key, value in vary.items()}
        if split == "held_out" and all(len(sets) == 1 for sets in both.values()):
            raise UsageError(
                f"environment {self.name!r}: no field of vary has held-out values; give one as "
                "{train: ..., held_out: ...}"
            )
        self._drawn = {key: sets.get(split, sets["train"]) for key, sets in both.items()}

    def draw_task(self, key: jax.Array, params: Any) -> Any:
        """Return ``params`` with the varied fields drawn."""
        keys = jax.random.split(key, len(self._drawn) + 1)
        drawn = {
            field: source.draw(k)
            for (field, source), k in zip(self._drawn.items(), keys[1:], strict=True)
        }
        return dataclasses.replace(draw_task(self.env, keys[0], params), **drawn)

    def _sets(self, field: str, given: Any, default: Any) -> dict[str, Range | Choice]:
        """Return what is drawn in training and, where it is another, what is held out."""
        if isinstance(default, bool) or not isinstance(default, int | float):
            raise self._error(field, f"cannot vary: it is no number but {shown(default)}")
        is_whole = isinstance(default, int)
        if not isinstance(given, Mapping) or not set(given) & set(SPLITS):
            return {"train": self._source(field, given, is_whole)}
        if set(given) != set(SPLITS):
            raise self._error(field, f"needs both train and held_out, not {shown(given)}")
        sets = {split: self._source(field, given[split], is_whole) for split in SPLITS}
        if sets["train"].overlaps(sets["held_out"]):
            raise self._error(
                field,
                f"holds out {shown(given['held_out'])}, which overlaps what is trained on, "
                f"{shown(given['train'])}",
            )
        return sets

    def _source(self, field: str, given: Any, is_whole: bool) -> Range | Choice:
        if isinstance(given, Mapping) and set(given) == {"low", "high"}:
            low, high = (self._number(field, given[end], is_whole) for end in ("low", "high"))
            if low > high:
                raise self._error(field, f"has a range that is upside down: {shown(given)}")
            return Range(low, high, is_whole)
        if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str):
            if not len(given):
                raise self._error(field, "has an empty list of values; give at least one")
            return Choice(tuple(self._number(field, v, is_whole) for v in given), is_whole)
        raise self._error(field, f"needs a list of numbers or {{low, high}}, not {shown(given)}")

    def _number(self, field: str, value: Any, is_whole: bool) -> float:
        real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not real or (is_whole and float(value) != int(value)):
            kind = "whole numbers" if is_whole else "finite numbers"
            raise self._error(field, f"varies over {kind}, not {shown(value)}")
        return int(value) if is_whole else float(value)

    def _error(self, field: str, complaint: str) -> UsageError:
        return UsageError(f"environment {name_of(self.env)!r}: the varied {field!r} {complaint}")


def check_split(env: str, split: Any) -> None:
    """Raise ``UsageError`` unless ``split`` is "train" or "held_out"."""
    if split not in SPLITS:
        known = " or ".join(SPLITS)
        raise UsageError(f"environment {env!r}: split must be {known}, not {shown(split)}")


def _is_dataclass(params: Any) -> bool:
    return dataclasses.is_dataclass(params) and not isinstance(params, type)
