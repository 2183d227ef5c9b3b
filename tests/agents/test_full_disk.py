"""A disk that fills up, at whatever moment: one sentence, and nothing is lost."""

import errno
import shutil
from pathlib import Path

import orbax.checkpoint as ocp
import pytest
from matplotlib.figure import Figure
from PIL import Image

from agents.cli import main
from ssmrl.train.events import Events
from ssmrl.train.run_folder import RunFolder

RESUME = ["train", "--total-steps", "1440", "--resume"]


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def orbax_full(*_, **__):
    raise ValueError('RESOURCE_EXHAUSTED: Error writing "d/1": No space left on device [28]')


MOMENTS = {
    "config": (RunFolder, "write", full),
    "a row": (RunFolder, "append_row", full),
    "events": (Events, "add_scalar", full),
    "flushing events": (Events, "flush", full),
    "closing events": (Events, "close", full),
    "checkpoint": (ocp.CheckpointManager, "save", orbax_full),
    "manifest": (Path, "write_text", full),
    "picture": (Figure, "savefig", full),
}


def rows(run: Path) -> list[dict]:
    timed = ("seconds", "steps_per_second", "share_acting", "share_learning", "share_host")
    return [{name: row[name] for name in row.keys() - timed} for row in RunFolder(run).read_rows()]


@pytest.fixture(scope="module")
def undisturbed(trained_run, tmp_path_factory) -> list[dict]:
    """Return the rows of the run that has gone on."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    shutil.copytree(trained_run, path)
    assert main([*RESUME, str(path)]) == 0
    return rows(path)


@pytest.mark.parametrize("moment", MOMENTS)
def test_training_says_how_to_go_on_and_ends_the_same(
    run, capsys, monkeypatch, undisturbed, moment
):
    with monkeypatch.context() as patched:
        patched.setattr(*MOMENTS[moment])
        assert main([*RESUME, str(run)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(
        f"ssmrl: stopped: cannot write in {str(run)!r}: No space left on device"
    )
    assert f"make space and go on with: ssmrl train --resume {run}" in error
    assert main([*RESUME, str(run)]) == 0
    assert rows(run) == undisturbed


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        (["eval", "--episodes", "2"], (RunFolder, "write", full)),
        (["render", "--max-steps", "2"], (Image.Image, "save", full)),
        (["plot"], (Figure, "savefig", full)),
    ],
)
def test_looking_at_a_run(run, capsys, monkeypatch, command, moment):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    monkeypatch.setattr(*moment)
    assert main([*command, str(run)]) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left on device" in error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_new_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RunFolder, "write", full)
    tiny = ["--memory.name", "mlp", "--memory.features", "8", "--ppo.num-envs", "4"]
    assert main(["train", "quickstart", *tiny, "--run-dir", "run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ssmrl: error: cannot make run folder 'run': No space left on device")
    assert not list(tmp_path.iterdir())
