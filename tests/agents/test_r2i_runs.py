"""Runs of the world-model agent: what checkpoints leave out, what is told, and how it stops."""

import json
import math
import shutil
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad.harness import reuse
from tiny_agents import TINY_R2I

from agents.cli import main
from agents.commands import evaluate, train
from agents.player import load
from agents.run import experiment_of, load_run, restore
from agents.run import make_agent as agent_of
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import Chunk
from ssmrl.train.run_folder import RunFolder

TINY = [
    "train", "--agent", "r2i", "--memory.name", "gru", "--memory.features", "8", *TINY_R2I,
    "--eval-episodes", "4",
]  # fmt: skip
# Pays infinity from step 48 on, which no run or evaluation comes to that is not meant to.
BROKEN = ["--env.name", "probes:Broken", "--env.params.length", "128", "--eval-max-steps", "9"]
LOST = (
    "warning: this run's checkpoints leave out the replay: up to 64 steps are lost, 32 acted anew "
    "and counted nowhere; the run no longer ends bit for bit as it would have undisturbed\n"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return runs of six updates with and without replays in checkpoints, and their program."""
    folder, chunks, played, play = tmp_path_factory.mktemp("runs"), [], [], evaluate.play_episodes

    def keep_chunk(*args):
        chunks.append(Chunk(*args))
        return chunks[-1]

    def keep_episodes(*args):
        played.extend(play(*args))
        return iter(played)

    own = [*BROKEN, "--total-steps", "96", "--checkpoint-every", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "Chunk", keep_chunk)
        patch.setattr(evaluate, "play_episodes", keep_episodes)
        assert main([*TINY, *own, "--run-dir", str(folder / "whole")]) == 0
    chunks[0].compile = lambda state: None  # it is
    with pytest.MonkeyPatch.context() as patch:
        reuse(patch, chunks[0], played)
        lean = [*own, "--r2i.no-checkpoint-replay", "--run-dir", str(folder / "lean")]
        assert main([*TINY, *lean]) == 0
    return folder, chunks[0], played


@pytest.fixture
def run(request, trained, tmp_path, monkeypatch) -> Path:
    """Return a copy of the run that the test names, and let training reuse the program."""
    folder, chunk, played = trained
    reuse(monkeypatch, chunk, played)
    return Path(shutil.copytree(folder / request.param, tmp_path / "run"))


whole, lean = (pytest.mark.parametrize("run", [kind], indirect=True) for kind in ("whole", "lean"))
either = pytest.mark.parametrize("run", ["whole", "lean"], indirect=True)


def leaves_in(run: Path, update: int) -> set[str]:
    return set(json.loads((run / "checkpoints" / f"{update}.json").read_text())["leaves"])


def test_only_the_replay_is_left_out(trained):
    whole, lean = (leaves_in(trained[0] / kind, 6) for kind in ("whole", "lean"))
    assert lean < whole
    assert {name for name in whole if name.startswith(".replay")} == whole - lean


@lean
def test_a_run_without_its_replay_goes_on_with_a_new_one(run, capsys):
    before = RunFolder(run).read_rows()
    assert main(["train", "--resume", str(run), "--total-steps", "144"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("warning:") == printed.count(LOST) == 1
    rows = RunFolder(run).read_rows()
    assert rows[: len(before)] == before
    assert [row["env_steps"] for row in rows] == [*range(48, 144 + 1, 16)]
    assert all(math.isfinite(row["loss"]) for row in rows)
    # Two roll-outs there are anew and one of the update: a window ends two pieces after the first.
    assert rows[len(before)]["replay_age"] in (0, 2, 4)
    assert Checkpoints(run / "checkpoints").newest() == 9


@lean
def test_a_finished_run_needs_none(run, capsys):
    assert main(["train", "--resume", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "all steps are done" in printed
    assert "replay" not in printed


@whole
def test_a_run_with_its_replay_goes_on_with_it(run, capsys):
    assert main(["train", "--resume", str(run), "--total-steps", "112"]) == 0
    assert "warning" not in capsys.readouterr().out


@either
def test_looking_at_a_run_takes_no_replay_into_memory(run, capsys, trained):
    _, _, agent, state = load_run(str(run))
    assert state.replay is None
    assert state.update == 6
    alike = load_run(str(trained[0] / "whole"))[3]
    for a, b in zip(*map(jax.tree.leaves, (state.params, alike.params)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(agent.learnt(state)))
    player = load(run)
    assert player.act(player.initial_state(), jnp.zeros(1), True)[1] in (0, 1)
    assert main(["eval", str(run)]) == 0
    assert "warning" not in capsys.readouterr().out


@whole
def test_rows_tell_what_was_lost_dreamt_and_paid(run):
    row = RunFolder(run).read_rows()[-1]
    model = ("observation", "dynamics", "representation", "reward", "continuation")
    behaviour = ("policy_loss", "value_loss", "replay_value_loss", "entropy")
    dreams = [
        f"{kind}_{what}" for kind in ("imagined", "replayed") for what in ("return", "reward")
    ]
    real = ("episode_return_mean", "episode_length_mean", "episodes")
    shares = ("share_acting", "share_learning", "share_host")
    losses = ("loss", "grad_norm", *(f"model_{name}_loss" for name in model), *behaviour)
    times = ("update", "env_steps", "seconds", "steps_per_second", *shares)
    assert set(row) == {*losses, *dreams, *real, *times, "replay_age"}
    assert all(isinstance(row[name], float) for name in (*losses, *dreams, *shares, "replay_age"))
    assert sum(row[name] for name in shares) == pytest.approx(1, abs=1e-3)
    rows = RunFolder(run).read_rows()
    for before, after in pairwise(rows):  # steps of the environment, not of the replay
        passed = after["seconds"] - before["seconds"]
        assert 16 / after["steps_per_second"] == pytest.approx(passed, abs=2e-4)


def whole_state(run: Path):
    """Return the agent of a run, and its newest state with its replay."""
    folder = RunFolder.open(run)
    agent = agent_of(experiment_of(folder))
    return agent, restore(experiment_of(folder), agent, folder, resuming=True)


@whole
def test_what_is_not_finite_stops_the_run(run, capsys):
    assert main(["train", "--resume", str(run), "--total-steps", "1e4"]) == 1
    error = capsys.readouterr().err
    # Step 48 of the episodes is in the thirteenth update.
    assert error.startswith("ssmrl: stopped: update 13 gave a loss, gradient or statistic that is")
    assert error.count("\n") == 1
    assert f"the checkpoint after update 12 stays in {run}/checkpoints" in error
    assert Checkpoints(run / "checkpoints").newest() == 12
    assert [row["update"] for row in RunFolder.open(run).read_rows()] == [*range(3, 13)]


@whole
def test_what_is_seen_is_looked_at_before_it_is_replayed(run):
    """Or checkpoints would hold what no run can go on from."""
    agent, state = whole_state(run)
    last = state.replay.data.obs[0].at[int(state.replay.written) * 4 % 16 - 1, 0].set(jnp.nan)
    spoilt = state.replay.replace(data=state.replay.data.replace(obs=(last,)))
    broken = state.replace(replay=spoilt)
    for told, finite in ((state, True), (broken, False)):
        leaves = jax.tree.leaves(agent.learnt(told))
        assert all(np.isfinite(leaf).all() for leaf in leaves) == finite


@whole
def test_dreams_are_told_as_the_environment_pays(run, trained):
    """In whatever unit the model learns them."""
    _, state = whole_state(run)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: x + rng.normal(0, 0.1, x.shape).astype("f4"), state.params)
    told = []
    for square in (1e6, 1e8):
        unit = state.unit.replace(square=jnp.float32(square), count=jnp.ones_like(state.unit.count))
        copy = jax.tree.map(jnp.copy, state.replace(params=params, unit=unit))  # it is donated
        told.append(trained[1](copy, 1)[1])
    for name in ("imagined_return", "imagined_reward", "replayed_return"):
        small, large = (float(metrics[name].total) for metrics in told)
        assert abs(small) > 1
        assert large == pytest.approx(10 * small, rel=1e-4)
