"""``ssmrl eval``: greedy and sampled episodes of a run's agent."""

import dataclasses
import json
from typing import Any

import numpy as np

from agents.experiment import Experiment
from agents.parts import play_episodes
from agents.run import console, load_run
from ssmrl.errors import UsageError
from ssmrl.report.statistics import Summary, summarise
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import enable_compilation_cache


def evaluate(path: str, episodes: int | None, seed: int) -> int:
    """Print the greedy and the sampled return of a run's agent."""
    enable_compilation_cache()
    if episodes is not None and episodes < 1:
        raise UsageError(f"--episodes must be above 0, not {episodes}")
    folder, experiment, agent, state = load_run(path)
    evaluate_state(experiment, agent, state, folder, episodes or experiment.eval_episodes, seed)
    return 0


def evaluate_state(
    experiment: Experiment, agent: Any, state: Any, folder: RunFolder, episodes: int, seed: int
) -> None:
    summaries: dict[str, Summary] = {}
    for kind, played in play_episodes(agent, state, experiment.num_seeds, episodes, seed):
        summaries[kind] = summarise(np.asarray(played.returns))
        unfinished = int(np.size(played.finished) - np.sum(played.finished))
        late = f"; {unfinished} episodes were cut off unfinished" if unfinished else ""
        console.print(f"{kind} return {summaries[kind]}{late}")
    results = {kind: dataclasses.asdict(summary) for kind, summary in summaries.items()}
    text = {"update": int(np.max(state.update)), "episodes": episodes, "seed": seed, **results}
    folder.write("evaluation.json", json.dumps(text, indent=2) + "\n")
    console.print(f"evaluation in {folder.path / 'evaluation.json'}")
