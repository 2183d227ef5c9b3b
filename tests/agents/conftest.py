"""Small agents to test with."""

from collections.abc import Callable

import pytest

from agents.experiment import Experiment, load_experiment
from agents.ppo import PPO
from ssmrl.train.config import parse_overrides

TINY = [
    "--memory.features=8", "--ppo.encoder-sizes=8", "--ppo.head-sizes=8", "--ppo.num-envs=8",
    "--ppo.num-steps=13", "--ppo.num-epochs=2", "--ppo.num-minibatches=2", "--total-steps=10_000",
]  # fmt: skip
SMALL_S5 = ["--memory.num-layers=2", "--memory.state-size=8"]


def tiny_experiment(*arguments: str, memory: str = "s5", env: str = "probes:Cue") -> Experiment:
    """Return an experiment that compiles in seconds; later arguments win."""
    own = SMALL_S5 if memory == "s5" else []
    names = [f"--memory.name={memory}", f"--env.name={env}"]
    return load_experiment(None, parse_overrides([*names, *TINY, *own, *arguments]))


@pytest.fixture(scope="session")
def make_agent() -> Callable[..., PPO]:
    """Return a function that makes a tiny PPO agent on a probe environment."""
    return lambda *arguments, **names: PPO(tiny_experiment(*arguments, **names))
