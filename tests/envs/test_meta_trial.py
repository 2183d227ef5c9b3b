"""Trials: one task for all inner episodes, and nothing of it in the next trial."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment, spaces

import envs
from envs.meta.general import cart_pole, trial
from envs.meta.projected import Projected
from envs.meta.trial import Trial
from ssmrl.errors import UsageError


@struct.dataclass
class State:
    """Where a walk stands."""

    place: jax.Array
    time: jax.Array


@struct.dataclass
class Params:
    """A walk's task: how far a step goes."""

    stride: float = 1.0


class Walk(environment.Environment):
    """Walks ``stride * action`` a step for three steps, from a random place, and is paid for it."""

    @property
    def default_params(self):
        return Params()

    def draw_task(self, key, params):
        return dataclasses.replace(params, stride=jax.random.uniform(key, minval=1.0, maxval=2.0))

    def optimal_return(self, task):
        return 3 * task.stride

    def reset_env(self, key, params):
        state = State(jax.random.normal(key), jnp.int32(0))
        return state.place[None], state

    def step_env(self, key, state, action, params):
        walked = params.stride * action
        state = State(state.place + walked, state.time + 1)
        return state.place[None], state, walked, state.time >= 3, {}

    def is_truncated(self, state, params):
        return jnp.zeros((), bool)

    def observation_space(self, params):
        return spaces.Box(-jnp.inf, jnp.inf, (1,))

    def action_space(self, params=None):
        return spaces.Discrete(2)


def make(**settings) -> Trial:
    return Trial(Walk(), Params(), **settings)


def played(env, num_steps: int, key: int = 0, action: int = 1):
    """Return what each of ``num_steps`` steps gave: obs, state, reward, flags, info."""
    params = env.default_params
    first, state = env.reset(jax.random.key(key), params)

    def step(state, key):
        obs, state, *rest = env.step(key, state, jnp.int32(action), params)
        return state, (obs, state, *rest)

    keys = jax.random.split(jax.random.key(key + 1), num_steps)
    return (first, state), jax.jit(lambda: jax.lax.scan(step, state, keys))()[1]


def test_inner_episodes_of_a_trial_share_a_task_and_are_told():
    (first, _), (obs, _, reward, terminated, truncated, info) = played(
        make(num_episodes=2), num_steps=12
    )
    np.testing.assert_array_equal(info["episode_done"], [0, 0, 1] * 4)
    np.testing.assert_array_equal(info["inner_episode"], ([0] * 3 + [1] * 3) * 2)
    np.testing.assert_array_equal(terminated, ([0] * 5 + [1]) * 2)
    assert not truncated.any()
    # The flag is seen at the first observation of an inner episode, but not of a trial.
    np.testing.assert_array_equal(obs["episode_done"][:, 0], ([0, 0, 1, 0, 0, 0]) * 2)
    assert first["episode_done"] == 0
    np.testing.assert_array_equal(info["final_observation"]["episode_done"][:, 0], [0, 0, 1] * 4)
    by_trial = reward.reshape(2, 6)
    np.testing.assert_allclose(by_trial, by_trial[:, :1] * np.ones((1, 6)), rtol=1e-6)
    assert by_trial[0, 0] != by_trial[1, 0], "the second trial has the first one's task"
    expected = np.cumsum(reward.reshape(4, 3), axis=1).ravel()
    np.testing.assert_allclose(info["inner_return"], expected, rtol=1e-6)


def test_starts_differ_within_a_trial_unless_they_are_to_be_the_same():
    (_, _), (obs, *_, info) = played(make(num_episodes=4), num_steps=9)
    places = obs["observation"][np.asarray(info["episode_done"])]
    assert len(np.unique(places)) == 3
    (first, _), (obs, *_, info) = played(make(num_episodes=3, same_start=True), num_steps=12)
    places = np.asarray(obs["observation"][np.asarray(info["episode_done"])]).ravel()
    assert (places[:2] == np.asarray(first["observation"])).all()
    assert places[2] != places[0], "the next trial begins where the last one did"
    assert places[3] == places[2]


def test_steps_limit_a_trial_in_the_middle_of_an_inner_episode():
    _, (_, state, _, terminated, truncated, info) = played(
        make(num_steps=5, ends="truncated"), num_steps=10
    )
    np.testing.assert_array_equal(truncated, ([0] * 4 + [1]) * 2)
    assert not terminated.any()
    np.testing.assert_array_equal(info["episode_done"], [0, 0, 1, 0, 0] * 2)
    np.testing.assert_array_equal(state.time, [1, 2, 3, 4, 0] * 2)


def test_a_return_may_end_with_an_inner_episode_though_the_trial_goes_on():
    _, (*_, terminated, _, info) = played(make(num_episodes=2, returns="inner"), num_steps=12)
    np.testing.assert_array_equal(info["return_ends"], [0, 0, 1] * 4)
    np.testing.assert_array_equal(terminated, ([0] * 5 + [1]) * 2)
    assert not played(make(num_episodes=2), num_steps=12)[1][-1]["return_ends"].any()


def over_after(env, state, key):
    """Return observation and state after the last step of a trial."""
    obs, state, *_ = env.step(key, state, jnp.int32(1), env.default_params)
    return obs, state


@pytest.mark.parametrize(
    "env",
    [
        pytest.param(make(num_episodes=2), id="varied"),
        pytest.param(
            Trial(projected := Projected(Walk(), Params(), 3, 2), projected.default_params, 2),
            id="projected",
        ),
    ],
)
def test_nothing_of_a_trial_reaches_the_next_in_value_or_gradient(env):
    """Task, projection and hidden state of two trials differ; what follows them does not."""
    ends = [played(env, num_steps=5, key=key)[1][1] for key in (0, 7)]
    last = [jax.tree.map(lambda x: x[-1], end) for end in ends]
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, last), strict=True))
    key = jax.random.key(3)
    after = [over_after(env, state, key) for state in last]
    jax.tree.map(np.testing.assert_array_equal, *after)

    leaves, tree = jax.tree.flatten(last[0])
    is_float = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def follow(floats):
        floats = iter(floats)
        all_leaves = [next(floats) if f else x for f, x in zip(is_float, leaves, strict=True)]
        found = over_after(env, jax.tree.unflatten(tree, all_leaves), key)
        return [x for x in jax.tree.leaves(found) if jnp.issubdtype(x.dtype, jnp.floating)]

    floats = [x for f, x in zip(is_float, leaves, strict=True) if f]
    tangents = jax.jvp(follow, (floats,), ([jnp.ones_like(x) for x in floats],))[1]
    assert all((t == 0).all() for t in tangents)
    # Within the trial they do depend, so that zeros above mean something.
    begun = jax.tree.map(lambda x: x[-1], played(env, num_steps=1)[1][1])
    leaves, tree = jax.tree.flatten(begun)
    floats = [x for f, x in zip(is_float, leaves, strict=True) if f]
    tangents = jax.jvp(follow, (floats,), ([jnp.ones_like(x) for x in floats],))[1]
    assert any((t != 0).any() for t in tangents)


def test_limits_are_params_and_longer_trials_need_no_other_environment():
    env, params = envs.make("meta/CartPole", num_episodes=32)
    assert params.num_episodes == 32
    assert env.most_episodes(params) == 32
    assert cart_pole().most_episodes(cart_pole().default_params) == 16


def test_the_best_return_is_that_of_a_drawn_task():
    env = make(num_episodes=2)
    best = env.optimal_return(jax.random.key(0), env.default_params)
    assert 3 <= best <= 6
    assert trial("CartPole-v1").optimal_return(jax.random.key(0), None) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "a trial needs num_episodes or num_steps"),
        ({"num_episodes": 0}, "num_episodes must be >= 1, not 0"),
        ({"num_steps": -3}, "num_steps must be >= 1, not -3"),
        ({"num_steps": 3, "returns": "sum"}, "returns must be trial or inner, not 'sum'"),
        ({"num_steps": 3, "ends": "dones"}, "ends must be terminated or truncated, not 'dones'"),
    ],
)
def test_bad_limits_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        make(**settings)
