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


def test_inner_episodes_are_told_and_may_be_forgotten_before():
    """Inner episodes are two steps long; the action counts the steps since a start."""

    def step_trial(key, state, action):
        obs, (time, total), reward, ended, truncated, info = step(key, state, action)
        before = info["episode_length"] - 1
        info |= {
            "inner_episode": before // 2,
            "inner_return": jnp.where(before % 2 == 0, action, 10 * action),
            "episode_done": before % 2 == 1,
        }
        return obs, (time, total), reward, ended, truncated, info

    def inner_returns(forget):
        key = jax.random.key(0)
        memory = jnp.zeros(4, int)
        play = lambda f: run_episodes(reset, step_trial, act, memory, key, 20, 4, f)  # noqa: E731
        return jax.jit(play)(forget).inner_returns

    nan = np.nan
    remembered = [[nan] * 4, [20, nan, nan, nan], [20, nan, nan, nan], [20, 40, 60, 80]]
    np.testing.assert_array_equal(inner_returns(False), remembered)
    forgotten = [[nan] * 4, [20, nan, nan, nan], [20, nan, nan, nan], [20, 20, 20, 20]]
    np.testing.assert_array_equal(inner_returns(True), forgotten)
