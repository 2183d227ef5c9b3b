"""What a run scored and took, read from its folder: all that tables and pictures are made of."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssmrl.errors import UsageError
from ssmrl.train.rows import Row
from ssmrl.train.run_folder import RunFolder

PLAYED = ("greedy", "sampled")  # after training
LAST = "_last"  # of the last inner episode of trials alone
RETURNS = ("mmer", *PLAYED, *(kind + LAST for kind in PLAYED))  # one a seed
COSTS = ("seconds", "peak_memory")  # one a run
LEFT_OUT = 20  # a share of the rows, 1 / 20
POINTS = 100  # of a curve that is kept, at most


def record(
    folder: RunFolder, evaluated: bool = True, elsewhere: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return steps, returns by measure, seconds, memory, device, curve and evaluations of a run.

    ``seconds`` are those of training all seeds side by side, without compiling, which is told
    apart; ``peak_memory`` is what the compiled update needs, in bytes, by the compiler's account.
    ``elsewhere`` are places by name, with what sets their evaluation's file apart. Raises
    ``UsageError`` where nothing was trained, or its end was not ``evaluated``.
    """
    rows, starts = folder.read_rows(), folder.read_starts()
    suffixes = {"": "", **(elsewhere or {})} if evaluated else {}
    evaluations = {place: evaluation(folder, suffix) for place, suffix in suffixes.items()}
    if not rows or None in evaluations.values():
        raise UsageError(
            f"run {str(folder.path)!r} has no evaluation of its end; train it with --resume"
        )
    home = evaluations.pop("", {}) or {}
    machine = starts[-1] if starts else {}
    versions = ("platform", "jax", "jaxlib", "flax", "python")
    return {
        "steps": rows[-1]["env_steps"],
        "scores": {"mmer": mmer(rows), **scores_of(home)},
        "seconds": round(rows[-1]["seconds"], 3),
        # Of the first start: what resumes is compiled already, where the cache is kept.
        "compile_seconds": starts[0].get("compile_seconds") if starts else None,
        "peak_memory": machine.get("bytes"),
        "device": machine.get("device"),
        "versions": {name: machine.get(name) for name in versions},
        "evaluation": home,
        "elsewhere": evaluations,
        "curve": thinned_curve(rows),
    }


def mmer(rows: Sequence[Row]) -> list[float | None]:
    """Return each seed's greatest mean return of the episodes of one row, or None without any.

    POPGym's "maximum mean episodic reward" (Morad et al. 2023), of returns in training: one row
    is one update, unless ``log_every`` is higher. The first twentieth of the rows is left out:
    there only those episodes have ended that end soon, and where these are the good ones, as in a
    maze, the greatest mean would be that of an agent that has learnt nothing.
    """
    returns = _returns(rows[len(rows) // LEFT_OUT :])
    seen = ~np.isnan(returns).all(axis=0)
    best = np.nanmax(np.where(seen, returns, 0.0), axis=0)
    return [float(r) if known else None for r, known in zip(best, seen, strict=True)]


def thinned_curve(rows: Sequence[Row], points: int = POINTS) -> dict[str, list]:
    """Return ``steps`` [points] and ``returns`` [points][seeds], means of as many rows each.

    None stands where no episode of a seed ended.
    """
    steps, returns = [], []
    for part in np.array_split(np.arange(len(rows)), min(points, len(rows))):
        chosen = [rows[i] for i in part]
        known = np.ma.masked_invalid(_returns(chosen))
        steps.append(chosen[-1]["env_steps"])
        means = known.mean(axis=0)
        returns.append([None if m is np.ma.masked else _rounded(m) for m in means])
    return {"steps": steps, "returns": returns}


def _returns(rows: Sequence[Row]) -> np.ndarray:
    """Return mean returns [rows, seeds], NaN where there is none."""
    return np.array([np.atleast_1d(row["episode_return_mean"]) for row in rows], np.float64)


def _rounded(value: Any) -> float:
    return float(f"{float(value):.5g}")


def scores_of(evaluation: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Return the returns of an evaluation by measure, one a seed: those of RETURNS it tells."""
    found = {kind: evaluation[kind]["by_seed"] for kind in PLAYED if kind in evaluation}
    curves = evaluation.get("adaptation", {})
    last = {k + LAST: [seed[-1] for seed in curves[k]["by_seed"]] for k in PLAYED if k in curves}
    return found | last


def evaluation(folder: RunFolder, suffix: str = "") -> dict[str, Any] | None:
    """Return what was evaluated of a run's end, or None where nothing was."""
    rows = folder.read_rows()
    try:
        found = json.loads((folder.path / f"evaluation{suffix}.json").read_text())
    except (OSError, ValueError, RecursionError):
        return None
    at_end = isinstance(found, dict) and rows and found.get("update") == rows[-1]["update"]
    return found if at_end else None
