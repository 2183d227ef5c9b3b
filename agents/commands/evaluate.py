"""``ssmrl eval``: greedy and sampled episodes of a run's agent."""

import dataclasses
import json
from typing import Any

import numpy as np

from agents.experiment import Experiment
from agents.parts import play_episodes
from agents.run import console, load_run
from ssmrl.errors import TrainingError
from ssmrl.report.evaluation import Episodes
from ssmrl.report.statistics import Summary, summarise
from ssmrl.train.config import check_within
from ssmrl.train.disk import room_on_disk
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import set_up_jax


def evaluate(path: str, episodes: int | None, seed: int, max_steps: int | None) -> int:
    """Print the greedy and the sampled return of a run's agent."""
    set_up_jax()
    check_within("--seed", seed, least=0)
    given = {"eval_episodes": episodes, "eval_max_steps": max_steps}
    overrides = {name: value for name, value in given.items() if value is not None}
    for name, value in overrides.items():
        check_within(f"--{name.removeprefix('eval_').replace('_', '-')}", value, least=1)
    folder, experiment, agent, state = load_run(path, overrides)
    with room_on_disk(folder.path, "make space and evaluate again"):
        evaluate_state(experiment, agent, state, folder, seed)
    return 0


def evaluate_state(
    experiment: Experiment, agent: Any, state: Any, folder: RunFolder, seed: int = 0
) -> None:
    """Play the experiment's number of episodes, print their returns and write evaluation.json."""
    episodes, max_steps = experiment.eval_episodes, experiment.eval_max_steps
    results: dict[str, Any] = {
        "update": int(np.max(state.update)),
        "episodes": episodes,
        "seed": seed,
        "max_steps": max_steps,
    }
    for kind, played in play_episodes(agent, state, experiment.seeds, episodes, seed, max_steps):
        results[kind] = _told(kind, played, experiment)
    folder.write("evaluation.json", json.dumps(results, indent=2) + "\n")
    console.print(f"evaluation in {folder.path / 'evaluation.json'}")


def _told(kind: str, played: Episodes, experiment: Experiment) -> dict[str, Any]:
    """Print and return what the finished episodes paid, and how many were cut off."""
    returns, finished = np.asarray(played.returns), np.asarray(played.finished)
    if not np.isfinite(returns).all():
        raise TrainingError(
            f"{kind} episodes paid returns that are not finite; look for faulty rewards with "
            f"ssmrl check {experiment.env.name}"
        )
    cut = int(finished.size - finished.sum())
    limit = f"cut off after {experiment.eval_max_steps} steps, which --max-steps can raise"
    summary = summarise(returns, finished)
    if summary is None:
        console.print(f"{kind} return unknown: all {cut} episodes were {limit}")
    else:
        late = f"; left out are {cut} episodes {limit}" if cut else ""
        console.print(f"{kind} return {summary}{late}")
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Summary))
    scores = {**nothing, "count": 0} if summary is None else dataclasses.asdict(summary)
    pairs = zip(np.atleast_2d(returns), np.atleast_2d(finished), strict=True)
    by_seed = [float(r[f].mean()) if f.any() else None for r, f in pairs]
    return {**scores, "finished": finished.size - cut, "cut_off": cut, "by_seed": by_seed}
