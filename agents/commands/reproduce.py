"""``ssmrl reproduce``: run an experiment's cells, as many as are missing, and tabulate them."""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from agents.commands import evaluate, train
from agents.estimate import ONCE, Paces
from agents.experiment import Experiment
from agents.grid import Cell
from agents.results_folder import ResultsFolder, check_same
from agents.run import console
from agents.study import Study, experiment_names, load_study
from ssmrl.errors import TrainingError, UsageError
from ssmrl.foreign import foreign
from ssmrl.report import scores
from ssmrl.train.config import check_within
from ssmrl.train.disk import locked
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import set_up_jax
from ssmrl.train.yaml_file import read_yaml

RUNS, RESULTS = "runs/reproduce", "results"


@dataclass(frozen=True)
class Job:
    """An experiment's chosen cells, each with its run, and the folders of both."""

    study: Study
    cells: dict[str, tuple[Cell, Experiment]]
    runs: Path
    results: ResultsFolder


def list_experiments(results: str | None) -> int:
    """Print the name, the title and the state of every experiment there is."""
    for name in experiment_names():
        _, study = load_study(name)
        finished = ResultsFolder(Path(results or RESULTS), name, study).records()
        state = f"{len(finished)} of {len(study.cells)} cells"
        console.print(f"{name:<24} {state:<16} {study.title}")
    return 0


def reproduce(
    name: str,
    minutes: float | None,
    seeds: int | None,
    only: Sequence[str] | None,
    runs: str | None,
    results: str | None,
) -> int:
    """Train the cells that are missing, one after another, and write the tables.

    Raises ``TrainingError`` in the end where cells failed; the others were trained all the same.
    """
    began = time.monotonic()
    if minutes is not None and not 0 < minutes < 1e6:
        raise UsageError(f"--minutes must be above 0, not {minutes}")
    deadline = None if minutes is None else began + 60 * minutes
    set_up_jax()
    job = _job(name, seeds, only, runs, results)
    reserve = Paces(job.results.records().values()).largest_overhead
    failed: list[str] = []
    code = _train_cells(job, deadline, reserve, failed)
    summary = job.results.write(pictures=True)
    console.print(f"{summary['finished']} of {summary['cells']} cells are finished; the table is")
    console.print(f"  {job.results.path / 'table.md'}")
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(job.cells)} cells failed ({', '.join(failed)}), for the "
            "reasons given above; call it again when they are mended"
        )
    return code


def tables(name: str, results: str | None) -> int:
    """Write tables and pictures anew, from the cells' files alone."""
    name, study = load_study(name)
    folder = ResultsFolder(Path(results or RESULTS), name, study)
    if not folder.records():
        raise UsageError(
            f"there are no cells in {str(folder.path)!r} yet; run the experiment first"
        )
    folder.write(pictures=True)
    console.print(f"the table is {folder.path / 'table.md'}")
    return 0


def plan(
    name: str,
    seeds: int | None,
    only: Sequence[str] | None,
    runs: str | None,
    results: str | None,
) -> int:
    """Print the cells, their steps and how long they will take; train nothing."""
    set_up_jax()
    job = _job(name, seeds, only, runs, results)
    paces, total, failed = Paces(job.results.records().values()), 0.0, 0
    for cell, experiment in job.cells.values():
        try:
            with foreign(f"cell {cell.name!r}"):
                left = _left(job, cell, experiment)
                known = paces.seconds(experiment, left, job.study.evaluate) if left else None
        except (UsageError, TrainingError) as error:
            failed += 1
            console.print(f"{cell.name:<40} would fail: {error}")
            continue
        seconds, basis = known or (0.0, "")
        steps = f"{left:,} of {experiment.total_steps:,} steps x {experiment.num_seeds} seeds"
        words = f"{steps}, {seconds:,.0f} s by {basis}" if known else "finished"
        console.print(f"{cell.name:<40} {words}")
        total += seconds
    total += ONCE
    console.print(f"{len(job.cells)} cells, about {total:,.0f} s ({total / 60:,.1f} minutes) to go")
    return 1 if failed else 0


def _job(
    name: str,
    seeds: int | None,
    only: Sequence[str] | None,
    runs: str | None,
    results: str | None,
) -> Job:
    """Return what is to be done; all options of all cells have been checked then."""
    if seeds is not None:
        check_within("--seeds", seeds, least=1)
    name, study = load_study(name)
    folder = Path(runs or RUNS) / name
    number = study.seeds if seeds is None else seeds
    cells = {c.name: (c, c.experiment(number, folder)) for c in study.chosen(only)}
    for cell, experiment in cells.values():
        if experiment.sweep:
            raise UsageError(f"cell {cell.name!r} sweeps; put the values into the grid instead")
    return Job(study, cells, folder, ResultsFolder(Path(results or RESULTS), name, study))


def _train_cells(job: Job, deadline: float | None, reserve: float, failed: list[str]) -> int:
    """Train what is missing; return 130 where a person stopped it, else 0. ``failed`` grows.

    No cell is begun within the last ``reserve`` seconds.
    """
    begun = False
    for number, (cell, experiment) in enumerate(job.cells.values(), 1):
        late = deadline is not None and time.monotonic() + reserve >= deadline
        if late and begun:  # the first that is missing always comes some way
            console.print("stopped in time; the same command goes on")
            break
        try:
            with foreign(f"cell {cell.name!r}", ours_too=True):
                outcome = _train_cell(job, cell, experiment, deadline, number)
        except (UsageError, TrainingError) as error:
            failed.append(cell.name)
            console.print(f"failed: {error}")
            outcome = None
        jax.clear_caches()  # else programs of a cell stay, with CUDA graphs beside JAX's share
        gc.collect()
        begun |= outcome is not None
        if outcome == 130 and (deadline is None or time.monotonic() < deadline):
            return 130
    return 0


def _train_cell(
    job: Job, cell: Cell, experiment: Experiment, deadline: float | None, number: int
) -> int | None:
    """Train a cell to its end or to the deadline, and add it to the results if it got to its end.

    Returns None where there was nothing to do, since it is finished or in another process's hands.
    """
    if job.results.is_finished(cell, experiment):
        return None
    job.runs.mkdir(parents=True, exist_ok=True)
    with locked(job.runs / f".{cell.name}.lock") as held:
        if not held:
            console.print(f"cell {cell.name} is being trained by another process")
            return None
        if job.results.is_finished(cell, experiment):  # by now
            return None
        console.print(f"cell {number} of {len(job.cells)}: {cell.name}")
        return _train_alone(job, cell, experiment, deadline)


def _train_alone(job: Job, cell: Cell, experiment: Experiment, deadline: float | None) -> int:
    began = time.monotonic()
    ending = train.Ending(deadline, job.study.evaluate)
    folder = RunFolder(str(experiment.run_dir))
    before = _seconds(folder)
    if folder.config_path.is_file():
        _check_run(folder, experiment)
        code = train.resume(str(folder.path), {}, ending)
    else:
        code = train.start_run(experiment, ending)
    if code == 0:
        _play_elsewhere(job.study.places(cell), folder)
        overhead = time.monotonic() - began - (_seconds(folder) - before)
        job.results.add(cell, experiment, folder, overhead)
        job.results.write(pictures=False)
    return code


def _play_elsewhere(places: Mapping[str, Mapping[str, Any]], folder: RunFolder) -> None:
    for name, settings in places.items():
        if scores.evaluation(folder, evaluate.suffix_of(settings)) is None:
            console.print(f"{name}:")
            evaluate.evaluate(str(folder.path), None, 0, None, settings)


def _left(job: Job, cell: Cell, experiment: Experiment) -> int:
    """Return the steps that a cell has to go; at least one, unless it is finished."""
    if job.results.is_finished(cell, experiment):
        return 0
    folder = RunFolder(str(experiment.run_dir))
    reached = 0
    if folder.config_path.is_file():
        _check_run(folder, experiment)
        reached = max((row["env_steps"] for row in folder.read_rows()), default=0)
    return max(experiment.total_steps - reached, 1)


def _check_run(folder: RunFolder, experiment: Experiment) -> None:
    check_same(str(folder.path), read_yaml(folder.trained_config_path), experiment)


def _seconds(folder: RunFolder) -> float:
    rows = folder.read_rows()
    return rows[-1]["seconds"] if rows else 0.0
