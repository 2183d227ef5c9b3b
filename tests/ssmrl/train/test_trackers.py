"""Rows of metrics beside metrics.jsonl: TensorBoard always, Weights & Biases where it is wanted."""

import importlib.util
import subprocess
import sys

import pytest
import wandb
from tensorboardX.proto.event_pb2 import Event

from ssmrl.errors import UsageError
from ssmrl.train import trackers
from ssmrl.train.run_folder import RunFolder

ROW = {"update": 2, "env_steps": 64, "loss": [1.0, 3.0], "episode_return_mean": None}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", {"seed": 0})


def events(path):
    """Yield tag, step and number of every event in a file of TensorBoard's."""
    data = path.read_bytes()
    while data:
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        data = data[12 + length + 4 :]
        yield from ((v.tag, event.step, v.simple_value) for v in event.summary.value)


def test_tensorboard_gets_the_means_over_seeds(folder):
    with trackers.open_trackers(folder, None, {}, {}, 0) as opened:
        opened[0].write(ROW)
    (path,) = folder.path.glob("events.*")
    assert list(events(path)) == [("loss", 64, 2.0)]


def test_tensorboard_keeps_the_settings_of_a_sweep_apart(folder):
    row = {**ROW, "loss": [1.0, 3.0, None, 7.0], "seconds": 2.0}
    with trackers.open_trackers(folder, None, {}, {"a=1": [0, 1], "a=2": [2, 3]}, 0) as opened:
        opened[0].write(row)
    (path,) = folder.path.glob("events.*")
    assert list(events(path)) == [  # in which = cannot stand
        ("loss/a_1", 64, 2.0),
        ("loss/a_2", 64, 7.0),
        ("seconds", 64, 2.0),
    ]


def test_wandb_goes_on_with_its_run_offline(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for steps in (0, 64):  # started, and resumed
        with trackers.open_trackers(folder, "wandb", {"seed": 0}, {}, steps) as opened:
            opened[1].write({**ROW, "env_steps": steps + 64})
    written = list((folder.path / "wandb").glob("offline-run-*/run-*.wandb"))
    own = (folder.path / "wandb" / "id").read_text()
    assert len(written) == 2
    assert all(p.name == f"run-{own}.wandb" and p.stat().st_size for p in written)


def test_wandb_without_an_account_is_one_sentence(folder, monkeypatch):
    def refuse(**_):
        raise ValueError("No API key configured.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(UsageError, match=r"^track='wandb': ValueError: No API key.*=offline"):
        with trackers.open_trackers(folder, "wandb", {}, {}, 0):
            pass


def test_what_is_not_installed_is_said_first(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"track='wandb' needs the package wandb; install it"):
        trackers.check_track("wandb")
    trackers.check_track(None)


def test_nothing_of_wandb_is_imported_otherwise():
    code = "import sys, agents.commands.train; print('wandb' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
