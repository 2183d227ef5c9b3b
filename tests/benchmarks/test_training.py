"""Training, acting and starting are timed in tiny form, and FLOPs are what the network has."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from agents.experiment import load_experiment
from agents.run import make_agent
from benchmarks import compile as starting
from benchmarks import ppo, rollout, timing
from benchmarks.flops import flops_of
from ssmrl.train.config import parse_overrides


@pytest.mark.parametrize("name", ["s5", "gru"])
def test_flops_are_those_of_the_published_network(name):
    agent = ppo.make_small_or_published(ppo.SETTINGS[name], False, ["--ppo.num-envs=8"])
    state = jax.eval_shape(agent.init, jax.random.key(0))
    seen = (state.actor.memory_state, state.actor.obs, state.actor.start)

    def both(*args):
        memory_state, policy, value = agent.network.apply(*args, method="step")
        return memory_state, policy.logits, value

    counted = flops_of(both, state.params, *seen)
    assert 8 * ppo.step_flops(state.params) == counted
    per_update = 8 * 1024 * (1 + 3 * 30)
    assert ppo.update_flops(agent, state.params) == ppo.step_flops(state.params) * per_update


def test_ppo(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "AT_LEAST", 0.005)
    options = ["--only", "gru", "--repeats", "2", "--profile", str(tmp_path / "traces")]
    options += ["--name", "mlp"]
    extra = ["--", "--memory.name=mlp", "--ppo.num-steps=8"]
    assert ppo.main(["--small", "--out", str(tmp_path), *options, *extra]) == 0
    (row,) = json.loads((tmp_path / "ppo-mlp.json").read_text())["rows"]
    assert row["setting"] == "gru"
    assert row["envs x steps"] == "8 x 8"
    assert row["steps/s"] == pytest.approx(64 / row["update s"], rel=2e-3)
    assert row["low steps/s"] <= row["steps/s"] <= row["high steps/s"]
    assert 0 < row["share of matmul rate %"] < 100
    assert row["roll-out s"] > 0
    assert row["learning s"] > 0
    assert row["compile s"] > 0
    assert list((tmp_path / "traces" / "ppo-gru").rglob("*.trace.json.gz"))


def test_rollout(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "AT_LEAST", 0.005)
    choice = ["--envs", "popgym/RepeatPreviousEasy", "--num-envs", "4"]
    assert rollout.main(["--small", "--out", str(tmp_path), *choice]) == 0
    rows = json.loads((tmp_path / "rollout.json").read_text())["rows"]
    assert [row["policy"] for row in rows] == ["random", "S5"]
    for row in rows:
        million = 4 * 16 / (row["us per step of all"] * 16)
        assert row["million steps/s"] == pytest.approx(million, rel=2e-3)
        assert 0 < row["share of floor %"] < 100


def test_random_play_moves_on():
    small = [*ppo.ENV, *ppo.SMALL, "--memory.name=mlp"]
    env = make_agent(load_experiment("paper/popgym", parse_overrides(small))).env
    _, state = jax.jit(env.reset)(jax.random.key(0))
    play = jax.jit(rollout.random_play(env, 60))
    _, (obs, _, terminated, truncated) = play(state, jax.random.key(1))
    assert obs.shape[:2] == (60, env.num)
    assert jnp.any(terminated | truncated)


def test_rows_of_starts(tmp_path, monkeypatch):
    """The fresh process gets an empty folder first, the same folder filled then."""
    calls = []

    def fresh(command, env, **_):
        calls.append((command, env["JAX_COMPILATION_CACHE_DIR"]))
        found = {"facts": {"device": "cpu"}, "seconds": {"compiling": 2.0, "first update": 1e-9}}
        return SimpleNamespace(stdout=f"chatter\n{json.dumps(found)}\n")

    monkeypatch.setattr(starting.subprocess, "run", fresh)
    assert starting.main(["--small", "--presets", "quickstart", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "compile.json").read_text())["rows"]
    assert [row["cache"] for row in rows] == ["cold", "warm"]
    assert rows[0]["compiling s"] == 2.0
    assert 0 < rows[0]["share of update %"] < 100
    assert calls[0] == calls[1]
    assert calls[0][0][-3:] == ["--start", "quickstart", "--small"]


@pytest.mark.slow
def test_cold_and_warm_starts(tmp_path):
    assert starting.main(["--small", "--presets", "quickstart", "--out", str(tmp_path)]) == 0
    cold, warm = json.loads((tmp_path / "compile.json").read_text())["rows"]
    assert (cold["cache"], warm["cache"]) == ("cold", "warm")
    assert warm["compiling s"] < 0.5 * cold["compiling s"]
    assert cold["first update s"] > 0
