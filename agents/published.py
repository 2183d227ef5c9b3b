"""What others published: which cells of an experiment it belongs beside, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.grid import check_where
from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean

Axes = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Published:
    """A column of published values.

    Attributes:
        name: of the column
        source: where the values stand, and how they were read and made
        where: labels, by axis, of the cells that the values belong beside; by default all
        values: by the labels of an axis that ``where`` leaves open, or a single one. Each is a
            number, or a pair: the number and what stands behind its ± there. A single one that
            leaves the aggregate's axis open is an aggregate's
        measure: what the values are of; by default the experiment's return
    """

    name: str = ""
    source: str = ""
    where: dict[str, Any] = field(default_factory=dict)
    values: Any = None
    measure: str | None = None

    def check(self, axes: Axes, over: str | None, measures: Sequence[str]) -> None:
        """Raise ``UsageError`` where there is no source, no value, or no cell for one."""
        for key in ("name", "source"):
            if not getattr(self, key).strip():
                raise UsageError(
                    f"published value {shown(self.name or self.values)} has no {key}; name where "
                    "it stands as source, and its column as name"
                )
        if self.measure is not None and self.measure not in measures:
            raise UsageError(
                f"published {self.name!r} is of {self.measure!r}, which measure must list"
            )
        if self.where:
            check_where(f"published {self.name!r}", self.where, axes)
        values = self.values.values() if isinstance(self.values, Mapping) else [self.values]
        for value in values:
            self._check_value(value)
        if isinstance(self.values, Mapping):
            self._check_labels(axes)
        elif (left := [axis for axis in axes if axis not in self.where]) not in ([], [over]):
            raise UsageError(
                f"published {self.name!r} names no single cell; where must name {', '.join(left)}"
            )

    def beside(self, labels: Mapping[str, str]) -> Any:
        """Return the value that belongs beside a cell, or an aggregate, of these labels.

        None where there is none.
        """
        if any(labels.get(axis) != str(label) for axis, label in self.where.items()):
            return None
        if not isinstance(self.values, Mapping):
            return self.values if len(self.where) == len(labels) else None
        by_label = {str(label): value for label, value in self.values.items()}
        return next((by_label[label] for label in labels.values() if label in by_label), None)

    def _check_value(self, value: Any) -> None:
        numbers = value if isinstance(value, list | tuple) else [value]
        sound = [type(number) in (int, float) and number - number == 0 for number in numbers]
        if len(numbers) not in (1, 2) or not all(sound):
            raise UsageError(
                f"published {self.name!r} must hold numbers, or pairs of a number and its ±, "
                f"not {shown(value)}"
            )

    def _check_labels(self, axes: Axes) -> None:
        open_axes = {axis: labels for axis, labels in axes.items() if axis not in self.where}
        known = [label for labels in open_axes.values() for label in labels]
        for label in map(str, self.values):
            if label not in known:
                raise UsageError(
                    f"published {self.name!r} names no cell: {shown(label)}"
                    f"{did_you_mean(label, known)}"
                )
        if not any(set(map(str, self.values)) <= set(labels) for labels in open_axes.values()):
            raise UsageError(f"published {self.name!r} must keep to the labels of one axis")
