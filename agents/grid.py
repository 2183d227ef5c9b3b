"""The grid of an experiment: axes, their labels, and the cells that these make."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.experiment import Experiment, load_experiment, overlay
from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean

Labels = Mapping[str, str]  # a label of each axis


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    labels: Labels
    layers: Sequence[Mapping[str, Any]]  # of options: the preset's, the base's, the labels'

    @property
    def name(self) -> str:
        """The labels, as a folder is called."""
        return "-".join(self.labels.values())

    def experiment(self, seeds: int, run_dir: Path) -> Experiment:
        """Return the run's own experiment; raise ``UsageError``, naming the cell, at its faults."""
        own = {"num_seeds": seeds, "run_dir": str(run_dir / self.name)}
        try:
            return load_experiment(functools.reduce(overlay, self.layers), own)
        except UsageError as error:
            raise UsageError(f"cell {self.name!r}: {error}") from error.__cause__


def stands_for(where: Mapping[str, Any], labels: Labels) -> bool:
    """Return whether a cell of these labels is one of those that ``where`` names by axis."""
    return all(labels[axis] == str(label) for axis, label in where.items())


def without(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options but for one."""
    return {key: value for key, value in options.items() if key != name}


def check_where(key: str, where: Any, axes: Mapping[str, Sequence[str]]) -> None:
    """Raise ``UsageError`` unless ``where`` holds labels by axis."""
    if not isinstance(where, Mapping) or not where:
        raise UsageError(f"{key} must name cells by labels of axes, not {shown(where)}")
    for axis, label in where.items():
        if axis not in axes:
            raise UsageError(f"{key} names no axis: {shown(axis)}{did_you_mean(str(axis), axes)}")
        if str(label) not in axes[axis]:
            hint = did_you_mean(str(label), axes[axis])
            raise UsageError(f"{key} names no cell: {axis}: {shown(label)}{hint}")


def check_grid(grid: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` unless labels are names of files, and each of one axis only."""
    seen: dict[str, str] = {}
    for axis, options in grid.items():
        if not isinstance(options, Mapping) or not options:
            raise UsageError(f"grid.{axis} must map labels to options, not {shown(options)}")
        for label, option in options.items():
            if isinstance(label, bool) or not re.fullmatch(r"[\w.+]+", str(label)):
                raise UsageError(
                    f"grid.{axis} has the label {shown(label)}; name it by letters, digits, _ . +"
                )
            if not isinstance(option, Mapping | None):
                raise UsageError(f"grid.{axis}.{label} must be a group, not {shown(option)}")
            if str(label) in seen:
                raise UsageError(
                    f"grid.{axis} and grid.{seen[str(label)]} both have the label {str(label)!r}; "
                    "rename one"
                )
            seen[str(label)] = axis
