"""What the README shows is run."""

import json
import re
import shlex
from pathlib import Path

import jax
import pytest

from agents.cli import main
from agents.experiment import load_experiment
from agents.study import load_study

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """Return the code block of the README that holds some text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (b for b in blocks if containing in b)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in a folder of the user's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results(folder: Path) -> dict:
    """Return the evaluation of the folder's run."""
    return json.loads((folder / "run" / "evaluation.json").read_text())


def test_own_environment(folder):
    (folder / "corridor.py").write_text(block("python", "class Corridor"))
    check, train = (
        shlex.split(line, comments=True) for line in block("bash", "corridor:Corridor").splitlines()
    )
    assert check.pop(0) == train.pop(0) == "ssmrl"
    assert main(check) == 0
    assert main([*train, "--run-dir", "run"]) == 0
    assert results(folder)["greedy"]["mean"] > 0.95


def test_loop_of_ones_own(capsys):
    exec(block("python", "from agents.ppo import PPO"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all("'loss': " in line and "'episode_return': " in line for line in printed)


SMALL = [
    *("--env.name=probes:Cue", "--env.params.length=3", "--run-dir=run", "--eval-episodes=32"),
    *("--memory.features=16", "--memory.name=trace:Trace"),
]
NETWORK = "encoder-sizes=16", "head-sizes=16"


def test_own_memory_and_own_agent_and_a_player(folder, monkeypatch):
    """A memory and an agent in one file each learn what needs memory, and act elsewhere."""
    (folder / "trace.py").write_text(block("python", "class Trace"))
    (folder / "a2c.py").write_text(block("python", "class A2C"))
    assert main(["check", "--memory", "trace:Trace"]) == 0
    own = [f"--a2c.{option}" for option in (*NETWORK, "learning-rate=1e-2", "num-steps=9")]
    steps = "--total-steps=60_000"
    assert main(["train", "--agent", "a2c:A2C", *SMALL, *own, steps]) == 0
    assert results(folder)["greedy"]["mean"] > 0.9

    (folder / "runs").mkdir()
    (folder / "run").rename(folder / "runs" / "RUN")
    seen = {"obs": jax.numpy.ones(1)}
    exec(block("python", "from agents.player import load"), seen)
    assert seen["action"] in (0, 1)


def test_s5_in_a_flax_model():
    seen: dict = {}
    exec(block("python", "class Tagger"), seen)
    assert seen["logits"].shape == (100, 4, 5)


def test_own_preset_and_own_experiment(folder):
    (folder / "mine.yaml").write_text(block("yaml", "CartPole-v1"))
    experiment = load_experiment("mine.yaml")
    assert (experiment.memory.name, experiment.agent_config.num_envs) == ("gru", 32)
    (folder / "study.yaml").write_text(block("yaml", "grid:"))
    name, study = load_study("study.yaml")
    assert [c.name for c in study.cells] == ["s5-easy", "s5-medium", "gru-easy", "gru-medium"]
    for cell in study.cells:
        chosen = cell.experiment(study.seeds, folder / name)
        assert chosen.memory.name == cell.labels["memory"]
        assert chosen.env.name.lower().endswith(cell.labels["env"])


PATHS = re.findall(r"`((?:ssmrl|configs|tests|envs|agents)/[\w/.]*)`", README)


@pytest.mark.parametrize("path", PATHS)
def test_named_paths_exist(path):
    assert (ROOT / path).exists()
