"""Episodes are counted until each environment's first end, and no further."""

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.report.evaluation import run_episodes

LENGTHS = jnp.array([1, 3, 2, 9])


def reset(key):
    zeros = jnp.zeros(4)
    return zeros, (zeros.astype(int), zeros)


def step(key, state, action):
    """Pay the action; environment i ends after LENGTHS[i] steps, again and again."""
    time, total = state
    time, total = time + 1, total + action
    ended = time == LENGTHS
    info = {"episode_return": total, "episode_length": time}
    state = (jnp.where(ended, 0, time), jnp.where(ended, 0, total))
    return jnp.zeros(4), state, action, ended, jnp.zeros(4, bool), info


def act(memory, obs, start, key):
    """Count the steps of an episode with the memory, and act what it says."""
    memory = jnp.where(start, 0, memory) + 1
    return memory, memory.astype(jnp.float32)


def test_first_episodes():
    play = jax.jit(lambda key: run_episodes(reset, step, act, jnp.zeros(4, int), key, 20))
    episodes = play(jax.random.key(0))
    assert episodes.finished.all()
    np.testing.assert_array_equal(episodes.lengths, LENGTHS)
    np.testing.assert_array_equal(episodes.returns, LENGTHS * (LENGTHS + 1) / 2)


def test_endless_episodes_are_cut_off():
    episodes = run_episodes(reset, step, act, jnp.zeros(4, int), jax.random.key(0), max_steps=4)
    np.testing.assert_array_equal(episodes.finished, [True, True, True, False])
    np.testing.assert_array_equal(episodes.lengths, [1, 3, 2, 4])
