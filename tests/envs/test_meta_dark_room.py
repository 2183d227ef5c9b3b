"""Dark rooms: random and perfect players against closed forms, splits, and rules by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trial_rollout import at_random, at_step, greedy, optimal_returns, play_trials, standard_error

import envs
from envs.meta.room import MOVES
from ssmrl.errors import UsageError

KEY = jax.random.key(5)
STAY, UP, DOWN, LEFT, RIGHT = range(5)


def towards(state, goal):
    """Return a step of a shortest way: rows first."""
    by_row, by_column = jnp.sign(goal - state.position)
    column = jnp.where(by_column < 0, LEFT, jnp.where(by_column > 0, RIGHT, STAY))
    return jnp.where(by_row < 0, UP, jnp.where(by_row > 0, DOWN, column))


def walk_matrix(size):
    """Return the chances [from, to] of a random walk, cells in row-major order."""
    chances = np.zeros((size**2, size**2))
    for row, column in np.ndindex(size, size):
        for down, right in MOVES:
            to = np.clip([row + down, column + right], 0, size - 1) @ [size, 1]
            chances[row * size + column, to] += 1 / len(MOVES)
    return chances


def chance_of_goal(size, steps, goal):
    """Return how likely a random walk from the middle steps on the goal in time."""
    chances = walk_matrix(size)
    chances[:, goal] = 0  # those who step on it are gone
    at = np.zeros(size**2)
    at[size // 2 * (size + 1)] = 1
    return 1 - (at @ np.linalg.matrix_power(chances, steps)).sum()


def goals_of(env):
    """Return the cells that a split draws from, by drawing."""
    keys = jax.random.split(KEY, 4000)
    draw = jax.jit(jax.vmap(lambda key: env.env.draw_task(key, env.default_params.inner).goal))
    return {tuple(goal) for goal in np.asarray(draw(keys)).tolist()}


@pytest.mark.parametrize(("size", "train", "held_out"), [(9, 70, 11), (19, 300, 61)])
def test_splits_are_the_published_sizes_and_never_overlap(size, train, held_out):
    name = "meta/DarkRoom" if size == 9 else "meta/DarkRoom19x19"
    seen, unseen = (goals_of(envs.make(name, split=s)[0]) for s in ("train", "held_out"))
    assert (len(seen), len(unseen)) == (train, held_out)
    assert seen | unseen == {*np.ndindex(size, size)}


def test_held_out_goals_stay_what_they_are():
    """Results on them are comparable only if they do."""
    env, _ = envs.make("meta/DarkRoom", split="held_out")
    order = np.random.RandomState(0).permutation(81)[70:]
    assert goals_of(env) == {divmod(int(cell), 9) for cell in order}
    assert (0, 8) not in goals_of(env)


def test_random_player_against_the_closed_form():
    env, params = envs.make("meta/DarkRoom", size=5, max_steps=8, num_train=24, num_episodes=3)
    told = play_trials(env, params, at_random(env, params), num_steps=24, copies=3000)
    first = told.episode_done.argmax(axis=1)
    success = told.inner_return[np.arange(3000), first]
    left_out = np.random.RandomState(0).permutation(25)[24]
    expected = np.mean([chance_of_goal(5, 8, goal) for goal in range(25) if goal != left_out])
    assert success.mean() == pytest.approx(expected, abs=4 * standard_error(success))
    assert (told.reward <= told.episode_done).all()  # nothing pays but the end
    assert first.max() == 7


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_perfect_player_always_finds_the_goal(split):
    env, params = envs.make("meta/DarkRoom", num_episodes=2, split=split)
    best = greedy(lambda state, task: towards(state, task.goal))
    told = play_trials(env, params, best, num_steps=16, copies=300)
    assert (optimal_returns(env, at_step(told, 0)) == 1).all()
    first = told.episode_done.argmax(axis=1)
    assert (told.inner_return[np.arange(300), first] == 1).all()
    assert told.over.any(axis=1).all()
    assert (told.reward == told.episode_done).all()


def test_goal_pays_at_every_step_where_it_ends_nothing():
    env, params = envs.make("meta/DarkRoom", num_episodes=2, ends_at_goal=False)
    best = greedy(lambda state, task: towards(state, task.goal))
    told = play_trials(env, params, best, num_steps=40, copies=300)
    assert (told.episode_done.nonzero()[1] % 20 == 19).all()
    returns = told.inner_return[:, [19, 39]]
    assert (optimal_returns(env, at_step(told, 0)) == returns.T).all()
    assert set(np.unique(returns)) == {*range(13, 21)}  # a corner is 8 steps away; the middle 1


def test_unreachable_goals_are_worth_nothing():
    env, params = envs.make("meta/DarkRoom", max_steps=3)
    inner = params.inner.replace(goal=jnp.array([4, 7], jnp.int8))
    assert env.env.optimal_return(inner) == 1
    assert env.env.optimal_return(inner.replace(goal=jnp.array([5, 7], jnp.int8))) == 0


def test_dark_room_by_hand():
    env, params = envs.make("meta/DarkRoom", size=3, max_steps=6, num_train=4)
    room, task = env.env, params.inner.replace(goal=jnp.array([0, 2], jnp.int8))
    obs, state = room.reset_env(KEY, task)
    assert obs.tolist() == [1, 1]
    found = []
    for action in (UP, LEFT, LEFT, UP, RIGHT, RIGHT):
        obs, state, reward, over, _ = room.step_env(KEY, state, action, task)
        found.append((*obs.tolist(), float(reward), bool(over)))
    corner = (0, 0, 0, False)
    assert found == [(0, 1, 0, False), corner, corner, corner, (0, 1, 0, False), (0, 2, 1, True)]
    assert room.render(state, task) == ". . @\n. . .\n. . ."


def key_walk(size, steps, pairs, seed=0):
    """Return the return of a random walk from anywhere, slowly, for each pair (key, door)."""
    rng, returns = np.random.default_rng(seed), []
    for key, door in pairs:
        at, has_key, earned = rng.integers(size, size=2), False, 0
        for _ in range(steps):
            at = np.clip(at + MOVES[rng.integers(5)], 0, size - 1)
            if has_key and (at == door).all():
                earned += 1
                break
            if not has_key and (at == key).all():
                has_key, earned = True, 1
        returns.append(earned)
    return np.array(returns)


def test_key_to_door_random_player_against_a_reference():
    settings = {"size": 3, "max_steps": 12, "num_train": 71, "num_episodes": 1}
    env, params = envs.make("meta/DarkKeyToDoor", **settings)
    told = play_trials(env, params, at_random(env, params), num_steps=12, copies=3000)
    found = told.inner_return[np.arange(3000), told.over.argmax(axis=1)]
    cells = [*np.ndindex(3, 3)]
    pairs = [(a, b) for a in cells for b in cells if a != b] * 42
    expected = key_walk(3, 12, pairs)
    error = np.hypot(standard_error(found), standard_error(expected))
    assert found.mean() == pytest.approx(expected.mean(), abs=4 * error)
    shares = [np.bincount(r.astype(int), minlength=3) / len(r) for r in (found, expected)]
    np.testing.assert_allclose(*shares, atol=0.05)


@pytest.mark.parametrize(("max_steps", "most"), [(50, 2), (9, None)])
def test_key_to_door_perfect_player(max_steps, most):
    env, params = envs.make("meta/DarkKeyToDoor", num_episodes=1, max_steps=max_steps)

    def best(state, task):
        return towards(state, jnp.where(state.has_key, task.door, task.key))

    told = play_trials(env, params, greedy(best), num_steps=max_steps, copies=2000)
    found = told.inner_return[np.arange(2000), told.over.argmax(axis=1)]
    gap = found - optimal_returns(env, at_step(told, 0))
    assert gap.mean() == pytest.approx(0, abs=4 * standard_error(gap) + 1e-6)
    assert most is None or (found == most).all()


def test_key_to_door_pairs():
    env, params = envs.make("meta/DarkKeyToDoor", size=3, num_train=60)
    held, _ = envs.make("meta/DarkKeyToDoor", size=3, num_train=60, split="held_out")
    keys = jax.random.split(KEY, 3000)

    def drawn(room):
        tasks = jax.vmap(lambda key: room.env.draw_task(key, params.inner))(keys)
        return {tuple(t) for t in np.concatenate([tasks.key, tasks.door], axis=1).tolist()}

    seen, unseen = drawn(env), drawn(held)
    assert (len(seen), len(unseen), len(seen | unseen)) == (60, 12, 72)
    assert all(pair[:2] != pair[2:] for pair in seen | unseen)
    assert held.default_params.inner.key.dtype == jnp.int8


def test_key_to_door_by_hand():
    env, params = envs.make("meta/DarkKeyToDoor", size=3, max_steps=9, num_train=4)
    room = env.env
    at = lambda *cell: jnp.array(cell, jnp.int8)  # noqa: E731
    task = params.inner.replace(key=at(1, 1), door=at(1, 2))
    _, state = room.reset_env(KEY, task)
    state = state.replace(position=at(0, 2))
    found = []
    for action in (DOWN, LEFT, STAY, LEFT, RIGHT, RIGHT):
        if len(found) == 1:
            assert room.render(state, task) == ". . .\n. k @\n. . ."
        obs, state, reward, over, _ = room.step_env(KEY, state, action, task)
        found.append((*obs.tolist(), float(reward), bool(over)))
    # The door is shut before the key, and the key pays once.
    middle, opened = (1, 1, 0, False), (1, 2, 1, True)
    assert found == [(1, 2, 0, False), (1, 1, 1, False), middle, (1, 0, 0, False), middle, opened]
    assert room.render(state.replace(position=at(0, 0)), task) == "@ . .\n. . D\n. . ."
    # The key is at most 2 steps from all nine cells, and 1 step from five, where staying is one.
    short = task.replace(max_steps_in_episode=2)
    assert float(room.optimal_return(short)) == pytest.approx(14 / 9)


@pytest.mark.parametrize("novelty", [0.0, 0.2])
@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_a_trial_ends_as_it_is_told_to(ends, novelty):
    env, params = envs.make(
        "meta/DarkRoom", max_steps=1, num_episodes=2, ends=ends, novelty=novelty
    )
    _, state = env.reset(KEY, params)
    for is_last in (False, True):
        _, state, _, terminated, truncated, _ = env.step(KEY, state, jnp.int8(UP), params)
        assert (terminated, truncated) == (
            is_last and ends == "terminated",
            is_last and ends == "truncated",
        )


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("DarkRoom", {"size": 1}, "size must be 2 to 127, not 1"),
        ("DarkRoom", {"max_steps": 0}, "max_steps must be 1 to 32767, not 0"),
        ("DarkRoom", {"size": 5}, "num_train must be 1 to 24, not 70"),
        ("DarkRoom", {"num_train": 0}, "num_train must be 1 to 80, not 0"),
        ("DarkRoom", {"split": "test"}, "split must be train or held_out, not 'test'"),
        ("DarkKeyToDoor", {"num_train": 6480}, "num_train must be 1 to 6479, not 6480"),
        ("DarkKeyToDoor", {"split": "test"}, "split must be train or held_out, not 'test'"),
    ],
)
def test_impossible_settings(name, settings, complaint):
    with pytest.raises(UsageError, match=f"environment '{name}': {complaint}"):
        envs.make(f"meta/{name}", **settings)
