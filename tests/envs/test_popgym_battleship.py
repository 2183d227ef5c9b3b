"""Battleship by hand, its law of placement, and lock-step with popgym 1.0.7."""

from collections import Counter
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs
from popgym_lockstep import assert_lanes_lock_step

import envs
from envs.popgym.battleship import Battleship, EnvState
from ssmrl.errors import UsageError

SIZES = {"Easy": 8, "Medium": 10, "Hard": 12}
FLEET = (2, 3, 3, 4)
NUM_CELLS = sum(FLEET)
# Chances that a lane shoots at what is left of the fleet, not at random.
SKILL = np.repeat([0.0, 0.9, 1.0], [200, 50, 50])
KEY = jax.random.key(0)


def board_of(ships, board_size):
    """Return where ships [S, 4] lie: bool [n, n]."""
    place = jnp.arange(board_size)[None]
    top, left, bottom, right = ships.T[..., None]
    rows, columns = (top <= place) & (place <= bottom), (left <= place) & (place <= right)
    return (rows[:, :, None] & columns[:, None]).any(axis=0)


@pytest.fixture(scope="module", params=SIZES)
def game(request):
    """Return the level, the environment, and what n² steps of every lane saw and gave.

    A lane begins with a step out of time, so that its auto-reset is the only reset to compile.
    """
    env = Battleship(SIZES[request.param])
    size = env.board_size

    def step(state, x):
        key, skill = x
        key_skill, key_target, key_step = jax.random.split(key, 3)
        board = board_of(state.ships, size)
        aims = jax.random.bernoulli(key_skill, skill)
        chance = jax.random.uniform(key_target, (size, size)) + (board & ~state.guessed & aims)
        action = jnp.stack(jnp.unravel_index(chance.argmax(), chance.shape))
        obs, after, *signals, info = env.step(key_step, state, action, env.default_params)
        return after, (state.ships, board, action, obs, info["final_observation"], *signals)

    def lane(key, skill):
        guessed = jnp.zeros((size, size), bool)
        no_ships = jnp.zeros((len(FLEET), 4), jnp.int8)
        ending = EnvState(no_ships, guessed, jnp.int32(0), jnp.int32(size**2 - 1))
        keys = jax.random.split(key, size**2 + 1)
        return jax.lax.scan(step, ending, (keys, jnp.full(size**2 + 1, skill)))[1]

    keys = jax.random.split(KEY, len(SKILL))
    steps = jax.jit(jax.vmap(lane))(keys, SKILL.astype(np.float32))
    first = np.asarray(steps[3])[:, 0]
    return request.param, env, first, [np.asarray(x)[:, 1:] for x in steps]


def test_lock_step_with_popgym(game):
    level, _, first, (_, *steps) = game

    def lay(theirs, board):
        theirs.place_ship = lambda *_: board.astype(np.int8)

    assert_lanes_lock_step(getattr(popgym_envs, f"Battleship{level}")(), lay, *steps)
    assert not first.any()


def test_fleets_are_whole(game):
    ships, boards = game[-1][:2]
    assert (boards.sum(axis=(-1, -2)) == NUM_CELLS).all()  # none overlap, none leave the board
    extent = ships[..., 2:] - ships[..., :2] + 1
    assert (extent.min(axis=-1) == 1).all()
    assert (extent.max(axis=-1) == FLEET).all()


def test_perfect_player_gets_one(game):
    reward, terminated, truncated = (signal[SKILL == 1] for signal in game[-1][-3:])
    assert not terminated[:, : NUM_CELLS - 1].any()
    assert terminated[:, NUM_CELLS - 1].all()
    np.testing.assert_allclose(reward[:, :NUM_CELLS].sum(axis=1), 1, atol=1e-5)
    assert not truncated.any()


def test_whoever_shoots_everywhere_gets_nothing():
    env = Battleship(8)
    _, state = env.reset(KEY, env.default_params)
    cells = jnp.array(list(product(range(8), range(8))))
    step = jax.jit(lambda state, cell: env.step_env(KEY, state, cell, env.default_params)[1:3])
    _, reward = jax.lax.scan(step, state, cells)  # goes on after the last hit
    assert float(reward.sum()) == pytest.approx(0, abs=1e-5)


def by_hand(hits=0, time=0, guessed=()):
    """Return a fleet in the first four rows, at the left."""
    board = np.zeros((8, 8), bool)
    for cell in guessed:
        board[cell] = True
    ships = jnp.array([[row, 0, row, size - 1] for row, size in enumerate(FLEET)], jnp.int8)
    return EnvState(ships, jnp.array(board), jnp.int32(hits), jnp.int32(time))


@pytest.mark.parametrize(
    ("state", "cell", "obs", "reward", "terminated", "truncated"),
    [
        (by_hand(), (0, 1), 1, 1 / 12, False, False),
        (by_hand(), (0, 2), 0, -1 / 52, False, False),
        (by_hand(), (3, 3), 1, 1 / 12, False, False),
        (by_hand(guessed=[(0, 1)], hits=1), (0, 1), 0, -1 / 52, False, False),  # hit before
        (by_hand(guessed=[(7, 7)]), (7, 7), 0, -1 / 52, False, False),
        (by_hand(hits=11), (2, 2), 1, 1 / 12, True, False),
        (by_hand(hits=11, time=63), (2, 2), 1, 1 / 12, True, True),  # both in the last step
        (by_hand(time=63), (4, 0), 0, -1 / 52, False, True),
        (by_hand(time=62), (4, 0), 0, -1 / 52, False, False),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_steps_by_hand(state, cell, obs, reward, terminated, truncated, legacy):
    """With ``legacy``, cells are numbered, hits are floats, and the end of time terminates."""
    env = Battleship(8, legacy=legacy)
    params = env.default_params
    action = jnp.int32(8 * cell[0] + cell[1]) if legacy else jnp.array(cell)
    found, after, found_reward, found_terminated, _ = env.step_env(KEY, state, action, params)
    assert found.tolist() == ([float(obs)] if legacy else obs)
    assert float(found_reward) == pytest.approx(reward)
    assert bool(found_terminated) is (terminated or (legacy and truncated))
    assert bool(env.is_truncated(after, params)) is (truncated and not legacy)
    assert after.guessed[cell]
    assert int(after.time) == int(state.time) + 1


def exact_law(board_size, size):
    """Return the chance of every pair of places of two ships of one size, placed in order."""
    places = []
    for line, offset in product(range(board_size), range(board_size - size + 1)):
        places.append((line, offset, line, offset + size - 1))
        places.append((offset, line, offset + size - 1, line))
    cells = [set(product(range(p[0], p[2] + 1), range(p[1], p[3] + 1))) for p in places]
    law = {}
    for i, first in enumerate(places):
        free = [place for j, place in enumerate(places) if not cells[i] & cells[j]]
        law |= {(first, second): 1 / len(places) / len(free) for second in free}
    return law


def chi_square_z(law, outcomes):
    """Return by how many standard deviations chi-square exceeds its mean."""
    counts = Counter(outcomes)
    assert set(counts) <= set(law)
    total = len(outcomes)
    chi_square = sum((counts[o] - total * p) ** 2 / (total * p) for o, p in law.items())
    freedom = len(law) - 1
    return (chi_square - freedom) / (2 * freedom) ** 0.5


def test_law_of_placement():
    """On a small board, ours and popgym's own placements follow the law of the docstring."""
    law = exact_law(4, 2)
    assert sum(law.values()) == pytest.approx(1)
    env = Battleship(4, (2, 2))
    reset = jax.jit(jax.vmap(lambda key: env.reset_env(key, env.default_params)[1].ships))
    ours = np.asarray(reset(jax.random.split(KEY, 40_000))).tolist()
    assert abs(chi_square_z(law, [tuple(map(tuple, ships)) for ships in ours])) < 4

    theirs = popgym_envs.Battleship(4, [2, 2])
    theirs.reset(seed=0)
    outcomes = []
    for _ in range(5000):
        board = theirs.place_ship(np.zeros((4, 4), np.int8), 2)
        both = theirs.place_ship(board.copy(), 2)
        ends = [np.argwhere(b)[[0, -1]].ravel().tolist() for b in (board, both - board)]
        outcomes.append(tuple(map(tuple, ends)))
    assert abs(chi_square_z(law, outcomes)) < 4


def test_whole_fleets_lie_as_those_of_popgym():
    """The share of boards on which a cell is taken, in standard errors of the difference."""
    env, theirs = Battleship(8), popgym_envs.BattleshipEasy()
    num_ours, num_theirs = 20_000, 3000

    def shares(key):
        states = jax.vmap(lambda key: env.reset_env(key, env.default_params)[1])(key)
        return jax.vmap(lambda ships: board_of(ships, env.board_size))(states.ships).mean(axis=0)

    ours = np.asarray(jax.jit(shares)(jax.random.split(jax.random.key(1), num_ours)))
    theirs.reset(seed=0)
    boards = [theirs.reset() and theirs.board for _ in range(num_theirs)]
    error = np.sqrt(ours * (1 - ours) * (1 / num_ours + 1 / num_theirs))
    z = (ours - np.mean(boards, axis=0)) / error
    assert np.abs(z).max() < 4.5
    assert (z**2).mean() < 1.6


def test_spaces_are_those_of_popgym(game):
    level, env, _, _ = game
    theirs = getattr(popgym_envs, f"Battleship{level}")()
    params = env.default_params
    np.testing.assert_array_equal(env.action_space(params).nvec, theirs.action_space.nvec)
    assert env.observation_space(params).n == theirs.observation_space.n
    assert env.num_actions == theirs.max_episode_length
    envs.check_environment(env, params)


def test_a_fleet_on_a_board_beyond_a_byte():
    ships = np.asarray(Battleship(board_size=200).reset_env(KEY, None)[1].ships)
    assert ships.min() >= 0
    assert (ships[:, 2:] - ships[:, :2]).sum(axis=1).tolist() == [1, 2, 2, 3]


def test_spaces_of_legacy():
    env = Battleship(10, legacy=True)
    envs.check_environment(env, env.default_params)
    assert env.action_space(env.default_params).n == 100
    assert env.observation_space(env.default_params).shape == (1,)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"board_size": 7}, "board_size 7; take a larger"),
        ({"board_size": 0}, "may not fit"),
        ({"ship_sizes": ()}, "a list of whole numbers >= 1, not "),
        ({"ship_sizes": (2.5, 3)}, "a list of whole numbers >= 1, not "),
        ({"ship_sizes": 5}, "a list of whole numbers >= 1, not 5"),
        ({"ship_sizes": (3, 0)}, "a list of whole numbers >= 1"),
        ({"board_size": 3, "ship_sizes": (2, 2)}, "may not fit"),
    ],
)
def test_what_cannot_be_is_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        Battleship(**arguments)


def test_render():
    state = by_hand(guessed=[(0, 1), (7, 7)], hits=1, time=2)
    lines = Battleship(8).render(state).splitlines()
    assert lines[0] == "☐ ☒ · · · · · ·"
    assert lines[3] == "☐ ☐ ☐ ☐ · · · ·"
    assert lines[7] == "· · · · · · · ⚬"
    assert lines[8] == "step 2 of 64, 1 of 12 hit"
