"""``ssmrl reproduce``: cells that resume, tables that do not depend on how they were come by."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import envs
from agents.cli import main
from agents.commands.evaluate import move
from agents.commands.jobs import variables
from agents.estimate import ONCE, Paces
from agents.experiment import config_names, load_experiment
from agents.results_folder import ResultsFolder
from agents.run import make_agent
from agents.study import experiment_names, load_study
from envs import meta, suites
from ssmrl.train.disk import locked
from ssmrl.train.run_folder import RunFolder

TINY = """
title: Two learning rates
base:
  preset: quickstart
  memory: {name: mlp, features: 8}
  total_steps: 6_240
  checkpoint_every: 3
  eval_episodes: 8
  ppo: {encoder_sizes: [8], head_sizes: [8], num_envs: 4, num_steps: 52, num_epochs: 1,
        num_minibatches: 2}
  env: {name: popgym/RepeatFirstEasy}
seeds: 2
elsewhere:
  more decks: {name: popgym/RepeatFirstMedium}
  fewer steps: {name: popgym/RepeatFirstEasy, where: {rate: high}}
grid:
  rate:
    low: {ppo: {learning_rate: 1e-3}}
    high: {ppo: {learning_rate: 1e-2}}
aggregate: {over: rate}
published:
- {name: theirs, source: "Someone 2020, table 1", values: {low: 0.25, high: [0.5, 0.1]}}
- {name: theirs, source: "Someone 2020, table 1", values: 0.4}
"""
ELSEWHERE = TINY[TINY.index("elsewhere:") : TINY.index("grid:")]


def command(folder: Path, *options: str, name: str = "tiny.yaml") -> list[str]:
    """Return the command that reproduces the experiment in a folder of its own."""
    own = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    return ["reproduce", str(folder / name), *own, *options]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Return a folder in which the tiny experiment has run undisturbed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TINY)
    assert main(command(folder)) == 0
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """Return a copy of that folder, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def untimed_table(folder: Path) -> str:
    """Return the table, less the seconds, which differ from run to run."""
    text = (folder / "results" / "tiny" / "table.md").read_text()
    kept = re.sub(r"\| 6,240 \| [\d.,]+ \|", "| 6,240 | |", text)
    assert kept != text
    return kept


def results_of(folder: Path) -> list[dict]:
    return json.loads((folder / "results" / "tiny" / "results.json").read_text())


def test_results(finished):
    low, high = results_of(finished)
    told = ("agent", "memory", "env", "steps", "seeds", "labels")
    assert [low[name] for name in told] == [
        "ppo", "mlp", "popgym/RepeatFirstEasy", 6240, 2, {"rate": "low"},
    ]  # fmt: skip
    assert len(low["returns"]) == 2
    assert low["low"] <= low["mean"] <= low["high"]
    assert low["mean"] == pytest.approx(sum(low["returns"]) / 2)
    assert low["seconds"] > 0
    assert (low["device"], low["versions"]["platform"]) == ("cpu", "cpu")
    assert low["published"][0]["value"] == 0.25
    assert high["published"][0] == {
        "name": "theirs", "measure": "mmer", "value": 0.5, "spread": 0.1,
        "source": "Someone 2020, table 1",
    }  # fmt: skip
    table = (finished / "results" / "tiny" / "table.md").read_text()
    assert "Made by `ssmrl reproduce tiny.yaml`; " in table
    assert "0.5 ± 0.1" in table
    assert "* theirs: Someone 2020, table 1" in table
    assert "2 of 2" in table
    mean = sum(low["returns"] + high["returns"]) / 4
    assert f"| {mean:.3f} [" in table
    assert "| 0.400 |" in table
    index = (finished / "results" / "README.md").read_text()
    assert f"Two learning rates. 2 of 2 cells are finished; mean over 2: {mean:.3f}" in index


def test_agents_play_elsewhere(finished):
    found = json.loads((finished / "results" / "tiny" / "summary.json").read_text())["places"]
    assert [(line["labels"]["rate"], line["place"]) for line in found] == [
        ("low", "as trained"), ("low", "more decks"),
        ("high", "as trained"), ("high", "more decks"), ("high", "fewer steps"),
    ]  # fmt: skip
    run = finished / "runs" / "tiny" / "low"
    there = json.loads((run / "evaluation-name=popgym-RepeatFirstMedium.json").read_text())
    mean, low, high = found[1]["return"]
    assert (mean, [low, high]) == (there["greedy"]["mean"], there["greedy"]["mean_interval"])
    assert mean != found[0]["return"][0]
    table = (finished / "results" / "tiny" / "table.md").read_text()
    assert f"| low | more decks | {mean:.3f} [{low:.3f}, {high:.3f}] |" in table


def test_the_return_of_the_table_may_be_of_elsewhere(finished, copy):
    text = TINY.replace("seeds: 2\n", "seeds: 2\nmeasure: sampled\nplace: more decks\n")
    (copy / "tiny.yaml").write_text(text)
    assert main(command(copy)) == 0  # made of what is there
    there = copy / "runs" / "tiny" / "low" / "evaluation-name=popgym-RepeatFirstMedium.json"
    assert results_of(copy)[0]["returns"] == json.loads(there.read_text())["sampled"]["by_seed"]


def test_a_cell_is_an_ordinary_run(finished):
    folder = RunFolder.open(finished / "runs" / "tiny" / "low")
    rows = folder.read_rows()
    low = results_of(finished)[0]
    best = [max(row["episode_return_mean"][seed] for row in rows) for seed in (0, 1)]
    assert low["returns"] == best
    assert main(["eval", str(folder.path), "--episodes", "4"]) == 0


def test_killed_and_stopped_it_ends_with_the_same_table(finished, tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(TINY)
    rows = RunFolder(tmp_path / "runs" / "tiny" / "low").read_rows
    line = [sys.executable, "-m", "agents.cli", *command(tmp_path)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    while process.poll() is None and len(rows()) < 5:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert main(command(tmp_path, "--minutes", "1e-9")) == 0
    assert "stopped in time" in capsys.readouterr().out
    assert 0 < len(rows()) < 30
    assert main(command(tmp_path)) == 0
    assert untimed_table(tmp_path) == untimed_table(finished)
    assert [r["returns"] for r in results_of(tmp_path)] == [
        r["returns"] for r in results_of(finished)
    ]


def test_jobs_share_the_cells(finished, tmp_path, capfd):
    (tmp_path / "tiny.yaml").write_text(TINY)
    assert main(command(tmp_path, "--jobs", "2")) == 0
    printed = capfd.readouterr().out
    assert "1: cell" in printed
    assert "2: cell" in printed
    assert untimed_table(tmp_path) == untimed_table(finished)


def test_jobs_are_dealt_out_to_the_gpus(monkeypatch):
    fraction = "XLA_PYTHON_CLIENT_MEM_FRACTION"
    monkeypatch.delenv(fraction, raising=False)
    dealt = variables(5, ["0", "3"])
    assert [e["CUDA_VISIBLE_DEVICES"] for e in dealt] == ["0", "3", "0", "3", "0"]
    assert {e[fraction] for e in dealt} == {"0.233"}  # at most three share one
    monkeypatch.setenv(fraction, ".5")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [e[fraction] for e in variables(2, [])] == [".5", ".5"]
    assert "CUDA_VISIBLE_DEVICES" not in variables(2, [])[0]


def test_a_failed_cell_does_not_lose_the_others(tmp_path, capsys):
    bad = "    bad: {env: {name: popgym/RepeatFirst}}\n    low:"
    text = TINY.replace(ELSEWHERE, "evaluate: false\n").replace("    low:", bad)
    (tmp_path / "tiny.yaml").write_text(text)
    assert main(command(tmp_path)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("ssmrl: stopped: 1 of 3 cells failed (bad)")
    assert printed.out.count("failed: cell 'bad': unknown environment 'popgym/RepeatFirst'") == 1
    assert [r["cell"] for r in results_of(tmp_path)] == ["low", "high"]
    assert not list(tmp_path.rglob("evaluation.json"))  # by evaluate: false


def test_tables_are_made_of_the_cells_alone(copy):
    results = copy / "results"
    made = ["README.md", *(f"tiny/{n}" for n in ("table.md", "results.json", "summary.json"))]
    before = {name: (results / name).read_bytes() for name in made}
    for name in [*made, "tiny/curves.png"]:
        (results / name).unlink()
    shutil.rmtree(copy / "runs")
    assert main(command(copy, "--tables")) == 0
    assert {name: (results / name).read_bytes() for name in made} == before
    assert (results / "tiny" / "curves.png").stat().st_size < 100_000


def test_what_another_process_trains_is_left_to_it(copy, capsys):
    cell = copy / "results" / "tiny" / "cells" / "low.json"
    kept = json.loads(cell.read_text())
    cell.unlink()
    with locked(copy / "runs" / "tiny" / ".low.lock") as held:
        assert held
        assert main(command(copy)) == 0
    assert "cell low is being trained by another process" in capsys.readouterr().out
    assert [r["cell"] for r in results_of(copy)] == ["high"]
    assert main(command(copy)) == 0  # from the run, which is at its end
    assert json.loads(cell.read_text())["scores"] == kept["scores"]


def test_settings_that_changed_are_told(copy, capsys):
    """Neither results nor half a run of other settings are taken for the experiment's."""
    (copy / "tiny.yaml").write_text(TINY.replace("1e-3", "2e-3"))
    assert main(command(copy)) == 1
    words = "is of a run with ppo.learning_rate=0.001, but the experiment says 0.002"
    assert f"cells/low.json' {words}" in capsys.readouterr().out
    (copy / "results" / "tiny" / "cells" / "low.json").unlink()
    assert main(command(copy)) == 1
    assert f"runs/tiny/low' {words}" in capsys.readouterr().out
    assert main(command(copy, "--seeds", "3", "--only", "high")) == 1
    assert "num_seeds=2, but the experiment says 3" in capsys.readouterr().out


def test_dry_run_tells_by_finished_cells(copy, capsys):
    cell = copy / "results" / "tiny" / "cells" / "low.json"
    cell.unlink()
    shutil.rmtree(copy / "runs" / "tiny" / "low")
    high = json.loads(cell.with_name("high.json").read_text())
    expected = high["seconds"] + high["overhead_seconds"] - high["compile_seconds"] + ONCE
    before = sorted(copy.rglob("*"))
    assert main(command(copy, "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert re.search(r"low +6,240 of 6,240 steps x 2 seeds, [\d,]+ s by finished cells", printed)
    assert re.search(r"high +finished", printed)
    assert f"2 cells, about {expected:,.0f} s" in printed
    assert sorted(copy.rglob("*")) == before


def test_dry_run_times_what_nothing_tells_of(finished, tmp_path):
    _, study = load_study(str(finished / "tiny.yaml"))
    experiment = study.cells[0].experiment(2, tmp_path)
    paces = Paces([])
    seconds, basis = paces.seconds(experiment, 6240, evaluated=True)
    assert basis == "timing one"
    record = ResultsFolder(finished / "results", "tiny", study).records()["low"]
    longer, _ = paces.seconds(experiment, 2 * 6240, evaluated=True)
    assert longer - seconds < 20 * record["seconds"]  # the machine may be busy
    assert list(tmp_path.iterdir()) == []


def test_paces_scale_with_steps(finished):
    _, study = load_study(str(finished / "tiny.yaml"))
    record = ResultsFolder(finished / "results", "tiny", study).records()["low"]
    record |= {"seconds": 624.0, "overhead_seconds": 10.0, "compile_seconds": 7.0}
    paces = Paces([record, {**record, "device": "another"}])
    assert paces.largest_overhead == 10
    seconds = lambda **other: paces.seconds(  # noqa: E731
        load_experiment(record["settings"], other), 1000, evaluated=True
    )[0]
    same, env = {"ppo": {"learning_rate": 0.5}}, {"env": {"name": "popgym/RepeatFirstHard"}}
    assert seconds(**same) == pytest.approx(103)  # its program is in the cache
    assert seconds(**env) == pytest.approx(110)
    assert seconds(**env) == pytest.approx(103)  # by then


def test_listing(finished, capsys):
    assert main(["reproduce", "--results", str(finished / "results")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == experiment_names()
    assert any(re.match(r"popgym/all +0 of 48 cells +All of POPGym", line) for line in lines)


def test_experiments_are_no_presets():
    assert not [name for name in config_names() if "experiments" in name]
    assert "popgym/fast" in config_names()


@pytest.mark.parametrize("name", experiment_names())
def test_committed_experiments_are_sound(name):
    """Of the first cell the agent is made, too, and moved to every place where it is to play."""
    _, study = load_study(name)
    experiments = [cell.experiment(study.seeds, Path("runs")) for cell in study.cells]
    assert {e.env.name for e in experiments} <= {*envs.names(), *meta.NEEDS}
    if not suites.is_installed(meta.NEEDS.get(experiments[0].env.name, "jax")):
        pytest.skip("it needs a package that is not installed")
    agent = make_agent(experiments[0])
    assert agent.num_updates > 1
    for place in study.places(study.cells[0]).values():
        moved, _ = move(experiments[0], agent, place)
        assert moved.env != experiments[0].env


def test_options_of_single_cells(tmp_path):
    """What a memory needs at one length only, and others do not know."""
    also = "also:\n- {where: {rate: high}, memory: {num_layers: 3}, ppo: {gamma: 0.5}}\nseeds: 2"
    (tmp_path / "tiny.yaml").write_text(TINY.replace("seeds: 2", also))
    _, study = load_study(str(tmp_path / "tiny.yaml"))
    low, high = (cell.experiment(2, tmp_path) for cell in study.cells)
    assert (low.memory.num_layers, high.memory.num_layers) == (2, 3)
    assert (low.agent_config.gamma, high.agent_config.gamma) == (0.9, 0.5)
    assert high.agent_config.learning_rate == 1e-2


def test_choosing_cells():
    _, study = load_study("paper/popgym_hard")
    names = lambda *only: [cell.name for cell in study.chosen(only)]  # noqa: E731
    assert len(names("s5", "gru")) == 10
    assert names("s5", "RepeatPreviousHard") == ["s5-RepeatPreviousHard"]
    assert names("mlp-RepeatPreviousHard") == ["mlp-RepeatPreviousHard"]
