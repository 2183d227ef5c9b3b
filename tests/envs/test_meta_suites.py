"""DMC and XLand as trials, on stand-ins for their packages."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import suites_standins as standins
import suites_standins_grids as grids
from flax import struct

import envs
from envs import suites
from envs.meta import dmc, xland
from envs.spaces import encoded_size
from envs.vector import vectorise
from ssmrl.errors import UsageError

KEY = jax.random.key(4)
WORLD = "XLand-MiniGrid-R1-9x9"
resets = []


@struct.dataclass
class Model:
    actuator_ctrlrange: jax.Array


class Slider(standins.Walker):
    """Stays where it is put, and tells when it is put there."""

    def reset(self, key):
        state = super().reset(key)
        jax.debug.callback(lambda x: resets.append(x), state.x)
        return state

    def step(self, state, action):
        return super().step(state, 0 * action)


class Mass(standins.Walker):
    """Observes where it is pushed to on a plane, and pays what it is told to."""

    def __init__(self):
        super().__init__()
        self._mjx_model = Model(jnp.array([[-1.0, 1.0], [-1.0, 1.0]]))

    def reset(self, key):
        return super().reset(key).replace(x=jnp.zeros(2), obs=jnp.zeros(2))

    def step(self, state, action):
        low, high = self._mjx_model.actuator_ctrlrange.T
        x = state.x + jnp.clip(action, low, high)
        reward = self._get_reward(x, action, state.info, state.metrics)
        return state.replace(x=x, obs=x, reward=reward)

    def _get_reward(self, data, action, info, metrics):
        return action.sum()


class RuledWorld(grids.GridWorld):
    """Its goal is one of the four cells."""

    def reset(self, params, key):
        assert params.ruleset.init_tiles.shape == (5, 2)
        return super().reset(params.replace(ruleset=params.ruleset.goal[2] % 4), key)


@struct.dataclass
class RuleSet:
    goal: jax.Array
    rules: jax.Array
    init_tiles: jax.Array


@pytest.fixture
def control(monkeypatch):
    tasks = dict.fromkeys((*dmc.TRAIN, *dmc.HELD_OUT), Slider)
    tasks["PointMass"] = Mass
    del tasks["PointMassHard"]
    suite = SimpleNamespace(
        ALL_ENVS=tuple(tasks),
        get_default_config=lambda name: standins.Config(impl="warp"),
        load=lambda name, config: tasks[name](),
    )
    package = standins.module("mujoco_playground", dm_control_suite=suite)
    standins.install(monkeypatch, package)


@pytest.fixture
def grid(monkeypatch):
    suite, core, constants = grids.xminigrid()
    suite.make = lambda name: (RuledWorld(), grids.GridParams())
    suite.registered_environments = lambda: (WORLD,)
    types = standins.module("xminigrid.types", RuleSet=RuleSet)
    standins.install(monkeypatch, suite, core, constants, types)


def test_members_of_both_splits(control):
    for split, names in (("train", dmc.TRAIN), ("held_out", dmc.HELD_OUT)):
        mixture, params = envs.make("meta/DMC", split=split, episode_length=3)
        assert tuple(name for name, *_ in mixture.members) == names
        for _, env, own in mixture.members:
            assert env.observation_space(own).spaces["observation"].shape == (12,)
            assert env.action_space(own).shape == (2,)
        batch = vectorise(mixture, params, envs.wrap).with_num(6)
        jax.eval_shape(batch.step, KEY, jax.eval_shape(batch.reset, KEY)[1], jnp.zeros((6, 2)))
    assert not set(dmc.TRAIN) & set(dmc.HELD_OUT)


def test_a_trial_is_one_episode_that_time_truncates(control):
    env, params = envs.make("meta/DMC/FingerSpin", episode_length=3)
    _, state = env.reset(KEY, params)
    step = jax.jit(env.step)
    tasks, ends = [], []
    for i in range(4):
        tasks.append(state.task.observation)
        _, state, _, terminated, truncated, _ = step(
            jax.random.fold_in(KEY, i), state, jnp.zeros(2), params
        )
        ends.append((bool(terminated), bool(truncated)))
    assert ends == [(False, False), (False, False), (False, True), (False, False)]
    assert (tasks[0] == tasks[2]).all()
    assert (tasks[2] != tasks[3]).any()


def test_worlds_are_reset_where_they_end_and_nowhere_else(control):
    env, params = envs.make("meta/DMC/FingerSpin", episode_length=5)

    @jax.jit
    def play(key):
        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, 32), params)

        def step(state, key):
            keys = jax.random.split(key, 32)
            return jax.vmap(env.step, (0, 0, None, None))(keys, state, jnp.zeros(2), params)[1], 0

        return jax.lax.scan(step, state, jax.random.split(key, 4))

    resets.clear()
    jax.block_until_ready(play(KEY))
    jax.effects_barrier()
    assert len(resets) == 32  # of the first episodes: in four steps none ends


def test_hard_point_masses_are_pushed_in_their_tasks_directions(control):
    env, params = envs.make("meta/DMC/PointMassHard", num_episodes=2, episode_length=2)
    inner = env.env.env
    _, state = env.reset(KEY, params)
    step = jax.jit(env.step)
    seen = []
    for i in range(4):
        directions = state.task.inner.directions
        for action in ([0.25, -0.5], [1.0, 1.0], [3.0, -0.5]):
            own = inner.step(KEY, state.env_state, jnp.array(action), state.task.inner)
            told = np.clip(action, -1, 1)
            expected = state.env_state.leaves[0] + told @ directions
            np.testing.assert_allclose(own[5]["final_observation"], expected, atol=1e-6)
            assert float(own[2]) == pytest.approx(told.sum())
        _, state, *_ = step(jax.random.fold_in(KEY, i), state, jnp.zeros(2), params)
        seen.append(np.asarray(directions))
    assert (seen[0] == seen[3]).all()  # through the inner reset
    assert (state.task.inner.directions != seen[0]).any()  # a new trial
    np.testing.assert_array_equal(inner.default_params.directions, np.eye(2))


def test_directions_are_those_that_dm_control_would_accept():
    drawn = np.asarray(jax.vmap(dmc.draw_directions)(jax.random.split(KEY, 20_000)))
    np.testing.assert_allclose((drawn**2).sum(-1), 1, rtol=1e-5)
    cosine = (drawn[:, 0] * drawn[:, 1]).sum(-1)
    assert abs(cosine).max() <= 0.9 + 1e-6
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=(40_000, 2, 2))
    theirs /= np.linalg.norm(theirs, axis=-1, keepdims=True)
    expected = (theirs[:, 0] * theirs[:, 1]).sum(-1)
    expected = expected[abs(expected) <= 0.9]
    bins = np.linspace(-0.9, 0.9, 10)
    shares = [np.histogram(x, bins)[0] / len(x) for x in (cosine, expected)]
    np.testing.assert_allclose(*shares, atol=0.012)
    turn = np.cross(drawn[:, 0], drawn[:, 1]) > 0
    assert turn.mean() == pytest.approx(0.5, abs=0.015)


def test_goals_are_all_there_and_parted_for_good():
    goals = xland.all_goals()
    assert len(np.unique(goals, axis=0)) == len(goals) == 60 + 5 * 70 + 5 * 70 * 60
    held_out = xland.is_held_out(len(goals))
    assert held_out.sum() == len(goals) // 10
    assert np.flatnonzero(held_out)[:5].tolist() == [0, 11, 19, 30, 38]  # as in all runs before
    for kind in np.unique(goals[:, 0]):
        share = held_out[goals[:, 0] == kind].mean()
        assert 0.08 < share < 0.13


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_drawn_rulesets_are_of_the_split(grid, split):
    env = xland.TrivialXLand(WORLD, split)
    draw = jax.jit(jax.vmap(lambda key: env.draw_task(key, env.default_params).ruleset))
    drawn = jax.device_get(draw(jax.random.split(KEY, 3000)))
    goals = xland.all_goals()
    number = {tuple(goal): i for i, goal in enumerate(goals.tolist())}
    found = np.array([number[tuple(goal)] for goal in drawn.goal.tolist()])
    assert (xland.is_held_out(len(goals))[found] == (split == "held_out")).all()
    kinds = np.unique(drawn.goal[:, 0], return_counts=True)[1]
    assert len(kinds) == 11
    assert (((kinds - 3000 / 11) ** 2) / (3000 / 11)).sum() < 35  # p < 1e-4
    np.testing.assert_array_equal(drawn.init_tiles[:, :2].reshape(-1, 4), drawn.goal[:, 1:])
    others = drawn.init_tiles[:, 2:]
    assert not (others[:, :, None] == drawn.init_tiles[:, None, :2]).all(-1).any()
    assert len(np.unique(others.reshape(-1, 2), axis=0)) == 70
    assert not drawn.rules.any()


def test_xland_keeps_its_goal_through_a_trial(grid):
    env, params = envs.make("meta/XLand", num_episodes=3, max_steps=4)
    _, state = env.reset(KEY, params)
    step = jax.jit(jax.vmap(env.step, (0, 0, None, None)))
    goals, over, state = [], [], jax.tree.map(lambda x: x[None], state)
    for i in range(13):
        goals.append(state.task.ruleset.goal[0].tolist())
        keys = jax.random.fold_in(KEY, i)[None]
        _, state, _, terminated, _, _ = step(keys, state, jnp.int32(0), params)
        over.append(bool(terminated[0]))
    first_end = over.index(True)
    assert first_end >= 2  # three inner episodes
    assert all(goal == goals[0] for goal in goals[: first_end + 1])
    assert goals[first_end + 1] != goals[0]


def test_xland_shows_tiles_and_colours_as_categories(grid):
    env, params = envs.make("meta/XLand")
    space = env.observation_space(params).spaces["observation"]
    assert space.nvec.tolist() == [13, 12] * 25
    assert encoded_size(space) == 625
    obs, state = env.reset(KEY, params)
    world = state.env_state.observation
    np.testing.assert_array_equal(obs["observation"], np.asarray(world).ravel())
    envs.check_environment(env, params)


def test_names_are_listed_where_the_packages_are_installed(control, grid, monkeypatch):
    ours = {"meta/DMC", "meta/DMC/BallInCup", "meta/DMC/PointMassHard", "meta/XLand"}
    assert ours <= set(envs.names())
    monkeypatch.setattr(suites.importlib.util, "find_spec", lambda package: None)
    assert not ours & set(envs.names())
    assert "meta/TabularMDP" in envs.names()


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("meta/DMC", "mujoco_playground", "dmc"), ("meta/XLand", "xminigrid", "xland")],
)
def test_a_missing_package_ends_in_the_command_that_installs_it(name, package, extra, monkeypatch):
    standins.remove(monkeypatch, package)
    with pytest.raises(UsageError, match=rf"not installed: pip install 'ssmrl\[{extra}\]'"):
        envs.make(name)


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("meta/DMC", {"split": "test"}, "'meta/DMC': split must be train or held_out"),
        ("meta/DMC", {"observation_size": 1}, "whole number observation_size >= 2, not 1"),
        ("meta/DMC", {"action_sise": 2}, "did you mean 'action_size'"),
        ("meta/DMC/BallInCup", {"episode_length": 0}, "episode_length must be >= 1, not 0"),
        ("meta/DMC/BallInCup", {"impl": "c"}, "impl must be jax or warp, not 'c'"),
        ("meta/XLand", {"split": "test"}, "'meta/XLand': split must be train or held_out"),
        ("meta/XLand", {"world": "MiniGrid"}, "unknown environment 'xland/MiniGrid'"),
        ("meta/XLand", {"num_episodes": 0}, "num_episodes must be >= 1, not 0"),
    ],
)
def test_impossible_settings(name, settings, complaint, control, grid):
    with pytest.raises(UsageError) as caught:
        envs.make(name, **settings)
    assert complaint in str(caught.value)
