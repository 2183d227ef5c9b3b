"""What commands share: an agent from its experiment, a run from its folder."""

import secrets
import time
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from agents.experiment import AGENTS, Experiment, load_experiment
from ssmrl.registry import import_module
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import init_seeds
from ssmrl.train.run_folder import RunFolder

console = Console(highlight=False, soft_wrap=True, markup=False)


def make_agent(experiment: Experiment) -> Any:
    """Return the agent that the experiment names."""
    return import_module(AGENTS.get(experiment.agent)).Agent(experiment)


def default_run_dir(experiment: Experiment) -> Path:
    """Return a new folder's path under runs/, named by environment, memory, seed and time.

    What stands last tells apart what was started in the same second.
    """
    env = experiment.env.name.replace("/", "-").replace(":", "-")
    memory = experiment.memory.name.replace(":", "-")
    when = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{env}-{memory}-seed{experiment.seed}-{when}-{secrets.token_hex(2)}"


def load_run(path: str) -> tuple[RunFolder, Experiment, Any, Any]:
    folder = RunFolder.open(path)
    experiment = load_experiment(folder.path / "config.yaml")
    agent = make_agent(experiment)
    return folder, experiment, agent, restore(experiment, agent, folder)


def restore(experiment: Experiment, agent: Any, folder: RunFolder, resuming: bool = False) -> Any:
    checkpoints = Checkpoints(folder.checkpoints)
    if resuming and checkpoints.newest() is None:
        console.print("there is no checkpoint yet; starting from the beginning")
        return init_seeds(agent, experiment.seed, experiment.num_seeds)
    like = jax.eval_shape(lambda: init_seeds(agent, experiment.seed, experiment.num_seeds))
    update, state, warnings = checkpoints.restore(like)
    for warning in warnings:
        console.print(f"warning: {warning}")
    if resuming:
        checkpoints.set_aside_after(update)
    console.print(f"restored the state after update {update}")
    return state
