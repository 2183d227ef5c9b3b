"""Dark treasure rooms: a random player, the best one by dynamic programming, and rules by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trial_rollout import at_random, at_step, optimal_returns, play_trials, standard_error

import envs
from envs.meta.room import MOVES
from ssmrl.errors import UsageError

KEY = jax.random.key(7)
STAY, UP, DOWN, LEFT, RIGHT = range(5)


def a_walk(cells, values, actions):
    """Return what a walk from the middle collects, slowly."""
    at, left, earned = np.array([4, 4]), dict(enumerate(map(tuple, cells))), 0.0
    for action in actions:
        at = np.clip(at + MOVES[action], 0, 8)
        for i in [i for i, cell in left.items() if cell == tuple(at)]:
            earned += values[i]
            del left[i]
    return earned


def random_returns(least, copies):
    """Return what a random player collects in ten inner episodes of as many rooms."""
    rng = np.random.default_rng(1)
    rooms = ((rng.integers(9, size=(8, 2)), rng.uniform(least, 2, 8)) for _ in range(copies))
    return np.array(
        [sum(a_walk(*room, rng.integers(5, size=9)) for _ in range(10)) for room in rooms]
    )


@pytest.mark.parametrize("least", [-4.0, 0.0])
def test_random_player_against_a_reference(least):
    env, params = envs.make("meta/DarkTreasureRooms", least=least)
    told = play_trials(env, params, at_random(env, params), num_steps=90, copies=1000)
    assert (told.over == ([False] * 89 + [True])).all()
    found, expected = told.reward.sum(axis=1), random_returns(least, copies=1000)
    error = np.hypot(standard_error(found), standard_error(expected))
    assert found.mean() == pytest.approx(expected.mean(), abs=4 * error)
    if least == -4:  # Norman and Clune 2023 find -5.5 in 1,000 rooms
        assert found.mean() == pytest.approx(-5.5, abs=4 * 2**0.5 * standard_error(found))


def test_perfect_player_gets_the_optimal_return():
    env, params = envs.make("meta/DarkTreasureRooms", num_episodes=1)
    room = env.env

    def best(key, state):
        """Look one step ahead and trust the programme for the rest, which never takes longer."""
        at = state.env_state

        def worth(action):
            _, then, reward, *_ = room.step_env(key, at, action, state.task)
            taken = then.is_taken @ 2 ** jnp.arange(8)
            cell = then.position.astype(jnp.int32) @ jnp.array([9, 1])
            left = room.best_returns(state.task, 8 - at.time)
            return reward + left[cell, taken]

        return jax.vmap(worth)(jnp.arange(5)).argmax()

    told = play_trials(env, params, best, num_steps=9, copies=8)
    optimal = optimal_returns(env, at_step(told, 0))
    np.testing.assert_allclose(told.inner_return[:, -1], optimal, atol=1e-5)
    assert optimal.min() >= 0
    assert optimal.std() > 0.3


def test_optimal_return_against_all_walks():
    env, params = envs.make("meta/DarkTreasureRooms")
    room = env.env
    best = jax.jit(lambda task: room.best_returns(task, 5)[40, 0])
    walks = [*itertools.product(range(5), repeat=5)]
    for i in range(3):
        task = room.draw_task(jax.random.fold_in(KEY, i), params.inner)
        near = task.replace(cells=task.cells // 3 + 3)  # within reach, and some share a cell
        cells, values = np.asarray(near.cells), np.asarray(near.values)
        expected = max(a_walk(cells, values, walk) for walk in walks)
        assert float(best(near)) == pytest.approx(expected, abs=1e-5)


def test_tasks_are_uniform():
    env, params = envs.make("meta/DarkTreasureRooms", least=-1.0)
    keys = jax.random.split(KEY, 5000)
    tasks = jax.vmap(lambda key: env.env.draw_task(key, params.inner))(keys)
    counts = np.bincount(np.asarray(tasks.cells @ np.array([9, 1], np.int32)).ravel())
    expected = 5000 * 8 / 81
    assert len(counts) == 81
    assert np.abs(counts - expected).max() < 5 * expected**0.5
    values = np.asarray(tasks.values)
    assert -1 <= values.min() < -0.99
    assert 1.99 < values.max() <= 2
    assert values.mean() == pytest.approx(0.5, abs=4 * standard_error(values))


def test_by_hand():
    env, params = envs.make("meta/DarkTreasureRooms")
    room = env.env
    cells = (
        jnp.zeros((8, 2), jnp.int8)
        .at[:4]
        .set(jnp.array([[3, 4], [3, 4], [4, 4], [3, 5]], jnp.int8))
    )
    task = params.inner.replace(
        cells=cells, values=jnp.array([1.0, 0.5, 2.0, -4.0, 0.0, 0.0, 0.0, 0.0])
    )
    obs, state = room.reset_env(KEY, task)
    assert obs.tolist() == [4, 4]
    drawn = room.render(state, task).splitlines()
    assert drawn[3:5] == [". . . . + - . . .", ". . . . @ . . . ."]
    assert drawn[-1] == "(0, 0): 0.00  (3, 4): 1.50  (3, 5): -4.00  (4, 4): 2.00"
    found = []
    for action in (UP, DOWN, UP, STAY, RIGHT, RIGHT):
        obs, state, reward, over, _ = room.step_env(KEY, state, action, task)
        found.append((*obs.tolist(), float(reward)))
        assert not over
    # Two objects in one cell pay together, each once; what lies in the middle pays on return.
    assert found == [(3, 4, 1.5), (4, 4, 2), (3, 4, 0), (3, 4, 0), (3, 5, -4), (3, 6, 0)]
    assert room.optimal_return(task) == 3.5


def test_impossible_settings():
    with pytest.raises(UsageError, match="'DarkTreasureRoom': least must be -100 to 2"):
        envs.make("meta/DarkTreasureRooms", least=2.5)
