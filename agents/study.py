"""An experiment of ``ssmrl reproduce``: a grid of runs, what they score, what others published.

Each is one YAML file below configs/experiments. It is called a study here, since an
:class:`agents.experiment.Experiment` is a single run's.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.experiment import EnvConfig, Experiment, config_folder, read_config, yaml_names
from agents.grid import Cell, check_grid, check_where, stands_for, without
from agents.published import Published
from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean
from ssmrl.report.scores import COSTS, RETURNS
from ssmrl.train.config import check_above_zero, from_mapping, merge, to_mapping
from ssmrl.train.yaml_file import read_yaml


@dataclass(frozen=True)
class Aggregate:
    """Scores that are told as one number over the labels of an axis."""

    over: str = ""  # the axis
    divide_by: dict[str, float] = field(default_factory=dict)  # of each label; or not at all


@dataclass(frozen=True)
class Study:
    """What an experiment's file says.

    Attributes:
        title: one line
        base: a preset's name, or options on top of the ``preset`` among them
        grid: axes, each a mapping from labels to the options that they stand for; a ``preset``
            among those takes the place of the base's
        also: more options of some cells, whose labels stand by axis in a ``where`` among them
        exclude: labels, by axis, of cells that are left out
        seeds: trained side by side in every cell
        measure: which return the table is of; beside it, what runs took that is to be shown
        evaluate: play episodes with the trained agents, which needs one more program
        elsewhere: places by name, options of the section env, where trained agents play too: longer
            trials, tasks that are held out; with ``where``, those of some cells
        place: one of those, which the return of the table is of; by default where it was trained
        published: what others reached
        aggregate: an axis over which scores are averaged, too
    """

    title: str = ""
    base: Any = None
    grid: dict[str, Any] = field(default_factory=dict)
    also: tuple[Any, ...] = ()
    exclude: tuple[Any, ...] = ()
    seeds: int = 5
    measure: tuple[str, ...] = ("mmer",)
    evaluate: bool = True
    elsewhere: dict[str, Any] = field(default_factory=dict)
    place: str | None = None
    published: tuple[Published, ...] = ()
    aggregate: Aggregate | None = None

    def __post_init__(self) -> None:
        for name in ("title", "grid"):
            if not getattr(self, name):
                raise UsageError(f"key {name!r} needs a value; an experiment must have one")
        if not isinstance(self.base, str | Mapping | None):
            raise UsageError(f"base must be a preset's name or a group, not {shown(self.base)}")
        check_above_zero("", self, "seeds")
        for measure in self.measure:
            if measure not in RETURNS + COSTS:
                raise UsageError(
                    f"unknown measure {shown(measure)}{did_you_mean(measure, RETURNS + COSTS)}"
                )
        if sum(measure in RETURNS for measure in self.measure) != 1:
            raise UsageError(f"measure must name one of {', '.join(RETURNS)}, not {self.measure}")
        if not self.evaluate and (self.score != "mmer" or self.elsewhere):
            raise UsageError(f"measure {self.score!r} is an evaluation's; drop evaluate: false")
        check_grid(self.grid)
        self._check_cells()
        self._check_places()
        over = self.aggregate.over if self.aggregate else None
        if over is not None and over not in self.axes:
            raise UsageError(f"aggregate.over={over!r} is no axis{did_you_mean(over, self.axes)}")
        for entry in self.published:
            entry.check(self.axes, over, self.measure)
        if self.aggregate and self.aggregate.divide_by:
            self._check_divisors(self.aggregate)

    @property
    def axes(self) -> dict[str, list[str]]:
        """The labels of each axis."""
        return {axis: [str(label) for label in options] for axis, options in self.grid.items()}

    @property
    def score(self) -> str:
        """The measure that is a return."""
        return next(measure for measure in self.measure if measure in RETURNS)

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """All cells, the first axis changing slowest."""
        excluded = lambda cell: any(stands_for(out, cell.labels) for out in self.exclude)  # noqa: E731
        return [cell for cell in self._product() if not excluded(cell)]

    def places(self, cell: Cell) -> dict[str, dict[str, Any]]:
        """Return where else the cell's agents play: options of the section env, by name."""
        return {
            name: without(place, "where")
            for name, place in self.elsewhere.items()
            if stands_for(place.get("where", {}), cell.labels)
        }

    def chosen(self, only: Sequence[str] | None) -> list[Cell]:
        """Return the cells that ``only`` names, by cell or by labels: one of each axis named.

        Raises ``UsageError`` for what is neither.
        """
        cells = self.cells
        if only is None:
            return cells
        known = {label: axis for axis, labels in self.axes.items() for label in labels}
        names = {cell.name for cell in cells}
        for word in only:
            if word not in known and word not in names:
                hint = did_you_mean(word, {*known, *names})
                raise UsageError(f"--only {shown(word)} is no label or cell{hint}")
        wanted: dict[str, set[str]] = {}
        for label in filter(known.__contains__, only):
            wanted.setdefault(known[label], set()).add(label)
        fits = lambda c: wanted and all(c.labels[axis] in wanted[axis] for axis in wanted)  # noqa: E731
        return [cell for cell in cells if cell.name in only or fits(cell)]

    def _product(self) -> Iterator[Cell]:
        base = {"preset": self.base} if isinstance(self.base, str) else dict(self.base or {})
        for labels in itertools.product(*self.axes.values()):
            named = dict(zip(self.grid, labels, strict=True))
            chosen = [{str(k): v for k, v in self.grid[a].items()}[named[a]] or {} for a in named]
            chosen += [without(o, "where") for o in self.also if stands_for(o["where"], named)]
            presets = [layer["preset"] for layer in (base, *chosen) if "preset" in layer]
            read = read_config(presets[-1]) if presets else {}
            own = functools.reduce(merge, (without(layer, "preset") for layer in chosen))
            yield Cell(named, (read, without(base, "preset"), own))

    def _check_cells(self) -> None:
        """Raise ``UsageError`` where ``exclude`` or ``also`` names no cell."""
        for out in self.exclude:
            check_where("exclude", out, self.axes)
        for options in self.also:
            where = options.get("where") if isinstance(options, Mapping) else None
            check_where("also", where, self.axes)
        if not self.cells:
            raise UsageError("exclude leaves no cell; drop some of it")

    def _check_places(self) -> None:
        """Raise ``UsageError`` where ``elsewhere`` or ``place`` is none."""
        for name, place in self.elsewhere.items():
            if not isinstance(place, Mapping):
                raise UsageError(f"elsewhere.{name} must be a group, not {shown(place)}")
            from_mapping(EnvConfig, without(place, "where"))
            if "where" in place:
                check_where(f"elsewhere.{name}", place["where"], self.axes)
        if self.place is None:
            return
        if self.place not in self.elsewhere:
            hint = did_you_mean(self.place, self.elsewhere)
            raise UsageError(f"place {shown(self.place)} is not among elsewhere{hint}")
        if self.score == "mmer":
            raise UsageError(f"place {shown(self.place)} needs a measure that is played, not mmer")

    def _check_divisors(self, aggregate: Aggregate) -> None:
        labels, given = self.axes[aggregate.over], aggregate.divide_by
        if set(labels) != set(given) or not all(float(d) > 0 for d in given.values()):
            raise UsageError(
                f"aggregate.divide_by must hold a number above 0 for each of {', '.join(labels)}"
            )


def experiment_names() -> list[str]:
    """Return the names of all committed experiments, such as ``paper/popgym_hard``."""
    return yaml_names(config_folder() / "experiments")


def load_study(name: str) -> tuple[str, Study]:
    """Return an experiment's name and what it says; a file's name must end in .yaml.

    Raises ``UsageError`` where there is none, or for what it says wrongly.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in experiment_names():
            hint = did_you_mean(name, experiment_names())
            raise UsageError(f"unknown experiment {shown(name)}{hint}; a file must end in .yaml")
        path = config_folder() / "experiments" / f"{name}.yaml"
    else:
        name = path.stem
    mapping = read_yaml(path)
    try:
        return name, from_mapping(Study, mapping)
    except UsageError as error:
        raise UsageError(f"experiment {str(path)!r}: {error}") from error.__cause__


def settings_of(experiment: Experiment) -> dict[str, Any]:
    """Return a run's options as a mapping, less where it is kept."""
    return to_mapping(dataclasses.replace(experiment, run_dir=None))
