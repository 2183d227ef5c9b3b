"""DMC and XLand as trials against the packages themselves, where these are installed."""

import copy
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.examine import examine
from envs.meta import dmc, xland

pytestmark = pytest.mark.slow

KEY = jax.random.key(6)


def test_a_hard_point_mass_moves_as_in_mujoco_with_its_tendons_changed():
    pytest.importorskip("mujoco_playground", reason="the extra dmc")
    mujoco = importlib.import_module("mujoco")
    env, params = envs.make("meta/DMC/PointMassHard")
    inner = env.env.env
    params = inner.draw_task(KEY, inner.default_params)
    obs, state = inner.reset(KEY, params)
    model = copy.deepcopy(inner._env.mj_model)
    model.wrap_prm[:] = np.asarray(params.directions).ravel()  # as dm_control does
    data = mujoco.MjData(model)
    data.qpos[:] = obs[:2]
    step = jax.jit(inner.step)
    actions = jax.random.uniform(KEY, (60, 2), minval=-1.2, maxval=1.2).at[:20].set(1.0)
    for action in np.asarray(actions):
        obs, state, reward, *_ = step(KEY, state, jnp.asarray(action), params)
        data.ctrl[:] = action
        mujoco.mj_step(model, data)
        np.testing.assert_allclose(obs, [*data.qpos, *data.qvel], atol=1e-4)
        near = inner.inner(state).metrics["reward/near_target"]
        control = (np.clip(1 - np.clip(action, -1, 1) ** 2, 0, 1).mean() + 4) / 5
        assert float(reward) == pytest.approx(float(near) * control, abs=1e-5)
    pushed = np.ones(2) @ np.asarray(params.directions)
    assert abs(pushed).max() > 1  # farther than one actuator of the easy task may push


def test_every_task_of_the_suite_fits_the_projection():
    pytest.importorskip("mujoco_playground", reason="the extra dmc")
    for split in ("train", "held_out"):
        for _, env, params in envs.make("meta/DMC", split=split)[0].members:
            inner = env.env.env
            assert inner.observation_space(params.inner.inner).shape[0] <= 12
            assert inner.num_actions <= 2
            assert params.inner.inner.episode_length == 1000


@pytest.mark.parametrize("task", ["PendulumSwingup", "PointMassHard"])
def test_nothing_is_at_fault_in_the_suite(task):
    pytest.importorskip("mujoco_playground", reason="the extra dmc")
    env, params = envs.make(f"meta/DMC/{task}", episode_length=20)
    faults = [f for f in examine(env, params, num_steps=64) if f.fault]
    assert task in (*dmc.TRAIN, *dmc.HELD_OUT)
    assert not faults


def test_goals_are_encoded_as_the_package_has_them():
    pytest.importorskip("xminigrid", reason="the extra xland")
    package = importlib.import_module("xminigrid.core.goals")
    sides = ("", "Up", "Right", "Down", "Left")
    held, one, two = jnp.array([3, 1]), jnp.array([6, 9]), jnp.array([12, 10])
    tile = {"tile": one}
    both = {"tile_a": one, "tile_b": two}
    theirs = [
        package.AgentHoldGoal(tile=held),
        *(getattr(package, f"AgentNear{side}Goal")(**tile) for side in sides),
        *(getattr(package, f"TileNear{side}Goal")(**both) for side in sides),
    ]
    ours = [(xland.HOLD[0], 3, 1, 0, 0)]
    ours += [(kind, 6, 9, 0, 0) for kind in xland.NEXT_TO]
    ours += [(kind, 6, 9, 12, 10) for kind in xland.PUT_NEXT_TO]
    assert [tuple(goal.encode().tolist()) for goal in theirs] == ours
    assert set(ours) <= {tuple(goal) for goal in xland.all_goals().tolist()}


def test_nothing_is_at_fault_in_xland():
    pytest.importorskip("xminigrid", reason="the extra xland")
    env, params = envs.make("meta/XLand", num_episodes=2, max_steps=20)
    assert not [f for f in examine(env, params, num_steps=128) if f.fault]


def test_what_lies_in_a_world_is_what_the_task_says():
    pytest.importorskip("xminigrid", reason="the extra xland")
    env, params = envs.make("meta/XLand")
    _, state = jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(KEY, 40), params)
    grid, task = np.asarray(state.env_state.state.grid), state.task.ruleset
    for world, tiles in zip(grid, np.asarray(task.init_tiles), strict=True):
        cells = world.reshape(-1, 2)
        things = sorted(map(tuple, cells[(cells[:, 0] > 2)].tolist()))
        assert things == sorted(tuple(t) for t in tiles.tolist() if t != [0, 0])
    np.testing.assert_array_equal(state.env_state.state.goal_encoding, task.goal)
