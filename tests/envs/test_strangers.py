"""Environments of strangers, as they are: checked and trained, or one sentence why not."""

import sys
from types import SimpleNamespace

import jax
import pytest

from agents.cli import main
from agents.experiment import load_experiment
from agents.ppo import PPO
from ssmrl.train.config import parse_overrides

TINY = [
    "--memory.features=8", "--memory.num-layers=1", "--memory.state-size=8",
    "--ppo.encoder-sizes=8", "--ppo.head-sizes=8", "--ppo.num-envs=4", "--ppo.num-steps=8",
    "--ppo.num-minibatches=2", "--total-steps=64", "--eval-episodes=2",
]  # fmt: skip
HERE = [
    f"strangers:{name}"
    for name in (
        "Walk", "Nested", "SeenAsClass", "Float64", "Bytes", "Factored", "FiveToTen", "Long", "Old",
    )
]  # fmt: skip
PACKAGES = [
    "popgym_arcade.environments:CartPoleEasy",
    "popgym_arcade.environments:BreakoutEasy",
    "pobax.envs.jax.tmaze:TMaze",
    "craftax/Craftax-Classic-Symbolic-v1",
    "navix/Navix-Empty-5x5-v0",
    "xland/MiniGrid-Empty-5x5",
]
PACKAGE_OF = {"xland/MiniGrid-Empty-5x5": "xminigrid"}


@pytest.mark.parametrize("env", HERE)
def test_an_update_can_be_traced(env):
    agent = PPO(load_experiment(None, parse_overrides([*TINY, f"--env.name={env}"])))
    state = jax.eval_shape(agent.init, jax.random.key(0))
    after, _ = jax.eval_shape(agent.update, state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after.actor) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state.actor
    )


@pytest.mark.slow
@pytest.mark.parametrize("env", [*HERE, *PACKAGES])
def test_a_stranger_is_checked_and_trains(env, tmp_path, monkeypatch, capsys):
    # pobax asks for a module of its repository that its package lacks.
    monkeypatch.setitem(sys.modules, "definitions", SimpleNamespace(ROOT_DIR=str(tmp_path)))
    if env in PACKAGES:
        package = PACKAGE_OF.get(env, env.partition("/")[0].partition(".")[0])
        pytest.importorskip(package, exc_type=ImportError)
    with jax.numpy_rank_promotion("allow"):  # nobody else forbids it
        assert main(["check", env]) == 0
        assert main(["train", *TINY, f"--env.name={env}", f"--run-dir={tmp_path / 'run'}"]) == 0
    printed = capsys.readouterr().out
    assert "fit for training" in printed
    assert "64 / 64 steps" in printed
