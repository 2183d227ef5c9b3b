"""MineSweeper by hand, its law of mines, and lock-step with popgym 1.0.7."""

from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs
from popgym_lockstep import assert_lanes_lock_step

import envs
from envs.popgym.minesweeper import EnvState, MineSweeper
from ssmrl.errors import UsageError

LEVELS = {"Easy": ((4, 4), 2), "Medium": ((6, 6), 6), "Hard": ((8, 8), 10)}
# Chances that a lane views a new cell without a mine, not any.
SKILL = np.repeat([0.0, 0.9, 1.0], [200, 100, 50])
KEY = jax.random.key(0)


@pytest.fixture(scope="module", params=LEVELS)
def game(request):
    """Return the level, the environment, and what every lane saw and gave in c steps.

    A lane begins with a step out of time, so that its auto-reset is the only reset to compile.
    """
    env = MineSweeper(*LEVELS[request.param])
    length = env.num_free

    def step(state, x):
        key, skill = x
        key_skill, key_cell, key_step = jax.random.split(key, 3)
        is_mine = (jnp.arange(env.num_cells)[:, None] == state.mines[None]).any(axis=1)
        knows = jax.random.bernoulli(key_skill, skill)
        chance = jax.random.uniform(key_cell, (env.num_cells,)) + (knows & ~is_mine & ~state.viewed)
        action = jnp.stack(jnp.unravel_index(chance.argmax(), env.dims))
        obs, after, *signals, info = env.step(key_step, state, action, env.default_params)
        return after, (state.mines, action, obs, info["final_observation"], *signals)

    def lane(key, skill):
        ending = EnvState(
            mines=jnp.zeros(env.num_mines, jnp.int8),
            viewed=jnp.zeros(env.num_cells, bool),
            num_cleared=jnp.int32(0),
            exploded=jnp.zeros((), bool),
            time=jnp.int32(length - 1),
        )
        keys = jax.random.split(key, length + 1)
        return jax.lax.scan(step, ending, (keys, jnp.full(length + 1, skill)))[1]

    keys = jax.random.split(KEY, len(SKILL))
    steps = jax.jit(jax.vmap(lane))(keys, SKILL.astype(np.float32))
    first = np.asarray(steps[2])[:, 0]
    return request.param, env, first, [np.asarray(x)[:, 1:] for x in steps]


def test_lock_step_with_popgym(game):
    level, _, first, steps = game

    def lay(theirs, cells):
        theirs._np_random = SimpleNamespace(choice=lambda *_, **__: cells)

    assert_lanes_lock_step(getattr(popgym_envs, f"MineSweeper{level}")(), lay, *steps)
    assert steps[-1].any()  # some are truncated
    assert not first.any()


def test_perfect_player_gets_one(game):
    reward, terminated, truncated = (signal[SKILL == 1] for signal in game[-1][-3:])
    assert not terminated[:, :-1].any()
    assert terminated[:, -1].all()  # step c, the last there can be
    assert not truncated.any()
    np.testing.assert_allclose(reward.sum(axis=1), 1, atol=1e-5)


def test_counts_are_in_the_space(game):
    _, env, _, (_, _, _, final, *_) = game
    assert final.min() == 0
    assert final.max() <= env.observation_space(env.default_params).n - 1


def test_spaces_are_those_of_popgym(game):
    level, env, _, _ = game
    theirs = getattr(popgym_envs, f"MineSweeper{level}")()
    params = env.default_params
    np.testing.assert_array_equal(env.action_space(params).nvec, theirs.action_space.nvec)
    assert env.observation_space(params).n == theirs.observation_space.n
    assert env.num_actions == theirs.action_space.nvec.prod()
    envs.check_environment(env, params)


def test_every_set_of_mines_is_equally_likely():
    """Chi-square over the 56 sets of 3 of 8 cells, in standard deviations from its mean."""
    env = MineSweeper((2, 4), 3)
    lay = jax.jit(jax.vmap(lambda key: env.reset_env(key, env.default_params)[1].mines))
    mines = np.sort(lay(jax.random.split(KEY, 28_000)), axis=1)
    counts = Counter(map(tuple, mines.tolist()))
    assert set(counts) == set(combinations(range(8), 3))
    chi_square = sum((count - 500) ** 2 / 500 for count in counts.values())
    assert abs(chi_square - 55) < 4 * (2 * 55) ** 0.5


def test_cells_are_mined_equally_often(game):
    """Chi-square over cells of the first fields; mines differ, which makes it a bit smaller."""
    _, env, _, (mines, *_) = game
    first = mines[:, 0]
    assert all(len(set(cells)) == env.num_mines for cells in first.tolist())
    counts = np.bincount(first.ravel(), minlength=env.num_cells)
    expected = len(first) * env.num_mines / env.num_cells
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = (env.num_cells - 1) * (1 - env.num_mines / env.num_cells)
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


def by_hand(viewed=(), time=0):
    """Return a 4×4 field with mines side by side, in the cells (1, 1) and (1, 2)."""
    mask = np.isin(np.arange(16), viewed)
    cleared = jnp.int32(mask.sum())
    mines = jnp.array([6, 5], jnp.int16)
    return EnvState(mines, jnp.array(mask), cleared, jnp.zeros((), bool), jnp.int32(time))


FREE = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize(
    ("state", "cell", "obs", "reward", "terminated", "truncated"),
    [
        (by_hand(), (0, 0), 1, 1 / 14, False, False),
        (by_hand(), (2, 2), 2, 1 / 14, False, False),
        (by_hand(), (3, 0), 0, 1 / 14, False, False),
        (by_hand(), (2, 3), 1, 1 / 14, False, False),  # no neighbour around the edge
        (by_hand([0], 1), (0, 0), 1, -0.5 / 12, False, False),
        (by_hand(), (1, 1), 2, -0.5 - 1 / 14, True, False),  # itself and its neighbour
        (by_hand(FREE[:-1], 13), (3, 3), 0, 1 / 14, True, False),
        (by_hand(FREE[:-2], 13), (3, 3), 0, 1 / 14, False, True),  # one cell is left
        (by_hand(FREE[:-2], 13), (1, 2), 2, -0.5 - 1 / 14, True, False),  # not both
    ],
)
def test_steps_by_hand(state, cell, obs, reward, terminated, truncated):
    env = MineSweeper()
    params = env.default_params
    step = env.step_env(KEY, state, jnp.array(cell), params)
    found, after, found_reward, found_terminated, _ = step
    assert int(found) == obs
    assert float(found_reward) == pytest.approx(reward)
    assert bool(found_terminated) is terminated
    assert bool(env.is_truncated(after, params)) is truncated
    assert after.viewed.reshape(4, 4)[cell]


def test_worst_player_loses_one():
    """View one cell again and again, and a mine in the last step."""
    env = MineSweeper()
    state, total = by_hand(), 0.0
    for cell in [(0, 0)] * 13 + [(1, 1)]:
        _, state, reward, ended, _ = env.step_env(KEY, state, jnp.array(cell), env.default_params)
        total += float(reward)
    assert ended
    assert total == pytest.approx(-1)


@pytest.mark.parametrize(
    ("state", "cell", "obs", "reward", "terminated"),
    [
        (by_hand(), 0, [0, 1], 1 / 14, False),
        (by_hand(), 12, [1, 0], 1 / 14, False),
        (by_hand(), 10, [0, 0], 1 / 14, False),  # two of two mines have no slot
        (by_hand(), 5, [0, 0], -0.5 - 1 / 14, True),
        (by_hand(FREE[:-1], 13), 15, [1, 0], 1 / 14, False),  # cleared, and goes on
        (by_hand(FREE, 14), 15, [1, 0], -0.5 / 12, True),
        (by_hand(FREE[:-2], 13), 15, [1, 0], 1 / 14, False),
    ],
)
def test_steps_of_legacy_by_hand(state, cell, obs, reward, terminated):
    env = MineSweeper(legacy=True)
    params = env.default_params
    step = env.step_env(KEY, state, jnp.int32(cell), params)
    found, after, found_reward, found_terminated, _ = step
    assert found.tolist() == obs
    assert float(found_reward) == pytest.approx(reward)
    assert bool(found_terminated) is terminated
    assert not env.is_truncated(after, params)


def test_spaces_of_legacy():
    env = MineSweeper((8, 8), 10, legacy=True)
    params = env.default_params
    envs.check_environment(env, params)
    assert env.action_space(params).n == 64
    assert env.observation_space(params).shape == (10,)
    assert env.reset_env(KEY, params)[0].tolist() == [0] * 10


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"num_mines": 0}, "must be 1 to 13 on 16 cells, not 0"),
        ({"num_mines": 14}, "must be 1 to 13 on 16 cells, not 14"),
        ({"dims": (0, 4)}, "a list of whole numbers >= 1"),
        ({"dims": 8}, "a list of whole numbers >= 1, not 8"),
        ({"dims": (4,)}, "must be rows and columns, not "),
    ],
)
def test_what_cannot_be_is_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        MineSweeper(**arguments)


def test_render():
    env = MineSweeper()
    state = by_hand([0, 2, 12], 3)
    expected = ["1 · 2 ·", "· * * ·", "· · · ·", "0 · · ·", "step 3 of 14, 3 of 14 cleared"]
    assert env.render(state).splitlines() == expected
    _, state, *_ = env.step_env(KEY, state, jnp.array([1, 2]), env.default_params)
    assert env.render(state).splitlines()[1] == "· * X ·"
