"""The results of an experiment's cells as plain mappings, which tables and others' scripts read."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ssmrl.report.statistics import Summary, summarise, summarise_tasks

Record = Mapping[str, Any]  # what stands in a cell's own file
Beside = Callable[[Mapping[str, str]], list[dict[str, Any]]]  # from labels to published values


def result(
    record: Record, measure: str, returns: Sequence[float], beside: Beside
) -> dict[str, Any]:
    """Return a cell's line of results.json: ``returns``, one a seed, by ``measure``, statistics.

    ``low`` and ``high`` are the 95 % interval of ``mean``; ``iqm_low`` and ``iqm_high`` that of
    ``iqm``. ``published`` lists what others reached there, each with its source.
    """
    told = ("cell", "labels", "agent", "memory", "env", "steps", "seeds")
    took = ("seconds", "compile_seconds", "peak_memory", "device", "versions")
    return {
        **{name: record[name] for name in told},
        "measure": measure,
        "returns": returns,
        **_statistics(summarise(np.reshape(returns, (-1, 1)))),
        **{name: record[name] for name in took},
        "published": beside(record["labels"]),
    }


def aggregates(
    results: Sequence[Mapping[str, Any]],
    over: str,
    divide_by: Mapping[str, float],
    labels: Sequence[str],
    beside: Beside,
) -> list[dict[str, Any]]:
    """Return the results as one number over the ``labels`` of the axis ``over``, for each of the
    others: over all that are finished, and over those that each column of published values has.

    With ``divide_by`` every score is divided by its label's number first.
    """
    groups: dict[tuple, list] = {}
    for entry in results:
        others = tuple(item for item in entry["labels"].items() if item[0] != over)
        groups.setdefault(others, []).append(entry)
    found = []
    for others, entries in groups.items():
        scores = {e["labels"][over]: _divided(e, e["returns"], over, divide_by) for e in entries}
        columns: dict[str, dict[str, float]] = {}
        for e in entries:
            for p in e["published"]:
                if p["measure"] == e["measure"]:
                    (value,) = _divided(e, [p["value"]], over, divide_by)
                    columns.setdefault(p["name"], {})[e["labels"][over]] = value
        for subset in dict.fromkeys([tuple(scores), *map(tuple, columns.values())]):
            whole = {name: c for name, c in columns.items() if set(subset) <= set(c)}
            published = {n: float(np.mean([c[s] for s in subset])) for n, c in whole.items()}
            if len(subset) == len(labels):
                published |= {p["name"]: p["value"] for p in beside(dict(others))}
            summary = summarise_tasks([scores[label] for label in subset])
            line = {"labels": dict(others), "over": over, "tasks": len(subset)}
            line |= {"of": len(labels), **_statistics(summary), "published": published}
            found.append(line)
    return found


def headlines(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each cell's mean in the form of an aggregate, beside what was published there."""
    kept = ("labels", "mean", "low", "high")
    return [
        {n: r[n] for n in kept}
        | {"published": {p["name"]: p["value"] for p in r["published"] if p["measure"] == m}}
        for r in results
        for m in [r["measure"]]
    ]


def _divided(
    entry: Mapping[str, Any], scores: Sequence[float], over: str, divide_by: Mapping[str, float]
) -> list[float]:
    return [score / divide_by.get(entry["labels"][over], 1.0) for score in scores]


def _statistics(summary: Summary | None) -> dict[str, float]:
    assert summary is not None  # there are returns
    s = asdict(summary)
    (low, high), (iqm_low, iqm_high) = s["mean_interval"], s["iqm_interval"]
    numbers = {"mean": s["mean"], "iqm": s["iqm"], "low": low, "high": high}
    return numbers | {"iqm_low": iqm_low, "iqm_high": iqm_high}


def as_lines(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON with one line for each entry of the outermost mapping or list."""
    if isinstance(value, Mapping):
        lines = [f" {json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"
    return "[\n" + ",\n".join(f" {json.dumps(entry)}" for entry in value) + "\n]\n"
