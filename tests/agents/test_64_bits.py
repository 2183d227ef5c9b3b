"""JAX_ENABLE_X64, set for other programs, neither stops training nor changes what is kept."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from tiny_agents import TINY_R2I

from agents.experiment import load_experiment
from agents.run import make_agent
from ssmrl.report.evaluation import run_episodes
from ssmrl.train.config import parse_overrides

OPTIONS = ("--ppo.normalise-observations", "--ppo.normalise-rewards", "--ppo.target-kl=0.1")


@pytest.mark.parametrize(
    ("memory", "env", "options"),
    [
        ("s5", "probes:Cue", ()),
        ("s5", "probes:Cue", ("--memory.discretization=bilinear", "--memory.norm=pre")),
        ("s5", "probes:Cue", ("--memory.c-init=complex_normal", "--memory.glu=half1")),
        ("gru", "probes:TimeLimit", OPTIONS),
        ("lstm", "probes:Cue", ()),
        ("transformer", "probes:Cue", ("--memory.context=5",)),
        ("mlp", "probes:Continuous", ("--ppo.anneal-learning-rate",)),
        ("mlp", "probes:Factored", OPTIONS),
        ("s5", "probes:Cue", ("--ppo.compute-dtype=bfloat16",)),
    ],
)
def test_what_is_learnt_has_32_bits(make_agent, memory, env, options):
    """Traced in a program of somebody else's that has 64: what the environment makes may follow."""
    check_32_bits(lambda: make_agent(*options, memory=memory, env=env))


@pytest.mark.parametrize("env", ["probes:TimeLimit", "probes:Continuous", "probes:Factored"])
def test_what_muesli_learns_has_32_bits(make_agent, env):
    options = "--muesli.normalise-observations", "--muesli.compute-dtype=bfloat16"
    check_32_bits(lambda: make_agent(*options, agent="muesli", env=env))


def test_what_a_world_model_learns_has_32_bits():
    words = ["--agent=r2i", "--env.name=probes:Factored", "--memory.features=4", *TINY_R2I]
    small = ["--memory.num-layers=1", "--memory.state-size=4", "--total-steps=1_000"]
    experiment = load_experiment(None, parse_overrides([*words, *small]))
    check_32_bits(lambda: make_agent(experiment))


def check_32_bits(make):
    with jax.enable_x64(True):
        agent = make()
        state = jax.eval_shape(agent.init, jax.random.key(0))
        after, _ = jax.eval_shape(agent.update, state)
        shapes = [[(x.shape, x.dtype) for x in jax.tree.leaves(tree)] for tree in (state, after)]
        assert shapes[0] == shapes[1]
        kept = jax.tree.leaves((state.replace(actor=None), state.actor.memory_state))
        assert not [x for x in kept if x.dtype in (jnp.float64, jnp.int64)]

        def play(state, key):
            act = lambda *inputs: agent.act(state, *inputs, False)  # noqa: E731
            vector, memory_state = agent.env.with_num(3), agent.initial_memory(3)
            return run_episodes(vector.reset, vector.step, act, memory_state, key, 5)

        played = jax.eval_shape(play, state, jax.random.key(0))
        assert played.returns.dtype == jnp.float32


def test_the_command_goes_on_with_32_bits(run):
    command = [sys.executable, "-m", "agents.cli", "train", "--total-steps", "1200", "--resume"]
    done = subprocess.run(
        [*command, str(run)],
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "restored the state after update 4" in done.stdout
    assert "1,200 / 1,200 steps" in done.stdout
