"""Sweeps: values of a number train side by side as they train alone, and are told apart."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from agents.cli import main
from agents.commands import evaluate, look
from agents.experiment import load_experiment
from agents.player import load
from agents.ppo import PPO
from agents.run import first_state, load_run
from agents.sweep import applied, member_names
from agents.trained import as_trained
from ssmrl.errors import UsageError
from ssmrl.report.evaluation import Episodes
from ssmrl.train.chunk import Chunk
from ssmrl.train.run_folder import RunFolder

RATES = (1e-3, 1e-2)


def test_members_are_every_seed_of_every_combination(make_experiment):
    more = ("--sweep=ppo.gamma=0.9,0.99", "--sweep", "ppo.clip-epsilon=0.1,0.2,0.3")
    experiment = make_experiment("--num-seeds=2", "--seed=5", *more)
    assert experiment.num_members == 12
    groups = experiment.groups
    assert groups[1].setting == {"ppo.gamma": 0.9, "ppo.clip_epsilon": 0.2}
    assert [g.span for g in groups] == ["0-1", "2-3", "4-5", "6-7", "8-9", "10-11"]
    names = member_names(groups, experiment.seeds)
    assert names[3] == "ppo.gamma=0.9, ppo.clip_epsilon=0.2, seed 6"
    assert len(set(names)) == 12
    alone = make_experiment("--num-seeds=2", "--seed=5")
    assert member_names(alone.groups, alone.seeds) == ["seed 5", "seed 6"]


def test_the_rate_of_ssm_parameters_follows_unless_it_is_given(make_experiment):
    for given, expected in (((), [1e-3, 1e-2]), (["--ppo.ssm-learning-rate=0.5"], [0.5, 0.5])):
        e = make_experiment("--sweep=ppo.learning-rate=1e-3,1e-2", *given)
        numbers = [PPO.hyperparameters(applied(e.agent_config, g.setting)) for g in e.groups]
        np.testing.assert_allclose([n.learning_rate for n in numbers], [1e-3, 1e-2])
        np.testing.assert_allclose([n.ssm_learning_rate for n in numbers], expected)


def test_a_member_learns_what_it_learns_alone(make_experiment):
    def learn(*arguments):
        experiment = make_experiment(*arguments, memory="mlp")
        agent = PPO(experiment)
        chunk = Chunk(agent, experiment.num_members)
        return chunk(first_state(experiment, agent), 3)

    together, metrics, _ = learn("--sweep=ppo.learning-rate=1e-3,1e-2", "--num-seeds=2")
    alone, alone_metrics, _ = learn("--ppo.learning-rate=1e-2")
    for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a[2], b, atol=1e-4)
        if a[2].any():
            assert jnp.abs(a[0] - b).max() > 1e-3  # the same seed with the other rate
    np.testing.assert_allclose(metrics["loss"].total[2], alone_metrics["loss"].total, atol=1e-4)


TINY = [
    "train", "quickstart", "--env.name", "probes:Cue", "--memory.name", "mlp",
    "--memory.features", "8", "--ppo.encoder-sizes", "8", "--ppo.head-sizes", "8",
    "--ppo.num-envs", "4", "--ppo.num-steps", "16", "--ppo.num-epochs", "1",
    "--ppo.num-minibatches", "2", "--ppo.anneal-learning-rate", "false", "--eval-episodes", "4",
]  # fmt: skip
SWEPT = ["--sweep", "ppo.learning-rate=1e-3,1e-2", "--num-seeds", "2"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return the folder of a run of four updates of two rates and two seeds."""
    path = tmp_path_factory.mktemp("swept") / "run"
    assert main([*TINY, *SWEPT, "--total-steps", "256", "--run-dir", str(path)]) == 0
    return path


def timeless(path):
    timed = ("seconds", "steps_per_second", "share_acting", "share_learning", "share_host")
    return [{n: row[n] for n in row.keys() - timed} for row in RunFolder.open(path).read_rows()]


def test_run_folder_tells_who_is_who(swept):
    assert yaml.safe_load((swept / "config.yaml").read_text())["sweep"] == {
        "ppo.learning_rate": [1e-3, 1e-2]
    }
    rows = timeless(swept)
    assert [len(row["loss"]) for row in rows] == [4] * 4
    results = json.loads((swept / "evaluation.json").read_text())
    assert "greedy" not in results
    told = [(entry["setting"]["ppo.learning_rate"], entry["members"]) for entry in results["sweep"]]
    assert told == [(1e-3, [0, 1]), (1e-2, [2, 3])]
    for entry in results["sweep"]:
        for kind in ("greedy", "sampled"):
            assert (entry[kind]["count"], entry[kind]["unit"]) == (2, "seeds")
            assert entry[kind]["finished"] == 8


def test_each_setting_is_told_by_its_own_members(swept, tmp_path, capsys, monkeypatch):
    """Members play by their seeds, whatever the setting; here each is paid its number."""

    def play(agent, state, trained, episodes, *_):
        assert trained == [0, 1, 0, 1]
        returns = np.repeat(np.arange(4.0)[:, None], episodes, axis=1)
        played = Episodes(returns, returns, returns > -1, np.zeros((4, episodes, 0)))
        yield from (("greedy", played), ("sampled", played))

    monkeypatch.setattr(evaluate, "play_episodes", play)
    copy = shutil.copytree(swept, tmp_path / "copy")
    assert main(["eval", str(copy)]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("greedy return by members and setting")
    words = "[0.000, 1.000], IQM 0.500 [0.000, 1.000] (95 % over 2 seeds)"
    assert lines[at + 1] == f"  0-1  ppo.learning_rate=0.001  0.500 {words}"
    assert lines[at + 2].startswith("  2-3  ppo.learning_rate=0.01   2.500 [2.000, 3.000], IQM 2.5")
    results = json.loads((copy / "evaluation.json").read_text())
    assert [entry["greedy"]["mean"] for entry in results["sweep"]] == [0.5, 2.5]


def test_resumed_sweep_ends_as_one_that_went_on(swept, tmp_path, capsys):
    path = tmp_path / "run"
    assert main([*TINY, *SWEPT, "--total-steps", "128", "--run-dir", str(path)]) == 0
    assert "64 steps x 2 settings x 2 seeds" in capsys.readouterr().out
    assert main(["train", "--resume", str(path), "--total-steps", "256"]) == 0
    assert "sweep        ppo.learning_rate = 0.001, 0.01" in capsys.readouterr().out
    assert timeless(path) == timeless(swept)
    ours, theirs = (load_run(str(p))[3] for p in (path, swept))
    for a, b in zip(jax.tree.leaves(ours.params), jax.tree.leaves(theirs.params), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(ours.hyper.learning_rate, np.repeat(RATES, 2))


def test_another_sweep_in_the_config_does_not_hold(swept, tmp_path):
    copy = RunFolder(shutil.copytree(swept, tmp_path / "copy"))
    copy.write("config.yaml", copy.config_path.read_text().replace("  - 0.01\n", "  - 0.05\n"))
    experiment, (warning,) = as_trained(copy)
    assert experiment.sweep == {"ppo.learning_rate": RATES}
    assert "says sweep.ppo.learning_rate=[0.001, 0.05], but the run was trained with" in warning


def test_a_line_for_each_value(swept, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("ssmrl.report.plot.plot_curves", lambda lines, *_: drawn.append(lines))
    look.plot([str(swept)], None)
    look.plot([str(swept), str(swept)], str(tmp_path / "both.png"))
    labels = ["ppo.learning_rate=0.001", "ppo.learning_rate=0.01"]
    assert [(label, [*members]) for label, _, members in drawn[0]] == [
        (labels[0], [0, 1]),
        (labels[1], [2, 3]),
    ]
    assert [label for label, *_ in drawn[1]] == [f"{swept}, {label}" for label in labels] * 2
    assert (swept / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_members_can_be_looked_at(swept, tmp_path, capsys):
    out = ["--out", str(tmp_path / "a.gif"), "--max-steps", "2"]
    assert main(["render", str(swept), "--member", "3", *out]) == 0
    assert main(["render", str(swept), "--member", "4", *out]) == 2
    assert capsys.readouterr().err == "ssmrl: error: --member must lie in 0..3, not 4\n"
    state = load_run(str(swept))[3]
    player = load(swept, member=3)
    kept, ours = (jax.tree.leaves(of.params) for of in (player._learnt, state))
    for a, b in zip(kept, ours, strict=True):
        np.testing.assert_array_equal(a, b[3])


def test_a_member_that_breaks_leaves_the_others_alone(tmp_path, capsys):
    """A step of 1e37 makes infinities; whoever sweeps a rate wants to see where it breaks."""
    path = tmp_path / "run"
    swept = ["--sweep", "ppo.learning-rate=1e-3,1e37", "--num-seeds", "2"]
    assert main([*TINY, *swept, "--total-steps", "256", "--run-dir", str(path)]) == 0
    printed = capsys.readouterr().out
    for seed in (0, 1):
        words = f"(ppo.learning_rate=1e+37, seed {seed}) gave a loss, gradient or statistic that is"
        assert printed.count(words) == 1
    assert "1e+37  unknown: training broke" in printed
    row = timeless(path)[-1]
    assert [loss is None for loss in row["loss"]] == [False, False, True, True]
    results = json.loads((path / "evaluation.json").read_text())
    assert [entry["greedy"]["count"] for entry in results["sweep"]] == [2, 0]
    path = tmp_path / "none"
    swept = ["--sweep", "ppo.learning-rate=1e36,1e37", "--num-seeds", "2"]
    assert main([*TINY, *swept, "--total-steps", "256", "--run-dir", str(path)]) == 1
    assert "(ppo.learning_rate=1e+36, seed 0) gave a loss" in capsys.readouterr().err


def test_adaptation_in_trials_is_told_by_setting(tmp_path):
    path = tmp_path / "run"
    trials = ["--env.name", "meta/Trial", "--env.params.env", "probes:Cue"]
    trials += ["--env.params.num_episodes", "2", "--env.params.settings.length", "3"]
    swept = ["--sweep", "ppo.gamma=0.9,0.99", "--total-steps", "64", "--run-dir", str(path)]
    assert main([*TINY, *trials, *swept]) == 0
    told = json.loads((path / "evaluation.json").read_text())["sweep"]
    assert [entry["setting"] for entry in told] == [{"ppo.gamma": 0.9}, {"ppo.gamma": 0.99}]
    for entry in told:
        assert len(entry["adaptation"]["greedy"]["mean"]) == 2
    assert {p.stem for p in path.glob("*.png")} == {
        "curve", "adaptation-members-0", "adaptation-members-1"
    }  # fmt: skip


OWN = """
from dataclasses import dataclass
from agents.ppo import PPO, Config as Options

class Without:
    Config = Options

class Raises(Without):
    @staticmethod
    def hyperparameters(config):
        return config.momentum

class Dict(Without):
    @staticmethod
    def hyperparameters(config):
        return {"gamma": config.gamma}
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Without", "has no hyperparameters that a sweep could vary; start one run for each"),
        ("Raises", "hyperparameters(config): AttributeError: 'Config' object has no attribute 'mo"),
        ("Dict", "hyperparameters(config) must return a dataclass, whose fields are named as"),
    ],
)
def test_agents_that_offer_no_numbers(name, words, tmp_path, monkeypatch):
    (tmp_path / "swept_agents.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    given = {"agent": f"swept_agents:{name}", "sweep": {f"{name.lower()}.gamma": [0.9, 0.99]}}
    with pytest.raises(UsageError) as error:
        load_experiment(None, given)
    assert str(error.value).startswith(f"agent 'swept_agents:{name}'")
    assert words in str(error.value)
