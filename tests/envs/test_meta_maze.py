"""MetaMaze: random and best players, and what it does otherwise than gymnax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.misc import meta_maze
from trial_rollout import at_random, standard_error

import envs

KEY = jax.random.key(2)
COPIES = 400


@pytest.fixture(scope="module")
def maze():
    return envs.make("meta/MetaMaze")


def play(env, params, policy, num_steps=200):
    """Return rewards and whether a trial ended, each [copies, steps]."""

    def trial(key):
        def step(state, key):
            key_act, key_step = jax.random.split(key)
            action = policy(key_act, state)
            _, state, reward, terminated, truncated, _ = env.step(key_step, state, action, params)
            return state, (reward, terminated | truncated)

        keys = jax.random.split(key, num_steps)
        return jax.lax.scan(step, env.reset(key, params)[1], keys)[1]

    keys = jax.random.split(KEY, COPIES)
    return [np.asarray(x) for x in jax.jit(jax.vmap(trial))(keys)]


def cells_and_steps(room):
    """Return the free cells, and how many steps it takes from each to each, slowly."""
    cells = [tuple(c) for c in np.asarray(room.coords).tolist()]
    steps = np.full((len(cells), len(cells)), 10**6)
    for start, row in zip(cells, steps, strict=True):
        reached, frontier = {start}, [start]
        for count in range(len(cells)):
            for cell in frontier:
                row[cells.index(cell)] = count
            near = {(y + dy, x + dx) for y, x in frontier for dy, dx in room.directions.tolist()}
            frontier = [c for c in near & {*cells} if c not in reached]
            reached |= {*frontier}
    return cells, steps


def random_returns(cells, copies):
    """Return what a random player earns, slowly."""
    rng, free, returns = np.random.default_rng(0), {*cells}, []
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))
    for _ in range(copies):
        goal, at, earned = cells[rng.integers(len(cells))], (5, 5), 0
        for _ in range(200):
            move = moves[rng.integers(4)]
            to = (at[0] + move[0], at[1] + move[1])
            at = to if to in free else at
            if at == goal:
                earned, at = earned + 10, cells[rng.integers(len(cells))]
        returns.append(earned)
    return np.array(returns)


def test_random_player_against_a_reference(maze):
    env, params = maze
    reward, over = play(env, params, at_random(env, params))
    assert (over == ([False] * 199 + [True])).all()
    found, expected = reward.sum(axis=1), random_returns(cells_and_steps(env.env)[0], COPIES)
    error = np.hypot(standard_error(found), standard_error(expected))
    assert found.mean() == pytest.approx(expected.mean(), abs=4 * error)


def test_perfect_player_gets_the_optimal_return(maze):
    env, params = maze
    cells, steps = cells_and_steps(env.env)
    number = np.zeros((11, 11), np.int32)
    for i, cell in enumerate(cells):
        number[cell] = i
    walls, number, steps = env.env.env_map, jnp.asarray(number), jnp.asarray(steps)

    def best(key, state):
        """Walk a shortest way, or off a goal and back, or against a wall beside it."""
        at, goal = state.env_state.pos, state.env_state.goal
        to = at[None] + env.env.directions
        to = jnp.where(walls[to[:, 0], to[:, 1]][:, None], to, at[None])
        left = steps[number[to[:, 0], to[:, 1]], number[goal[0], goal[1]]]
        return left.argmin()

    found = play(env, params, best)[0].sum(axis=1)
    optimal = float(env.env.optimal_return(params.inner))
    assert found.mean() == pytest.approx(optimal, abs=4 * standard_error(found))
    assert optimal == pytest.approx(330, abs=1)


def test_being_put_on_the_goal_does_not_end_the_trial(maze):
    room = maze[0].env
    _, state = room.reset(KEY, room.default_params)
    state = state.replace(pos=state.goal)
    assert not room.is_terminated(state, room.default_params)
    assert meta_maze.MetaMaze().is_terminated(state, room.default_params)


def test_observations_lie_in_the_space(maze):
    room = maze[0].env
    params = room.default_params.replace(punishment=-0.5)
    space = room.observation_space(params)
    assert (float(space.low[-2]), float(space.high[-2])) == (-0.5, 10.0)
    assert float(space.high[-1]) == 200


def test_render(maze):
    env, params = maze
    _, state = env.reset(KEY, params)
    inner = state.env_state.replace(goal=jnp.array([1, 3]))
    rows = env.render(state.replace(env_state=inner), params).splitlines()[1:]
    assert rows[:3] == ["###########", "#..$......#", "#.#.#.#.#.#"]
    assert rows[5] == "#....@....#"
