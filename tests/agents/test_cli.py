"""The command: what it prints, what it leaves behind, and one sentence for every mistake."""

import importlib.util
import json
import shutil
import subprocess
import sys
import time

import pytest
import yaml
from PIL import Image

from agents import experiment
from agents.cli import main
from ssmrl import memory
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.run_folder import RunFolder

TINY = [
    "--memory.name", "mlp", "--memory.features", "8", "--ppo.encoder-sizes", "8",
    "--ppo.head-sizes", "8", "--ppo.num-envs", "4", "--ppo.num-steps", "60", "--ppo.num-epochs",
    "1", "--ppo.num-minibatches", "2", "--eval-episodes", "16",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    """Return a run of four updates and two seeds, with a checkpoint after each second."""
    path = tmp_path_factory.mktemp("runs") / "deep" / "run"
    command = ["train", "quickstart", *TINY, "--total-steps", "1e3", "--num-seeds", "2"]
    assert main([*command, "--checkpoint-every", "2", "--run-dir", str(path)]) == 0
    return RunFolder.open(path)


def test_run_folder(finished):
    names = {path.name for path in finished.path.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "checkpoints", "curve.png", "evaluation.json"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    config = yaml.safe_load((finished.path / "config.yaml").read_text())
    assert config["memory"] == {"name": "mlp", "features": 8, "num_layers": 2}
    assert config["ppo"]["num_steps"] == 60
    rows = finished.read_rows()
    assert [row["env_steps"] for row in rows] == [240, 480, 720, 960]
    assert all(row["seconds"] > 0 and row["steps_per_second"] > 0 for row in rows)
    for name in ("episode_return_mean", "episode_length_mean", "episodes", "loss"):
        assert len(rows[-1][name]) == 2
    assert rows[-1]["episode_length_mean"] == [51, 51]
    results = json.loads((finished.path / "evaluation.json").read_text())
    assert results["greedy"]["unit"] == "seeds"
    assert results["greedy"]["count"] == 2


def test_eval_and_plot(finished, capsys, tmp_path):
    assert main(["eval", str(finished.path), "--episodes", "20", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "restored the state after update 4" in printed
    assert "greedy return -0." in printed
    assert "sampled return -0." in printed
    picture = tmp_path / "both.png"
    assert main(["plot", str(finished.path), str(finished.path), "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(finished.path), "--out", str(tmp_path / "nameless")]) == 2
    assert "nameless' needs a suffix that says its kind, such as .png" in one_sentence(capsys)


def test_render(finished, capsys, tmp_path):
    out = tmp_path / "episode.gif"
    command = ["render", str(finished.path), "--out", str(out), "--max-steps"]
    assert main([*command, "7"]) == 0
    assert "in 7 steps" in capsys.readouterr().out
    with Image.open(out) as animation:
        assert animation.n_frames == 7
    assert main([*command, "0"]) == 2
    assert "--max-steps must lie in 1..10000, not 0" in capsys.readouterr().err
    assert main(["render", str(finished.path), "--out", "episode.mp4"]) == 2
    assert "is written as a .gif, not as 'episode.mp4'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("envs", "popgym/RepeatPreviousEasy"),
        ("memories", "s5"),
        ("agents", "ppo"),
        ("agents", "muesli"),
        ("agents", "r2i"),
        ("configs", "paper/popgym"),
    ],
)
def test_list(what, name, capsys):
    assert main(["list", what]) == 0
    assert name in capsys.readouterr().out.split("\n")


def test_train_help_shows_the_options_of_the_chosen_memory(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "quickstart", "--memory.name", "gru", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "--ppo.learning-rate" in printed
    assert "step size of Adam" in printed
    assert "--memory.num-layers" in printed
    assert "units of every layer" in printed
    assert "--memory.state-size" not in printed
    assert "--resume RUN" in printed


def test_a_reader_that_leaves_is_no_fault():
    command = f"{sys.executable} -m agents.cli list memories | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert result.stderr == ""


def test_help_is_quick():
    began = time.monotonic()
    command = [sys.executable, "-X", "importtime", "-m", "agents.cli", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "train an agent" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "ssmrl.errors" in imported
    assert imported.isdisjoint({"jax", "numpy", "rich", "matplotlib"})
    assert time.monotonic() - began < 1.5


MISTAKES = {
    "unknown key": (
        ["--ppo.lerning-rate", "1"],
        "unknown key 'ppo.lerning_rate'; did you mean 'ppo.learning_rate'?",
    ),
    "unknown memory option": (
        ["--memory.state-sise", "8"],
        "unknown key 'memory.state_sise'; did you mean 'memory.state_size'?",
    ),
    "wrong type": (["--ppo.num-envs", "many"], "ppo.num_envs must be a whole number, not 'many'"),
    "unknown environment": (
        ["--env.name", "RepeatPreviousEsy"],
        "unknown environment 'RepeatPreviousEsy'; did you mean 'popgym/RepeatPreviousEasy'?",
    ),
    "unknown environment parameter": (
        ["--env.params.decks", "2"],
        "environment 'popgym/RepeatPreviousEasy' has no parameter 'decks'; did you mean "
        "'num_decks'?",
    ),
    "unknown memory": (["--memory.name", "gur"], "unknown memory 'gur'; did you mean 'gru'?"),
    "unknown agent": (["--agent", "pop"], "unknown agent 'pop'; did you mean 'ppo'?"),
    "no value": (["--run-dir", "--seed", "1"], "run_dir needs a value; give it as --run-dir VALUE"),
    "layer sizes": (
        ["--ppo.encoder-sizes", "8,0"],
        "ppo.encoder_sizes must be above 0, not (8, 0)",
    ),
    "target": (["--ppo.target-kl", "-1"], "ppo.target_kl must be above 0, not -1.0"),
    "parameter's type": (
        ["--env.params.k", "[1]"],
        "environment 'popgym/RepeatPreviousEasy': k must be a number, not [1]",
    ),
    "import path": (
        ["--env.name", ":X"],
        "environment ':X' is no import path such as my_module:MyClass",
    ),
    "memory sizes": (["--memory.state-size", "7"], None),
    "minibatches": (
        ["--ppo.num-minibatches", "6"],
        "ppo.num_minibatches=6 does not divide ppo.num_envs=64; nearest that do: 4 and 8",
    ),
    "too few steps": (
        ["--total-steps", "100"],
        "total_steps=100 is less than one update of 6656 steps (num_envs x num_steps); lower",
    ),
    "fewer episodes than members": (
        ["--env.name", "meta/Mixture", "--eval-episodes", "1"],
        "1 eval_episodes are too few for 'meta/Mixture', which has 2 members: CartPole-v1",
    ),
    "five values": (
        ["--env.name", "planted:FiveValues"],
        None,
    ),
    "observation": (
        ["--env.name", "planted:WrongShape"],
        "environment 'WrongShape': the observation from reset is float32[1], but the observation "
        "space says float32[3]",
    ),
    "seven values": (["--env.name", "planted:SevenValues"], None),
    "missing module": (
        ["--env.name", "no_such_module:Env"],
        "environment 'no_such_module:Env': there is no module 'no_such_module' in ",
    ),
    "own package": (
        ["--env.name", "envs.corridor:Corridor"],
        "on Python's path; envs is ssmrl's own package, rename yours",
    ),
    "no name of a memory": (["--memory.name"], "memory.name needs a value; give it as"),
    "no name of an agent": (["--agent"], "agent needs a value; give it as --agent VALUE"),
    "group": (["--env", "X"], "env must be a group of options, not 'X'; name it env.name"),
}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Stand in an empty folder with a module of broken environments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted.py").write_text(
        "import probes\n"
        "from envs import spaces\n"
        "class WrongShape(probes.Value):\n"
        "    def observation_space(self, params):\n"
        "        return spaces.Box(-1, 1, (3,))\n"
        "class SevenValues(probes.Value):\n"
        "    def step(self, key, state, action, params):\n"
        "        return (*super().step(key, state, action, params), 7)\n"
        "class FiveValues(probes.Value):\n"
        "    def step(self, key, state, action, params):\n"
        "        return super().step(key, state, action, params)[:4]\n"
    )
    return tmp_path


def one_sentence(capsys) -> str:
    """Return the error printed, after checking that it is one line and no traceback."""
    error = capsys.readouterr().err
    assert error.startswith("ssmrl: error: ")
    assert error.count("\n") == 1
    return error.removeprefix("ssmrl: error: ").strip()


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name, workplace, capsys):
    arguments, sentence = MISTAKES[name]
    before = sorted(workplace.iterdir())
    assert main(["train", "quickstart", *arguments]) == 2
    found = one_sentence(capsys)
    assert sentence is None or sentence in found
    after = [path for path in sorted(workplace.iterdir()) if path.name != "__pycache__"]
    assert after == before


def test_unknown_config_names_the_nearest(capsys):
    assert main(["train", "quikstart"]) == 2
    assert one_sentence(capsys).startswith(
        "unknown config 'quikstart'; did you mean 'quickstart' or "
    )


def test_run_folder_that_exists_is_left_alone(finished, capsys):
    before = finished.metrics_path.read_text()
    assert main(["train", "quickstart", "--run-dir", str(finished.path)]) == 2
    assert "exists already; continue it with --resume" in one_sentence(capsys)
    assert finished.metrics_path.read_text() == before


@pytest.mark.parametrize("command", [["train", "--resume"], ["eval"], ["plot"]])
def test_no_run_folder(command, workplace, capsys):
    assert main([*command, "nowhere"]) == 2
    assert one_sentence(capsys) == "'nowhere' is no run folder: it holds no config.yaml"


def test_resume_passes_over_a_damaged_checkpoint(finished, capsys, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", finished.path, copy], check=True)
    newest = copy / "checkpoints" / "4"
    largest = max(newest.rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    largest.write_bytes(largest.read_bytes()[:100])
    assert main(["train", "--resume", str(copy)]) == 0
    printed = capsys.readouterr().out
    assert "checkpoint 4 is damaged and was passed over" in printed
    assert "restored the state after update 2" in printed
    assert main(["eval", str(copy)]) == 0
    assert "restored the state after update 4" in capsys.readouterr().out
    timed = ("seconds", "steps_per_second", "share_acting", "share_learning", "share_host")
    ours, theirs = (
        [{name: row[name] for name in row.keys() - timed} for row in folder.read_rows()]
        for folder in (RunFolder.open(copy), finished)
    )
    assert ours == theirs


def test_resume_takes_no_other_config(finished, capsys):
    assert main(["train", "quickstart", "--resume", str(finished.path)]) == 2
    one_sentence(capsys)
    assert main(["train", "--resume", str(finished.path), "--seed", "3"]) == 2
    assert "no other option than --total-steps" in one_sentence(capsys)
    assert main(["train", "--resume", str(finished.path), "--total-steps", "500"]) == 2
    assert "--total-steps is below the 960 steps that are done" in one_sentence(capsys)
    with finished.in_use():
        assert main(["train", "--resume", str(finished.path)]) == 2
        assert "is being trained by another process" in one_sentence(capsys)
    assert main(["train", "--resume", str(finished.path)]) == 0
    printed = capsys.readouterr().out
    assert "all steps are done; --total-steps adds more" in printed
    assert "compiled" not in printed
    assert main(["train", "--resume"]) == 2
    assert one_sentence(capsys) == "--resume needs the folder of a run"


def test_resume_needs_what_the_run_is_tracked_with(finished, capsys, tmp_path, monkeypatch):
    copy = RunFolder(shutil.copytree(finished.path, tmp_path / "copy"))
    copy.write("config.yaml", copy.config_path.read_text().replace("track: null", "track: wandb"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["train", "--resume", str(copy.path), "--total-steps", "2000"]) == 2
    assert one_sentence(capsys).startswith("track='wandb' needs the package wandb; install it")


@pytest.mark.parametrize("env", ["probes:Broken", "probes:Blinding"])
def test_what_is_not_finite_stops_the_run(env, workplace, capsys):
    """Normalisation clips an infinite observation, but its statistics are spoilt for good."""
    arguments = [*TINY, "--env.name", env, "--ppo.num-steps", "8", "--ppo.normalise-observations"]
    arguments += ["--total-steps", "1e4", "--checkpoint-every", "1", "--run-dir", "broken"]
    assert main(["train", "quickstart", *arguments]) == 1
    error = capsys.readouterr().err
    # Step 20 of the episodes is in the third update.
    assert error.startswith("ssmrl: stopped: update 3 gave a loss, gradient or statistic that is")
    assert error.count("\n") == 1
    assert "the checkpoint after update 2 stays in broken/checkpoints" in error
    assert Checkpoints(workplace / "broken" / "checkpoints").newest() == 2
    assert [row["update"] for row in RunFolder.open("broken").read_rows()] == [1, 2]


def test_options_of_the_old_memory_are_dropped_with_it():
    new = experiment.load_experiment("quickstart", {"memory": {"name": "gru"}})
    known = memory.options("gru")
    assert new.memory.features == 64
    assert {name for name in vars(new.memory) if name != "name"} == set(known)


def test_dashes_in_a_file_are_kept_for_another_memory(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("memory: {name: s5, num-layers: 3, state-size: 16}\n")
    new = experiment.load_experiment(file, {"memory": {"name": "gru"}})
    assert new.memory.num_layers == 3


def test_presets_are_whole():
    for name in experiment.config_names():
        experiment.load_experiment(name)


def test_paper_preset():
    """Table 3 of the paper; the whole number of updates that fit into 15e6 steps is 228."""
    config = experiment.load_experiment("paper/popgym")
    assert config.num_updates(config.ppo.num_envs * config.ppo.num_steps) == 228
    assert (config.ppo.learning_rate, config.ppo.gae_lambda) == (5e-5, 1.0)
    assert (config.memory.num_layers, config.memory.state_size) == (4, 256)
