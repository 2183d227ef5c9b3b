"""The folder that ``ssmrl reproduce`` writes: a file for each cell, and all that follows."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.commands.evaluate import suffix_of
from agents.experiment import Experiment
from agents.grid import Cell
from agents.study import Study, experiment_names, settings_of
from agents.trained import differences
from ssmrl.errors import UsageError, shown
from ssmrl.report import places, results, scores, table
from ssmrl.train.disk import locked, write_whole
from ssmrl.train.run_folder import RunFolder


class ResultsFolder:
    """``cells/CELL.json`` holds what a run left; all else is made of these, and the experiment."""

    def __init__(self, top: Path, name: str, study: Study):
        self._top, self._name, self._study = top, name, study
        self.path = top / name

    def records(self) -> dict[str, dict[str, Any]]:
        """Return what is known of the experiment's finished cells, by their names."""
        found = {cell.name: self._read(cell) for cell in self._study.cells}
        return {name: record for name, record in found.items() if record is not None}

    def is_finished(self, cell: Cell, experiment: Experiment) -> bool:
        """Return whether the cell was trained, and by this experiment.

        Raises ``UsageError`` where it was by another.
        """
        record = self._read(cell)
        if record is None:
            return False
        check_same(str(self._file(cell)), record["settings"], experiment)
        return True

    def add(self, cell: Cell, experiment: Experiment, folder: RunFolder, overhead: float) -> None:
        """Write the cell's file; ``overhead`` is what its run took beside training, in seconds.

        Raises ``UsageError`` where a seed has no return of the experiment's measure.
        """
        there = self._study.places(cell)
        suffixes = {name: suffix_of(place) for name, place in there.items()}
        left = scores.record(folder, self._study.evaluate, suffixes)
        returns = self._returns(left)
        if len(returns) != experiment.num_seeds or None in returns:
            raise UsageError(
                f"cell {cell.name!r}: not every seed has a return by {self._study.score}; raise "
                "total_steps or eval_max_steps, or choose another measure"
            )
        record = {
            "cell": cell.name,
            "labels": dict(cell.labels),
            "agent": experiment.agent,
            "memory": experiment.memory.name,
            "env": experiment.env.name,
            "seeds": experiment.num_seeds,
            **left,
            "overhead_seconds": round(overhead, 2),
            "settings": settings_of(experiment),
        }
        self._file(cell).parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(cell), results.as_lines(record))

    def write(self, pictures: bool) -> dict[str, Any]:
        """Write results.json, summary.json, table.md, and with ``pictures`` the curves, anew.

        Returns the summary. Whoever else does so waits: what is written is of all cells there are.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self._top, wait=True):
            records = self.records()
            summary, found = self._summarise(records)
            write_whole(self.path / "results.json", results.as_lines(found))
            write_whole(self.path / "summary.json", results.as_lines(summary))
            write_whole(self.path / "table.md", table.table(summary, found))
            summaries = {
                str(p.parent.relative_to(self._top)): p for p in self._top.rglob("summary.json")
            }
            read = {name: json.loads(path.read_text()) for name, path in summaries.items()}
            write_whole(self._top / "README.md", table.index(read))
            if pictures and records:
                self._draw(records)
        return summary

    def _summarise(self, records: Mapping[str, Any]) -> tuple[dict[str, Any], list]:
        study, aggregate = self._study, self._study.aggregate
        beside = functools.partial(_beside, study)
        found = [
            results.result(record, study.score, self._returns(record), beside)
            for record in records.values()
        ]
        lines: list[dict[str, Any]] = []
        if aggregate is not None:
            labels = study.axes[aggregate.over]
            divide_by = {str(label): float(d) for label, d in aggregate.divide_by.items()}
            lines = results.aggregates(found, aggregate.over, divide_by, labels, beside)
        sources = dict.fromkeys((entry.name, entry.source) for entry in study.published)
        own_file = "" if self._name in experiment_names() else ".yaml"
        summary: dict[str, Any] = {
            "title": study.title,
            "command": f"ssmrl reproduce {self._name}{own_file}",
            "cells": len(study.cells),
            "finished": len(found),
            "aggregates": lines,
            "headlines": [] if lines else results.headlines(found),
            "divided": {} if aggregate is None else dict(aggregate.divide_by),
            "sources": [list(pair) for pair in sources],
        }
        told = [*records.values()]
        if places.has_more(told):
            summary["places"] = places.lines(told, self._kind)
        return summary, found

    def _returns(self, record: Mapping[str, Any]) -> list[Any]:
        """Return what the table is of, one a seed."""
        place = self._study.place
        told = record["scores"] if place is None else scores.scores_of(record["elsewhere"][place])
        return told.get(self._study.score, [])

    def _draw(self, records: Mapping[str, Any]) -> None:
        from ssmrl.report.adaptation import plot_adaptations
        from ssmrl.report.plot import Curve, plot_panels

        axes = list(self._study.axes)
        panel_axis = self._study.aggregate.over if self._study.aggregate else axes[-1]
        panels: dict[str, list[Curve]] = {}
        for record in records.values():
            labels = record["labels"]
            others = "-".join(label for axis, label in labels.items() if axis != panel_axis)
            returns = np.array(record["curve"]["returns"], np.float64)
            curve = (others or "return", record["curve"]["steps"], returns)
            panels.setdefault(labels[panel_axis], []).append(curve)
        plot_panels(panels, self.path / "curves.png")
        adaptations = {name: dict(places.curves(r, self._kind)) for name, r in records.items()}
        adaptations = {name: curves for name, curves in adaptations.items() if curves}
        if adaptations:
            plot_adaptations(adaptations, self.path / "adaptation.png")

    @property
    def _kind(self) -> str:
        """How agents play of whom the table tells."""
        return "sampled" if self._study.score.startswith("sampled") else "greedy"

    def _file(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"

    def _read(self, cell: Cell) -> dict[str, Any] | None:
        try:
            text = self._file(cell).read_text()
        except FileNotFoundError:
            return None
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or {"scores", "settings", "curve"} - set(record):
            raise UsageError(f"{str(self._file(cell))!r} holds no cell's results; remove it")
        return record


def check_same(what: str, settings: Mapping[str, Any], experiment: Experiment) -> None:
    """Raise ``UsageError`` where a run that is there already was trained with other settings."""
    from agents.experiment import load_experiment

    before = settings_of(load_experiment(settings))
    changed = differences(before, settings_of(experiment))
    if before["total_steps"] != experiment.total_steps:
        changed["total_steps"] = (before["total_steps"], experiment.total_steps)
    for name, (then, now) in changed.items():
        raise UsageError(
            f"{what!r} is of a run with {name}={shown(then)}, but the experiment says "
            f"{shown(now)}; remove it, or name other folders with --runs and --results"
        )


def _beside(study: Study, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the published values that belong beside a cell, or an aggregate, of these labels."""
    found = []
    for entry in study.published:
        value = entry.beside(labels)
        if value is None:
            continue
        number, spread = value if isinstance(value, list | tuple) else (value, None)
        told = {"name": entry.name, "measure": entry.measure or study.score}
        told |= {"value": number, "spread": spread, "source": entry.source}
        found.append(told)
    return found
