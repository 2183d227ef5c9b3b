"""LabyrinthExplore and LabyrinthEscape by hand, and in lock-step with popgym 1.0.7."""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mazelib
import numpy as np
import popgym.core.maze
import pytest
from popgym import envs as popgym_envs

import envs
from envs.popgym import maze
from envs.popgym.labyrinth import DELTAS, EnvParams, EnvState, LabyrinthEscape, LabyrinthExplore
from ssmrl.errors import UsageError

EPISODES = 200
WALLED_UP = 16  # the first of them have less maze
RANDOM = range(8, 32)  # these have a random player, those before and after go the best way
PERFECT = range(120, EPISODES)  # without detours
LENGTH = 1023
KEY = jax.random.key(0)
PARAMS = EnvParams()
SIZES = {"Easy": 10, "Medium": 14, "Hard": 18}
KINDS = {"Explore": LabyrinthExplore, "Escape": LabyrinthEscape}
LEFT, RIGHT, UP, DOWN, NONE = range(5)


class Game(NamedTuple):
    name: str
    env: Any
    states: list[EnvState]  # the first of every episode
    plans: list[list[int]]  # the best player's actions
    best: list[float]  # its returns
    actions: np.ndarray  # those played, [episodes, steps]
    seen: dict[str, np.ndarray]  # what they gave, [episodes, steps, ...], and "first", [episodes]


@pytest.fixture(scope="module", params=[(kind, level) for kind in KINDS for level in SIZES])
def game(request):
    """Return what 200 environments gave in 1,023 steps."""
    kind, level = request.param
    env = KINDS[kind](SIZES[level])

    def play(keys, closed, actions):
        def step(state, x):
            key, action = x
            obs, after, reward, terminated, truncated, info = env.step(key, state, action, PARAMS)
            return after, {
                "obs": info["final_observation"].astype(jnp.int8),
                "reward": reward,
                "terminated": terminated,
                "truncated": truncated,
                "obs after": obs.astype(jnp.int8),
                "open after": after.open,
                "explored after": maze.count(after.explored).astype(jnp.int16),
                "time after": after.time.astype(jnp.int16),
                "growing": state.next.open,
            }

        obs, state = env.reset(keys[0], PARAMS)
        state = state.replace(open=state.open & ~closed)
        return state, {"first": obs} | jax.lax.scan(step, state, (keys, actions))[1]

    def rollout(actions):
        keys = jax.random.split(KEY, (EPISODES, LENGTH))
        return jax.device_get(batch(keys, walled_up(env.side), actions))

    batch = jax.jit(jax.vmap(play))
    first, _ = rollout(random_actions())  # only to see the mazes
    states = [jax.tree.map(lambda x, i=i: x[i], first) for i in range(EPISODES)]
    plans, best = zip(*(perfect(env, state) for state in states), strict=True)
    actions = chosen_actions(env, states, plans)
    _, seen = rollout(actions)
    return Game(f"Labyrinth{kind}{level}", env, states, plans, best, actions, seen)


def squares(rows, side):
    """Return bools [..., y, x] of rows of bits [..., y]."""
    return (np.asarray(rows)[..., None] >> np.arange(side, dtype=np.uint32) & 1).astype(bool)


def rows_of(free):
    """Return rows of bits [..., y] of bools [..., y, x]."""
    return (free << np.arange(free.shape[-1], dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)


def walled_up(side):
    """Return what mazelib might have left closed: the outermost cells all around, or a block."""
    closed = np.zeros((EPISODES, side, side), bool)
    closed[0] = True
    closed[0, 2:-2, 2:-2] = False
    for episode in range(1, WALLED_UP):
        y, x = np.random.default_rng(episode).integers(0, side // 2, 2) * 2
        closed[episode, y : y + 3, x : x + 3] = True
    closed[:, [0, -1]] = closed[:, :, [0, -1]] = False  # start and goal are there
    return rows_of(closed)


def random_actions():
    return np.random.default_rng(0).integers(0, 4, (EPISODES, LENGTH), np.int32)


def neighbours(free, here):
    """Return the free squares beside ``here`` by action."""
    found = {a: (here[0] + dy, here[1] + dx) for a, (dy, dx) in enumerate(DELTAS)}
    return {a: n for a, n in found.items() if min(n) >= 0 and max(n) < len(free) and free[n]}


def way_out(free, here, goal, origin=None):
    """Return the actions that lead from ``here`` to ``goal`` in a tree, or None."""
    if here == goal:
        return []
    for action, there in neighbours(free, here).items():
        rest = None if there == origin else way_out(free, there, goal, here)
        if rest is not None:
            return [action, *rest]
    return None


def tour(free, here, origin=None):
    """Return depth and actions of the shortest walk through a tree that ends in its depth."""
    branches = [
        (*tour(free, there, here), action)
        for action, there in neighbours(free, here).items()
        if there != origin
    ]
    if not branches:
        return 0, []
    *others, deepest = sorted(branches)
    actions = []
    for _, walk, action in others:
        back = way_out(free, follow(free, here, [action, *walk])[-1], here)
        actions += [action, *walk, *back]
    return 1 + deepest[0], [*actions, deepest[2], *deepest[1]]


def follow(free, here, actions):
    """Return the squares on the way, ``here`` first."""
    way = [here]
    for action in actions:
        way.append(neighbours(free, way[-1]).get(action, way[-1]))
    return way


def perfect(env, state):
    """Return the actions of the best player and its return."""
    free = squares(state.open, env.side)
    start, goal = tuple(state.start.tolist()), tuple(state.goal.tolist())
    if env.goal_is_open:
        actions = way_out(free, start, goal) or []
        return actions, 1 - len(actions) / 1024
    depth, actions = tour(free, start)
    return actions, 1 - (free.sum() - 1 - depth) / 1024


def with_detours(free, start, actions, rng):
    """Return the same way with random steps, each taken back, in between."""
    longer = []
    for here, action in zip(follow(free, start, actions), actions, strict=False):
        if rng.random() < 0.15:
            aside = int(rng.integers(4))
            longer += [aside, aside ^ 1] if aside in neighbours(free, here) else [aside]
        longer.append(action)
    return longer


def chosen_actions(env, states, plans):
    """Return what is played, int32 [episodes, steps]; where a plan ends, random actions follow."""
    actions = random_actions()
    rng = np.random.default_rng(1)
    for episode, (state, plan) in enumerate(zip(states, plans, strict=True)):
        if episode in RANDOM:
            continue
        if episode not in PERFECT:
            start = tuple(state.start.tolist())
            plan = with_detours(squares(state.open, env.side), start, plan, rng)[:LENGTH]
        actions[episode, : len(plan)] = plan
    return actions


def their_episode(theirs, state, actions, monkeypatch):
    """Let popgym play in our maze; return the first observation and what every step gave."""
    side = state.open.size
    entrances = [tuple(place.tolist()) for place in (state.start, state.goal)]
    grid = (~squares(state.open, side)).astype(np.int8)
    for place in entrances:
        grid[place] = 1

    def set_entrances(their_maze, **_):
        their_maze.start, their_maze.end = entrances

    given = SimpleNamespace(generate=lambda: grid)
    monkeypatch.setattr(popgym.core.maze, "HuntAndKill", lambda *dims: given)
    monkeypatch.setattr(mazelib.Maze, "generate_entrances", set_entrances)
    obs, _ = theirs.reset()
    steps = []
    for action in actions.tolist():
        steps.append(theirs.step(action)[:4])
        if steps[-1][2] or steps[-1][3]:
            break
    return obs, steps


def test_lock_step_with_popgym(game, monkeypatch):
    theirs = getattr(popgym_envs, game.name)()
    lengths = []
    for episode, state in enumerate(game.states):
        first, steps = their_episode(theirs, state, game.actions[episode], monkeypatch)
        obs, reward, terminated, truncated = zip(*steps, strict=True)
        # What follows in ours is the next episode.
        ours = {name: values[episode][: len(steps)] for name, values in game.seen.items()}
        if episode >= WALLED_UP:  # else our first observation came before the walls
            np.testing.assert_array_equal(ours["first"], first)
        np.testing.assert_array_equal(ours["obs"], obs)
        np.testing.assert_allclose(ours["reward"], reward, rtol=1e-6)
        np.testing.assert_array_equal(ours["terminated"], terminated)
        np.testing.assert_array_equal(ours["truncated"], truncated)
        lengths.append(len(steps))
    assert lengths.count(LENGTH) >= 10  # time-outs
    assert sum(length < LENGTH for length in lengths) >= 150  # and ends


def test_perfect_player_gets_the_maximum(game):
    for episode in PERFECT:
        length = len(game.plans[episode])
        assert np.flatnonzero(game.seen["terminated"][episode])[0] == length - 1
        assert not game.seen["truncated"][episode, :length].any()
        found = game.seen["reward"][episode, :length].sum()
        assert found == pytest.approx(game.best[episode], abs=1e-5)


def test_next_episode_is_in_the_maze_that_grew(game):
    """Even after the shortest episodes it is complete."""
    ends = np.array(PERFECT), [len(game.plans[episode]) - 1 for episode in PERFECT]
    at_end = {name: values[ends] for name, values in game.seen.items() if name != "first"}
    assert not (at_end["growing"] & ~at_end["open after"]).any()
    assert squares(at_end["open after"], game.env.side)[:, 1::2, 1::2].all()
    assert len(np.unique(at_end["open after"], axis=0)) == len(PERFECT)
    assert (at_end["obs after"][:, 9] == NONE).all()
    assert (at_end["obs after"][:, :9] == 2).sum() == len(PERFECT)  # at the start
    assert (at_end["explored after"] == 1).all()
    assert (at_end["time after"] == 0).all()


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
