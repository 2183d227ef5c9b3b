"""Damaged and edited run folders: what can be saved is, what cannot is one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from agents.cli import main

COMMANDS = {
    "eval": ["eval", "--episodes", "2"],
    "render": ["render", "--max-steps", "2"],
    "plot": ["plot"],
    "resume": ["train", "--total-steps", "1200", "--resume"],
}


def call(command: str, run: Path, capsys) -> tuple[int, str, str]:
    """Return the status, what was printed, and the errors, of which there is one sentence."""
    status = main([*COMMANDS[command], str(run)])
    printed, error = capsys.readouterr()
    assert error.count("\n") == (1 if status else 0), error
    assert "Traceback" not in error
    return status, printed, error


def edit(run: Path, **changes) -> None:
    """Change config.yaml; keys of groups are written as ppo__gamma."""
    path = run / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for name, value in changes.items():
        *groups, leaf = name.split("__")
        section = config
        for group in groups:
            section = section[group]
        section[leaf] = value
    path.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("command", ["eval", "render", "resume"])
@pytest.mark.parametrize("damage", ["no manifest, half the files", "bare folder", "manifest"])
def test_older_checkpoint_is_taken(run, capsys, command, damage):
    checkpoints = run / "checkpoints"
    if damage == "bare folder":
        (checkpoints / "7").mkdir()
    elif damage == "manifest":
        (checkpoints / "4.json").write_bytes(b"\xff")
    else:
        (checkpoints / "4.json").unlink()
        shutil.rmtree(checkpoints / "4" / "default" / "d")
    status, printed, _ = call(command, run, capsys)
    damaged, left = (7, 4) if damage == "bare folder" else (4, 2)
    assert status == 0
    assert printed.count("warning:") == 1
    assert f"warning: checkpoint {damaged} is damaged and was passed over" in printed
    assert f"restored the state after update {left}" in printed
    aside = (checkpoints / f"damaged-{damaged}").exists()
    assert aside == (command == "resume")  # looking changes nothing


def test_killed_between_checkpoint_and_manifest(run, capsys):
    (run / "checkpoints" / "4.json").unlink()
    status, printed, _ = call("eval", run, capsys)
    assert status == 0
    assert "warning" not in printed
    assert "restored the state after update 4" in printed


@pytest.mark.parametrize("command", ["plot", "resume"])
def test_lines_that_are_no_rows(run, capsys, command):
    path = run / "metrics.jsonl"
    damaged = b"\xff\xfe\n" + path.read_bytes() + b"null\n"
    path.write_bytes(damaged)
    status, printed, _ = call(command, run, capsys)
    assert status == 0
    assert printed.count("warning:") == 1
    assert f"warning: 2 of 6 lines in {str(path)!r} are no rows and are left out" in printed
    if command == "resume":
        assert (run / "metrics.damaged.jsonl").read_bytes() == damaged
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row["update"] for row in rows] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"env__name": "popgym/RepeatFirstEasy"}, "env.name='popgym/RepeatFirstEasy', but the run"),
        ({"env__start_flag": False}, "env.start_flag=False, but the run was trained with True"),
        ({"env__params": {"k": 2}}, "env.params.k=2, but the run was trained with None"),
        ({"memory__name": "gru"}, "memory.name='gru', but the run was trained with 'mlp'"),
        ({"memory__features": 16}, "memory.features=16, but the run was trained with 8"),
    ],
)
def test_another_environment_or_memory_is_refused(run, capsys, command, change, words):
    edit(run, **change)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    status, _, error = call(command, run, capsys)
    assert status == 2
    assert f"{str(run / 'config.yaml')!r} says {words}" in error
    assert "put it back, or start a new run" in error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", COMMANDS)
def test_what_was_trained_holds_whatever_the_file_says(run, capsys, command):
    edit(run, ppo__gamma=0.5, seed=7, ppo__learning_rate=1.0, num_seeds=3)
    status, printed, _ = call(command, run, capsys)
    assert status == 0
    assert printed.count("warning:") == 4
    for words in ("ppo.gamma=0.5", "seed=7", "ppo.learning_rate=1.0", "num_seeds=3"):
        assert f"says {words}, but the run was trained with " in printed
    if command == "resume":
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert (config["seed"], config["ppo"]["gamma"], config["total_steps"]) == (0, 0.9, 1200)
        assert call("plot", run, capsys)[1].count("warning:") == 0


def test_when_to_write_and_stop_may_change(run, capsys):
    edit(run, total_steps=1440, checkpoint_every=1, eval_episodes=3, eval_max_steps=60)
    assert main(["train", "--resume", str(run)]) == 0
    assert "warning:" not in capsys.readouterr().out
    results = json.loads((run / "evaluation.json").read_text())
    assert (results["update"], results["episodes"], results["max_steps"]) == (6, 3, 60)


@pytest.mark.parametrize("damage", ["missing", "binary", "folder", "loop"])
def test_without_a_record_of_what_was_trained_the_config_is_believed(run, capsys, damage):
    path = run / "config.trained.yaml"
    path.unlink()
    if damage == "binary":
        path.write_bytes(b"\xff")
    elif damage == "folder":
        path.mkdir()
    elif damage == "loop":
        path.symlink_to(path)
    status, printed, _ = call("eval", run, capsys)
    assert status == 0
    assert printed.count("warning:") == 1
    assert ("is of older code" if damage == "missing" else "is taken for true") in printed


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("config.yaml", "eval"),
        ("config.yaml", "resume"),
        ("config.trained.yaml", "resume"),
        ("metrics.jsonl", "plot"),
        ("metrics.jsonl", "resume"),
        ("evaluation.json", "eval"),
        ("curve.png", "plot"),
        ("episode.gif", "render"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_folder_or_a_loop_where_a_file_belongs(run, capsys, name, command, kind):
    """Loops are replaced by what is written anew; in the place of what is read they are named."""
    path = run / name
    path.unlink(missing_ok=True)
    path.mkdir() if kind == "folder" else path.symlink_to(path)
    before = (run / "config.yaml").is_file() and (run / "config.yaml").read_bytes()
    status, _, error = call(command, run, capsys)
    if kind == "loop" and name in ("evaluation.json", "config.trained.yaml"):
        assert status == 0
        return
    assert status == 2
    assert (str(run) if name == "config.yaml" else str(path)) in error
    assert before == ((run / "config.yaml").is_file() and (run / "config.yaml").read_bytes())


@pytest.mark.parametrize("kind", ["file", "loop"])
@pytest.mark.parametrize("command", ["eval", "render", "resume"])
def test_no_folder_of_checkpoints(run, capsys, command, kind):
    path = run / "checkpoints"
    shutil.rmtree(path)
    path.write_text("") if kind == "file" else path.symlink_to(path)
    status, _, error = call(command, run, capsys)
    assert status == 2
    assert f"{str(path)!r} is no folder of checkpoints; start a new run" in error


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["nothing", "folder", "file", "below a file", "loop", "empty"])
def test_no_run(tmp_path, monkeypatch, capsys, command, kind):
    path = tmp_path / "no$run[b]"
    makers = {"folder": path.mkdir, "file": path.touch, "loop": lambda: path.symlink_to(path)}
    makers.get(kind, lambda: None)()
    if kind == "below a file":
        path.touch()
        path = path / "run"
    if kind == "empty":  # not the folder that somebody stands in
        (tmp_path / "config.yaml").write_text("seed: 0\n")
        monkeypatch.chdir(tmp_path)
    given = "" if kind == "empty" else str(path)
    assert main([*COMMANDS[command], given]) == 2
    error = capsys.readouterr().err
    assert error == f"ssmrl: error: {given!r} is no run folder: it holds no config.yaml\n"


def test_names_are_shown_as_typed(trained_run, tmp_path, capsys):
    run = Path(shutil.copytree(trained_run, tmp_path / "$a$ [b] [/]"))
    for command in COMMANDS:
        assert call(command, run, capsys)[0] == 0
    assert main(["plot", str(run), str(trained_run), "--out", str(run / "[b]$.png")]) == 0
    assert f"curves in {run / '[b]$.png'}" in capsys.readouterr().out
