"""Small agents to test with."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.cli import main
from agents.experiment import Experiment, agent_class, load_experiment
from ssmrl.train.config import parse_overrides

TINY = [
    "--memory.features=8", "--ppo.encoder-sizes=8", "--ppo.head-sizes=8", "--ppo.num-envs=8",
    "--ppo.num-steps=13", "--ppo.num-epochs=2", "--ppo.num-minibatches=2", "--total-steps=10_000",
]  # fmt: skip
SMALL_S5 = ["--memory.num-layers=2", "--memory.state-size=8"]


def tiny_experiment(
    *arguments: str, agent: str = "ppo", memory: str = "s5", env: str = "probes:Cue"
) -> Experiment:
    """Return an experiment that compiles in seconds; later arguments win."""
    own = SMALL_S5 if memory == "s5" else []
    names = [f"--agent={agent}", f"--memory.name={memory}", f"--env.name={env}"]
    tiny = [option.replace("--ppo.", f"--{agent}.") for option in TINY]
    return load_experiment(None, parse_overrides([*names, *tiny, *own, *arguments], ["sweep"]))


@pytest.fixture(scope="session")
def make_experiment() -> Callable[..., Experiment]:
    """Return a function that makes the experiment of a tiny agent, PPO by default, on a probe."""
    return tiny_experiment


@pytest.fixture(scope="session")
def make_agent() -> Callable[..., Any]:
    """Return a function that makes a tiny agent, PPO by default, on a probe environment."""

    def make(*arguments: str, **names: str) -> Any:
        experiment = tiny_experiment(*arguments, **names)
        return agent_class(experiment.agent)(experiment)

    return make


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> Path:
    """Return a run of four updates of 240 steps, with checkpoints after two and four."""
    path = tmp_path_factory.mktemp("trained") / "run"
    own = ["--ppo.num-envs", "4", "--ppo.num-steps", "60", "--ppo.num-epochs", "1"]
    ends = ["--eval-episodes", "4", "--total-steps", "960", "--checkpoint-every", "2"]
    names = ["--memory.name", "mlp", "--run-dir", str(path)]
    assert main(["train", "quickstart", *TINY, *names, *own, *ends]) == 0
    return path


@pytest.fixture
def run(trained_run, tmp_path) -> Path:
    """Return a copy of that run, to be damaged."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))
