"""A run that is killed and resumed ends as if nothing had happened, bit for bit."""

import functools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_agents import TINY_R2I

from agents.cli import main
from agents.experiment import load_experiment
from agents.run import make_agent as agent_of
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import init_seeds
from ssmrl.train.run_folder import RunFolder

SHARED = [
    "train", "quickstart", "--memory.features", "8", "--memory.state-size", "8",
    "--eval-episodes", "8", "--checkpoint-every", "1", "--num-seeds", "2",
    "--env.name", "popgym/PositionOnlyCartPoleEasy",
]  # fmt: skip
ARGUMENTS = {
    "ppo": [
        *SHARED, "--ppo.encoder-sizes", "8", "--ppo.head-sizes", "8", "--ppo.num-envs", "8",
        "--ppo.num-steps", "30", "--ppo.num-minibatches", "2", "--ppo.num-epochs", "1",
        "--ppo.normalise-rewards", "--ppo.normalise-observations", "--total-steps", "9600",
    ],
    "r2i": [*SHARED, "--agent", "r2i", *TINY_R2I, "--total-steps", "640"],
}  # fmt: skip
UPDATES = 40


def final_state(path: Path):
    """Return the leaves of the newest checkpoint, PRNG keys as numbers."""
    experiment = load_experiment(path / "config.yaml")
    agent = agent_of(experiment)
    like = jax.eval_shape(lambda: init_seeds(agent, 0, 2))
    update, state, warnings = Checkpoints(path / "checkpoints").restore(like)
    assert (update, warnings) == (UPDATES, [])
    state = state.replace(key=jax.random.key_data(state.key))
    return jax.tree_util.tree_leaves_with_path(state)


def rows(path: Path) -> list[dict]:
    """Return the metrics less their timings."""
    timed = ("seconds", "steps_per_second", "share_acting", "share_learning", "share_host")
    kept = RunFolder.open(path).read_rows()
    return [{name: row[name] for name in row.keys() - timed} for row in kept]


def command(path: Path) -> list[str]:
    """Return the command that starts the run, whose folder is named as its agent, or resumes it."""
    if path.exists():
        return ["train", "--resume", str(path)]
    return [*ARGUMENTS[path.name], "--run-dir", str(path)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function that trains an agent once, and returns its run."""

    @functools.cache
    def train(agent: str) -> Path:
        path = tmp_path_factory.mktemp("undisturbed") / agent
        assert main(command(path)) == 0
        return path

    return train


def assert_same_end(path: Path, undisturbed: Callable[[str], Path]) -> None:
    whole = undisturbed(path.name)
    for (name, leaf), (_, other) in zip(final_state(path), final_state(whole), strict=True):
        np.testing.assert_array_equal(leaf, other, err_msg=jax.tree_util.keystr(name))
    assert rows(path) == rows(whole)


def run_until(path: Path, delay: float, signal_number: int) -> int:
    """Start or resume the run, signal it some time after its first update, return its status."""
    seen = len(RunFolder(path).read_rows())
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.cli", *command(path)], stdout=subprocess.DEVNULL
    )
    while process.poll() is None and len(RunFolder(path).read_rows()) <= seen:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal_number)
    return process.wait()


def kill_and_resume(path: Path, delays: list[float]) -> int:
    """Kill the run after each delay past its first sign of life; return how many kills struck."""
    statuses = [run_until(path, delay, signal.SIGKILL) for delay in delays]
    assert main(command(path)) == 0
    return statuses.count(-signal.SIGKILL)


def test_killed_run_ends_the_same(undisturbed, tmp_path):
    """Saving takes longer than updating here, so most kills strike a checkpoint being written."""
    path = tmp_path / "ppo"
    assert kill_and_resume(path, [0.0, 0.11]) == 2
    assert_same_end(path, undisturbed)


def test_interrupted_run_saves_its_state_and_goes_on(undisturbed, tmp_path):
    """Ctrl-C lets the update end and saves it, so that nothing is done twice."""
    path = tmp_path / "ppo"
    assert run_until(path, 0.0, signal.SIGINT) == 130
    assert Checkpoints(path / "checkpoints").newest() == rows(path)[-1]["update"]
    assert main(command(path)) == 0
    assert_same_end(path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["ppo", "r2i"])
def test_run_killed_often_ends_the_same(undisturbed, tmp_path, agent):
    """Ten runs at most, killed at random moments, the first seconds of start-up included.

    The replay is part of what ends the same.
    """
    path = tmp_path / agent
    chance = random.Random(0)
    kills = kill_and_resume(path, [chance.uniform(0, 0.4) for _ in range(10)])
    assert kills >= 4
    assert_same_end(path, undisturbed)
