"""The law of POPGym's mazes, against an exact calculation and against mazelib."""

import random
from collections import Counter
from functools import cache

import jax
import numpy as np
import pytest
from labyrinth_players import squares
from mazelib.generate.HuntAndKill import HuntAndKill
from scipy import stats

from envs.popgym import maze
from envs.popgym.labyrinth import DELTAS

KEY = jax.random.key(0)


def exact_law(cells, hunts):
    """Return the probability of every maze, {bits of squares: p}, by hunting cell after cell."""
    side = 2 * cells + 1
    bit = lambda y, x: 1 << (y * side + x)  # noqa: E731
    odd = range(1, side, 2)

    @cache
    def walk(opened, y, x):
        steps = [(y + 2 * dy, x + 2 * dx) for dy, dx in DELTAS]
        steps = [(v, u) for v, u in steps if v in odd and u in odd and not opened & bit(v, u)]
        law = Counter() if steps else Counter({opened: 1.0})
        for v, u in steps:
            further = opened | bit(v, u) | bit((v + y) // 2, (u + x) // 2)
            for end, p in walk(further, v, u).items():
                law[end] += p / len(steps)
        return law

    places = [(y, x) for y in odd for x in odd]
    law = Counter()
    for place in places:
        for end, p in walk(bit(*place), *place).items():
            law[end] += p / len(places)
    for _ in range(hunts):
        later = Counter()
        for opened, p in law.items():
            for place in places:
                ends = walk(opened, *place) if opened & bit(*place) else {opened: 1.0}
                for end, q in ends.items():
                    later[end] += p * q / len(places)
        law = later
    return law


@pytest.fixture(scope="module")
def grow_many():
    """Return a function that grows 100,000 mazes of 3 x 3 cells with so many hunts."""

    def one(key, hunts):
        draws = jax.random.uniform(key, (9, 3))
        growth = maze.begin_growth(draws[0, :2], 3).replace(hunts=hunts)
        return jax.lax.scan(lambda growth, x: (maze.grow(growth, x), None), growth, draws[1:])[0]

    grow = jax.jit(jax.vmap(one, (0, None)))
    return lambda hunts: grow(jax.random.split(KEY, 100_000), np.int16(hunts))


def test_hunts_are_as_many_as_squares():
    """mazelib's, which walls count for too."""
    assert maze.begin_growth(np.zeros(2), 3).hunts == 49


@pytest.mark.parametrize("hunts", [0, 6, 49])
def test_law_of_small_mazes_is_exact(grow_many, hunts):
    """Chi-square over the mazes of 3 x 3 cells; mazelib has 49 hunts there."""
    law = exact_law(3, hunts)
    assert sum(law.values()) == pytest.approx(1)
    bits = squares(grow_many(hunts).open, 7).reshape(100_000, 49)
    found = Counter((bits << np.arange(49)).sum(axis=1).tolist())
    assert set(found) <= set(law)
    expected = {opened: 100_000 * p for opened, p in law.items() if 100_000 * p >= 5}
    assert sum(expected.values()) > 99_900
    chi = sum((found[opened] - number) ** 2 / number for opened, number in expected.items())
    assert stats.chi2.sf(chi, len(expected) - 1) > 1e-3


def test_law_of_hard_mazes_is_that_of_mazelib():
    """Compare how often each wall is open, and the number of dead ends."""
    random.seed(0)
    np.random.seed(0)
    theirs = np.array([HuntAndKill(9, 9).generate() == 0 for _ in range(600)])
    generate = jax.jit(jax.vmap(lambda draws: maze.generate(draws, 9)))
    ours = squares(generate(jax.random.uniform(KEY, (4000, 81, 3))), 19)

    def facts(free):
        ways = free[:, :-2, 1:-1] * 1 + free[:, 2:, 1:-1] + free[:, 1:-1, :-2] + free[:, 1:-1, 2:]
        ends = (ways[:, ::2, ::2] == 1).sum(axis=(1, 2))
        return np.concatenate([free.reshape(len(free), -1), ends[:, None]], axis=1)

    ours, theirs = facts(ours), facts(theirs)
    error = np.sqrt(ours.var(axis=0) * (1 / 600 + 1 / 4000))
    varies = error > 0.005  # not what is always a wall, or always a way
    difference = np.abs(ours.mean(axis=0) - theirs.mean(axis=0))
    assert varies.sum() == 2 * 9 * 8 + 1
    assert (difference[varies] / error[varies]).max() < 4
    assert difference[~varies].max() < 0.01


def test_entrances_are_uniform_on_opposite_sides():
    """Chi-square over 4 sides and 5 x 5 places, as mazelib draws them."""
    draws = jax.random.uniform(KEY, (20_000, 3))
    start, goal = jax.jit(jax.vmap(lambda draws: maze.entrances(draws, 5)))(draws)
    found = Counter(map(tuple, np.concatenate([start, goal], axis=1).tolist()))
    odd = range(1, 11, 2)
    allowed = {
        entrances
        for a in odd
        for b in odd
        for entrances in ((0, a, 10, b), (10, a, 0, b), (a, 0, b, 10), (a, 10, b, 0))
    }
    assert set(found) == allowed
    chi = sum((number - 200) ** 2 / 200 for number in found.values())
    assert stats.chi2.sf(chi, 99) > 1e-3
