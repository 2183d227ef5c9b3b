"""LabyrinthExplore and LabyrinthEscape by hand: views, rewards, ends, spaces, pictures."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from labyrinth_players import rows_of
from popgym import envs as popgym_envs

import envs
from envs.fixed import NoParams
from envs.popgym import maze
from envs.popgym.labyrinth import EnvState, LabyrinthEscape, LabyrinthExplore
from ssmrl.errors import UsageError

LENGTH = 1023
KEY = jax.random.key(0)
PARAMS = NoParams()
KINDS = {"Explore": LabyrinthExplore, "Escape": LabyrinthEscape}
LEFT, RIGHT, UP, DOWN = range(4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2, 7, 1024])
def test_moves_suffice_for_the_next_maze(kind, length):
    for size in range(6, 31, 2):
        env = KINDS[kind](size, episode_length=length)
        shortest = {"Explore": size**2 // 2 - 1, "Escape": size}[kind]
        assert env.moves_per_step * min(shortest, length - 1) >= (size // 2) ** 2 - 1


@pytest.mark.parametrize("kind", KINDS)
def test_spaces_are_those_of_popgym(kind):
    theirs = getattr(popgym_envs, f"Labyrinth{kind}Easy")()
    env = KINDS[kind]()
    envs.check_environment(env, PARAMS)
    np.testing.assert_array_equal(env.observation_space(PARAMS).nvec, theirs.observation_space.nvec)
    assert env.action_space(PARAMS).n == env.num_actions == theirs.action_space.n


PICTURE = """\
#S#####
# #   #
# # # #
#   # #
##### #
#     #
#####G#"""


def drawn(picture, position=None, time=0):
    """Return the state that a picture shows, with the player at the start if not elsewhere."""
    grid = np.array([list(line) for line in picture.split("\n")])
    start, goal = (np.argwhere(grid == mark)[0].astype(np.int8) for mark in "SG")
    explored = (grid == "S") | (grid == ".")
    return EnvState(
        open=rows_of(grid != "#"),
        explored=rows_of(explored),
        position=start if position is None else np.array(position, np.int8),
        start=start,
        goal=goal,
        time=jnp.int32(time),
        next=maze.begin_growth(np.zeros(2, np.float32), 3),
    )


@cache
def small(kind):
    """Return the environment of the picture, its goal open or not, with a compiled step."""
    env = KINDS[kind](6)
    step = jax.jit(env.step_env)

    def play(state, action):
        if not env.goal_is_open:
            state = state.replace(open=state.open & ~np.asarray(maze.square(state.goal, 7)))
        obs, state, reward, terminated, _ = step(KEY, state, jnp.int32(action), PARAMS)
        truncated = bool(env.is_truncated(state, PARAMS))
        return obs.tolist(), state, float(reward), bool(terminated), truncated

    return env, play


@pytest.mark.parametrize(
    ("position", "action", "view"),
    [
        ((0, 1), UP, [1, 2, 1, 1, 0, 1, 1, 1, 1]),  # out of the maze: stays, in the top row
        ((0, 1), LEFT, [1, 2, 1, 1, 0, 1, 1, 1, 1]),  # into a wall: stays
        ((0, 1), DOWN, [1, 2, 1, 1, 0, 1, 1, 0, 1]),  # now the player is in the centre
        ((3, 2), RIGHT, [1, 0, 1, 0, 0, 1, 1, 1, 1]),
        ((5, 4), RIGHT, [1, 0, 1, 0, 0, 1, 1, 3, 1]),  # the goal is in sight
        ((5, 5), DOWN, [0, 0, 1, 1, 3, 1, 1, 1, 1]),  # below the maze is padding
    ],
)
def test_view_by_hand(position, action, view):
    obs, *_ = small("Escape")[1](drawn(PICTURE, position), action)
    assert obs == [*view, action]


def test_view_in_the_leftmost_column_is_not_centred():
    turned = "\n".join("".join(line) for line in zip(*PICTURE.split("\n"), strict=True))
    obs, *_ = small("Escape")[1](drawn(turned), LEFT)
    assert obs == [1, 1, 1, 2, 0, 1, 1, 1, 1, LEFT]


def test_escape_by_hand():
    _, play = small("Escape")
    _, state, reward, terminated, truncated = play(drawn(PICTURE, (5, 4)), RIGHT)
    assert (reward, terminated, truncated) == (-1 / 1024, False, False)
    *_, reward, terminated, truncated = play(state, DOWN)
    assert (reward, terminated, truncated) == (1 - 1 / 1024, True, False)
    *_, reward, terminated, truncated = play(drawn(PICTURE, (5, 5), time=LENGTH - 1), DOWN)
    assert (terminated, truncated) == (True, True)


def test_explore_by_hand():
    _, play = small("Explore")
    num_free = PICTURE.count(" ")
    _, state, *ends = play(drawn(PICTURE), DOWN)
    assert ends == [pytest.approx(1 / num_free), False, False]
    _, state, *ends = play(state, UP)
    assert ends == [-1 / 1024, False, False]  # the start counts as explored
    all_but_one = PICTURE.replace(" ", ".").replace("#.....#", "# ....#")
    obs, _, *ends = play(drawn(all_but_one, (5, 2), time=LENGTH - 1), LEFT)
    assert ends == [pytest.approx(1 / num_free), True, True]
    obs, _, *ends = play(drawn(PICTURE, (5, 5), time=LENGTH - 1), DOWN)
    assert ends == [pytest.approx(1 / num_free), False, True]  # the goal is a wall
    assert obs == [1, 0, 1, 0, 0, 1, 1, 1, 1, DOWN]


def test_render_shows_the_maze_and_the_view():
    state = drawn(PICTURE.replace("#   # #", "#.. # #"), (3, 2))
    assert small("Escape")[0].render(state).split("\n") == [
        "░S░░░░░",
        "░ ░   ░",
        "░ █ ░ ░",
        "░·@ ░ ░",
        "░███░ ░",
        "░     ░",
        "░░░░░G░",
    ]


@pytest.mark.parametrize("size", [4, 7, 32])
def test_impossible_size_is_refused(size):
    with pytest.raises(UsageError, match=f"size must be even and from 6 to 30, not {size}"):
        LabyrinthExplore(size)


def test_impossible_length_is_refused():
    with pytest.raises(UsageError, match="episode_length must be >= 2, not 1"):
        LabyrinthEscape(10, episode_length=1)
