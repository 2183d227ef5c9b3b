"""LabyrinthExplore and LabyrinthEscape in lock-step with popgym 1.0.7."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mazelib
import numpy as np
import popgym.core.maze
import pytest
from labyrinth_players import rows_of, squares, tour, way_out, with_detours
from popgym import envs as popgym_envs
from scipy import stats

from envs.fixed import NoParams
from envs.popgym import maze
from envs.popgym.labyrinth import EnvState, LabyrinthEscape, LabyrinthExplore

EPISODES = 200
WALLED_UP = 16  # the first of them have less maze
RANDOM = range(8, 32)  # these have a random player, those before and after go the best way
PERFECT = range(120, EPISODES)  # without detours
LENGTH = 1023
KEY = jax.random.key(0)
PARAMS = NoParams()
SIZES = {"Easy": 10, "Medium": 14, "Hard": 18}
KINDS = {"Explore": LabyrinthExplore, "Escape": LabyrinthEscape}
NONE = 4  # the action that an observation shows after a reset


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


def perfect(env, state):
    """Return the actions of the best player and its return."""
    free = squares(state.open, env.side)
    start, goal = tuple(state.start.tolist()), tuple(state.goal.tolist())
    if env.goal_is_open:
        actions = way_out(free, start, goal) or []
        return actions, 1 - len(actions) / 1024
    depth, actions = tour(free, start)
    return actions, 1 - (free.sum() - 1 - depth) / 1024


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


def test_next_maze_is_drawn_apart_from_the_entrances():
    """Chi-square over the side of the start and the row of the next maze's first cell."""
    env = LabyrinthEscape(10)
    reset = jax.jit(jax.vmap(env.reset_env, (0, None)))
    _, state = reset(jax.random.split(KEY, 4000), PARAMS)
    y, x = np.asarray(state.start).T
    side = np.select([y == 0, y == env.side - 1, x == 0], [0, 1, 2], 3)
    together = np.zeros((4, env.cells))
    np.add.at(together, (side, np.asarray(state.next.cell)[:, 0]), 1)
    assert stats.chi2_contingency(together).pvalue > 1e-3
