"""Each probe environment catches one kind of broken agent within seconds."""

import jax
import numpy as np
import pytest

from agents.parts import play_episodes
from ssmrl.train.chunk import Chunk, init_seeds

FAST = [
    "--ppo.num-envs=16", "--ppo.num-steps=16", "--ppo.num-epochs=4", "--ppo.learning-rate=5e-3",
    "--memory.features=16", "--ppo.encoder-sizes=16", "--ppo.head-sizes=16",
    "--ppo.entropy-coefficient=0",
]  # fmt: skip


def learn(agent, updates: int):
    """Return the state after some updates of seed 0."""
    state = init_seeds(agent, seed=0, num_seeds=1)
    state, _, broken = Chunk(agent, 1)(state, updates)
    assert broken == 0
    return state


def greedy_return(agent, state) -> float:
    """Return the mean over 64 greedy episodes."""
    ((_, episodes), _) = play_episodes(agent, state, [0], 64, seed=0, max_steps=100)
    assert episodes.finished.all()
    return float(episodes.returns.mean())


def values(agent, state) -> np.ndarray:
    """Return the values of a fresh roll-out."""
    _, trajectory = jax.jit(agent.rollout)(state, jax.random.key(1))
    return np.asarray(trajectory.value)


def test_value_of_one_step(make_agent):
    agent = make_agent(*FAST, memory="mlp", env="probes:Value")
    np.testing.assert_allclose(values(agent, learn(agent, 50)), 1, atol=0.05)


def test_value_beyond_a_time_limit(make_agent):
    """Without bootstrapping from what follows a truncation this is 1.6 on average, not 5."""
    agent = make_agent(
        *FAST, "--ppo.gamma=0.8", "--ppo.value-clip-epsilon=none", "--env.params.length=2",
        memory="mlp", env="probes:TimeLimit",
    )  # fmt: skip
    np.testing.assert_allclose(values(agent, learn(agent, 100)), 5, atol=0.5)


def test_action(make_agent):
    agent = make_agent(*FAST, memory="mlp", env="probes:Action")
    assert greedy_return(agent, learn(agent, 30)) == 1


def test_continuous_action(make_agent):
    agent = make_agent(*FAST, memory="mlp", env="probes:Continuous")
    assert greedy_return(agent, learn(agent, 100)) > -0.05


def test_multi_discrete_action(make_agent):
    agent = make_agent(*FAST, memory="mlp", env="probes:Factored")
    assert greedy_return(agent, learn(agent, 60)) > 1.9


@pytest.mark.parametrize("name", ["s5", "gru", "transformer"])
def test_cue_is_remembered(make_agent, name):
    agent = make_agent(*FAST, memory=name)
    assert greedy_return(agent, learn(agent, 60)) == 1


def test_cue_is_not_guessed_without_memory(make_agent):
    agent = make_agent(*FAST, memory="mlp")
    assert abs(greedy_return(agent, learn(agent, 60))) < 0.5


def test_normalisation_changes_the_scale_not_the_task(make_agent):
    agent = make_agent(*FAST, "--ppo.normalise-observations", "--ppo.normalise-rewards")
    assert greedy_return(agent, learn(agent, 100)) == 1
