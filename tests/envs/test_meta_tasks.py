"""What tasks are drawn from, and projections."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.meta.projected import Projected, orthonormal
from envs.meta.tasks import Varied
from ssmrl.errors import UsageError

KEYS = jax.random.split(jax.random.key(0), 200)


def drawn(vary, split="train", field="length", name="CartPole-v1"):
    env, params = envs.make(name)
    varied = Varied(env, params, vary, split)
    return np.asarray(jax.vmap(lambda key: getattr(varied.draw_task(key, params), field))(KEYS))


def test_fields_are_drawn_from_ranges_and_lists():
    lengths = drawn({"length": {"low": 0.3, "high": 0.6}})
    assert lengths.dtype == np.float32
    assert 0.3 <= lengths.min() < 0.31
    assert 0.59 < lengths.max() <= 0.6
    np.testing.assert_array_equal(np.unique(drawn({"length": [1, 2.5]})), [1, 2.5])
    limits = drawn({"max_steps_in_episode": {"low": 5, "high": 7}}, field="max_steps_in_episode")
    assert limits.dtype == np.int32
    np.testing.assert_array_equal(np.unique(limits), [5, 6, 7])


def test_held_out_tasks_are_never_trained_on():
    vary = {"length": {"train": [0.4, 0.5], "held_out": {"low": 0.6, "high": 0.9}}, "gravity": [9]}
    np.testing.assert_array_equal(np.unique(drawn(vary)), np.float32([0.4, 0.5]))
    assert drawn(vary, "held_out").min() >= np.float32(0.6)
    assert (drawn(vary, "held_out", "gravity") == 9).all()


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({"lenght": [1]}, "has no parameter 'lenght'; did you mean 'length'"),
        ({"length": {"low": 2, "high": 1}}, "range that is upside down"),
        ({"length": []}, "empty list"),
        ({"length": "long"}, "needs a list of numbers or"),
        ({"length": {"low": 1}}, "needs a list of numbers or"),
        ({"length": ["long"]}, "varies over finite numbers, not 'long'"),
        ({"length": [float("nan")]}, "varies over finite numbers"),
        ({"max_steps_in_episode": [2.5]}, "varies over whole numbers, not 2.5"),
        ({"length": {"train": [1]}}, "needs both train and held_out"),
        ({"length": {"train": [1, 2], "held_out": [2, 3]}}, "overlaps what is trained on"),
        (
            {"length": {"train": {"low": 1, "high": 2}, "held_out": {"low": 2, "high": 3}}},
            "overlaps what is trained on",
        ),
        ({"length": {"train": {"low": 1, "high": 2}, "held_out": [1.5]}}, "overlaps what"),
        ({"length": {"train": [1], "held_out": []}}, "empty list"),
    ],
)
def test_bad_distributions_are_refused(vary, words):
    with pytest.raises(UsageError, match=words):
        drawn(vary)


@pytest.mark.parametrize("split", ["held_out", "test"])
def test_splits_without_tasks_are_refused(split):
    with pytest.raises(UsageError, match=r"no field of vary has held-out|split must be train or"):
        drawn({"length": [1]}, split)


@pytest.mark.parametrize(("rows", "columns"), [(4, 2), (12, 12), (40, 20)])
def test_columns_are_orthonormal_and_uniform(rows, columns):
    matrices = np.asarray(jax.jit(jax.vmap(lambda k: orthonormal(k, rows, columns)))(KEYS))
    products = np.swapaxes(matrices, 1, 2) @ matrices
    np.testing.assert_allclose(products - np.eye(columns), 0, atol=2e-6)
    # Of a uniform distribution every entry has mean 0 and variance 1/rows; none is preferred.
    error = matrices.mean(axis=0) * np.sqrt(rows * len(KEYS))
    assert np.abs(error).max() < 4.5
    np.testing.assert_allclose((matrices**2).mean(), 1 / rows, rtol=1e-5)


def projected(name, **settings):
    env, params = envs.make(name)
    env = Projected(env, params, **settings)
    return env, jax.vmap(lambda key: env.draw_task(key, env.default_params))(KEYS)


def test_observations_pass_through_the_matrix_and_keep_their_length():
    env, tasks = projected("CartPole-v1", observation_size=7)
    task = jax.tree.map(lambda x: x[3], tasks)
    plain, _ = envs.make("CartPole-v1")
    key = jax.random.key(5)
    obs, state = env.reset(key, task)
    inner, _ = plain.reset(key, task.inner)
    np.testing.assert_allclose(obs, task.observation @ inner, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(obs), np.linalg.norm(inner), rtol=1e-5)
    obs, _, _, _, _, info = env.step(key, state, jnp.int32(1), task)
    np.testing.assert_array_equal(obs, info["final_observation"])
    assert obs.shape == env.observation_space(task).shape == (7,)
    assert len(np.unique(np.asarray(tasks.observation), axis=0)) == len(KEYS)


def test_discrete_actions_are_permuted_with_names_to_spare():
    env, tasks = projected("Acrobot-v1", action_size=4)
    assert env.action_space(tasks).n == 4
    orders = np.asarray(tasks.action)
    assert {tuple(sorted(order)) for order in orders} == {(0, 0, 1, 2)}
    assert len({tuple(order) for order in orders}) == 12


def test_continuous_actions_are_mixed_clipped_and_stretched():
    env, tasks = projected("Pendulum-v1", action_size=2)
    for i in range(3):
        task = jax.tree.map(lambda x, i=i: x[i], tasks)
        action = jnp.array([0.9, -0.8])
        meant = env._meant(action, task)
        np.testing.assert_allclose(meant, 2 * np.clip(action @ task.action, -1, 1), rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(task.action), 1, rtol=1e-6)
    assert env.action_space(task).shape == (2,)


def test_laws_differ_in_length():
    _, tasks = projected("CartPole-v1", observation_size=8, action_size=2, law="released")
    assert tasks.action is None
    norms = np.linalg.norm(np.asarray(tasks.observation), axis=1)
    np.testing.assert_allclose(norms, 2**0.5, rtol=1e-5)
    _, tasks = projected("CartPole-v1", observation_size=8, law="gaussian")
    lengths = (np.asarray(tasks.observation) ** 2).sum(axis=1)
    np.testing.assert_allclose(lengths.mean(), 1, atol=0.1)
    assert lengths.std() > 0.3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"observation_size": 3}, "observation_size >= 4, not 3"),
        ({"action_size": 1}, "action_size >= 2, not 1"),
        ({"observation_size": 8, "law": "normal"}, "needs a law orthonormal, gaussian, released"),
    ],
)
def test_bad_projections_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        projected("CartPole-v1", **settings)
