"""Wrappers on an environment of three steps: what the auto-reset lets through, and what not."""

import copy
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_env import Echo, Tiny, TinyParams

import envs
from envs.spaces import Box, Dict, Discrete, MultiDiscrete
from envs.vector import VectorEnv, vectorise
from envs.wrappers import (
    EpisodeStatistics,
    FlattenObservation,
    PreviousAction,
    PreviousReward,
    StartFlag,
)
from ssmrl.errors import UsageError

KEY = jax.random.key(0)
PARAMS = TinyParams()


def play(env, actions, params=PARAMS):
    """Return the first observation and a list of (obs, final_observation, info, reward)."""
    obs, state = env.reset(KEY, params)
    steps = []
    for action in actions:
        obs_t, state, reward, _, _, info = env.step(KEY, state, jnp.asarray(action), params)
        steps.append((obs_t, info["final_observation"], info, reward))
    return obs, steps


def test_wrap_lets_nothing_over_the_reset():
    # Columns: time | previous action, one-hot | previous reward | start flag.
    env = envs.wrap(Tiny(), previous_reward=True)
    first, steps = play(env, [2, 1, 0, 2])
    np.testing.assert_array_equal(first, [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(
        [obs for obs, *_ in steps],
        [
            [1, 0, 0, 1, 1, 0],
            [2, 0, 1, 0, 2, 0],
            [0, 0, 0, 0, 0, 1],  # the next episode's first observation
            [1, 0, 0, 1, 1, 0],
        ],
    )
    np.testing.assert_array_equal(steps[2][1], [3, 1, 0, 0, 3, 0])  # final_observation
    np.testing.assert_array_equal(steps[1][1], steps[1][0])  # no end: the same observation
    envs.check_environment(env, PARAMS)


def test_truncation_starts_an_episode_too():
    _, steps = play(StartFlag(Tiny(truncates=True)), [0, 0, 0, 0])
    assert [obs[-1] for obs, *_ in steps] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("wrapper", "at_start", "in_step_1", "in_final"),
    [
        (PreviousAction, [0, 0, 0], [0, 1, 0], [0, 0, 1]),
        (PreviousReward, [0], [1], [3]),
        (StartFlag, [1], [0], [0]),
    ],
)
def test_each_appending_wrapper(wrapper, at_start, in_step_1, in_final):
    env = wrapper(Tiny())
    first, steps = play(env, [1, 0, 2])
    np.testing.assert_array_equal(first[1:], at_start)
    np.testing.assert_array_equal(steps[0][0][1:], in_step_1)
    np.testing.assert_array_equal(steps[2][0][1:], at_start)
    np.testing.assert_array_equal(steps[2][1][1:], in_final)
    envs.check_environment(env, PARAMS)


@pytest.mark.parametrize(
    ("actions", "action", "encoded"),
    [
        (MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
        (Box(0.5, 2.0, (2, 1)), [[0.75], [1.5]], [0.75, 1.5]),
    ],
)
def test_previous_action_of_other_spaces(actions, action, encoded):
    env = PreviousAction(Tiny(actions))
    first, steps = play(env, [action])
    np.testing.assert_array_equal(first[1:], np.zeros(len(encoded)))
    np.testing.assert_array_equal(steps[0][0][1:], encoded)
    space = env.observation_space(PARAMS)
    assert space.contains(first)  # the zeros of a start are inside, though no action is zero
    assert space.contains(steps[0][0])
    envs.check_environment(env, PARAMS)


def test_flatten_also_flattens_the_final_observation():
    space = Dict({"z": Discrete(4), "grid": Box(0, 9, (2, 2), jnp.int32)})
    tiny = Tiny(observe=lambda t: {"z": t, "grid": jnp.full((2, 2), 2 * t)}, space=space)
    env = FlattenObservation(tiny)
    first, steps = play(env, [0, 0, 0])
    np.testing.assert_array_equal(first, [0, 0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(steps[1][0], [*[4 / 9] * 4, 0, 0, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(steps[2][1], [*[6 / 9] * 4, 0, 0, 0, 1], rtol=1e-6)
    np.testing.assert_array_equal(steps[2][0], first)
    envs.check_environment(env, PARAMS)


def test_episode_statistics_by_hand():
    env = EpisodeStatistics(Tiny())
    _, steps = play(env, [0] * 5)
    assert [float(info["episode_return"]) for *_, info, _ in steps] == [1, 3, 6, 1, 3]
    assert [int(info["episode_length"]) for *_, info, _ in steps] == [1, 2, 3, 1, 2]
    envs.check_environment(env, PARAMS)


def test_episode_statistics_forget_a_return_that_is_not_finite():
    _, steps = play(EpisodeStatistics(Tiny()), [0] * 3, TinyParams(reward_scale=jnp.inf))
    env = EpisodeStatistics(Tiny())
    _, state = env.reset(KEY, PARAMS)
    state = state.replace(episode_return=jnp.float32(jnp.nan), env_state=state.env_state)
    for _ in range(3):
        _, state, *_ = env.step(KEY, state, 0, PARAMS)
    assert float(state.episode_return) == 0
    assert float(steps[2][2]["episode_return"]) == jnp.inf


def test_actions_are_clipped_then_seen_as_the_previous_action_then_stretched():
    env = envs.wrap(Echo(Box(-1.0, jnp.array([1.0, 2.0]), (2,))))
    _, steps = play(env, [[-7.0, 7.0], [0.5, 0.5]])
    # Columns: time | previous action, as the agent means it | start flag.
    np.testing.assert_array_equal(steps[0][0], [1, -1, 1, 0])
    assert float(steps[0][3]) == -1 + 2
    np.testing.assert_array_equal(steps[1][0], [2, 0.5, 0.5, 0])
    assert float(steps[1][3]) == 0.5 + 1.25


class MovingBounds(Echo):
    """The scale of the reward is the bound of the actions too: none while it is infinite."""

    default_params = TinyParams(reward_scale=jnp.inf)

    def action_space(self, params):
        return Box(-params.reward_scale, params.reward_scale, (1,))

    def reward(self, time, action):
        return jnp.sum(action) / 4


def test_bounds_are_those_of_the_parameters_in_use_not_of_the_default_ones():
    env, params = envs.wrap(MovingBounds()), TinyParams(reward_scale=4.0)
    _, steps = play(env, [[0.5]], params)
    assert float(steps[0][3]) == 0.5 * 4 / 4 * 4
    assert float(env.action_space(params).high[0]) == 1
    assert float(env.action_space(env.default_params).high[0]) == jnp.inf
    traced = jax.jit(lambda params: env.step(KEY, env.reset(KEY, params)[1], jnp.ones(1), params))
    assert float(traced(params)[2]) == 4


def test_discrete_and_integer_actions_pass():
    for space, action in ((Discrete(3), 2), (MultiDiscrete([4, 5]), [3, 4])):
        _, steps = play(envs.wrap(Echo(space)), [action])
        assert steps[0][3] == np.sum(action)
    _, steps = play(envs.wrap(Echo(Box(0, 3, (2,), jnp.int32))), [[2, 9]])
    assert steps[0][3] == 2 + 3


def test_wrap_leaves_out_what_is_not_asked_for():
    env = envs.wrap(Tiny(), previous_action=False, start_flag=False)
    assert env.observation_space(PARAMS).shape == (1,)
    envs.check_environment(env, PARAMS)


def test_appending_to_what_is_not_flat_names_the_way_out():
    env = StartFlag(Tiny(observe=lambda t: jnp.full((2, 2), t), space=Box(0, 9, (2, 2))))
    sentence = r"'Tiny': StartFlag appends to a vector, .*; put FlattenObservation below it$"
    with pytest.raises(UsageError, match=sentence):
        env.reset(KEY, PARAMS)
    with pytest.raises(UsageError, match=sentence):
        env.observation_space(PARAMS)


def test_wrapper_passes_attributes_on_and_can_be_copied():
    env = copy.deepcopy(envs.wrap(Tiny(truncates=True)))
    assert env.truncates
    assert env.name == "Tiny"
    assert env.default_params == PARAMS
    with pytest.raises(AttributeError):
        env.nothing_like_it  # noqa: B018


def test_start_flag_follows_every_end_in_a_compiled_batch():
    env, params = envs.make("popgym/RepeatPreviousEasy")
    env = envs.wrap(env)

    @jax.jit
    def rollout(key):
        obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, 4), params)

        def step(state, key):
            actions = jax.random.randint(key, (4,), 0, 4)
            keys = jax.random.split(key, 4)
            obs, state, _, terminated, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
                keys, state, actions, params
            )
            return state, (obs, actions, terminated | truncated, info["episode_length"])

        return obs, jax.lax.scan(step, state, jax.random.split(key, 120))[1]

    first, (obs, actions, ended, length) = rollout(KEY)
    one_hot = np.eye(4)[np.asarray(actions)] * ~np.asarray(ended)[..., None]
    np.testing.assert_array_equal(first[:, -1], 1)
    np.testing.assert_array_equal(obs[..., -1], ended)
    np.testing.assert_array_equal(obs[..., 4:8], one_hot)
    assert ended.sum() == 2 * 4
    assert (length[np.asarray(ended)] == 51).all()


@pytest.mark.parametrize(
    "name",
    [
        "CartPole-v1",
        "Pendulum-v1",
        "FrozenLake-misc",  # observation Discrete
        "DeepSea-bsuite",  # its own jitted step
        "FourRooms-misc",  # its observation is int32, its space float32: flattening mends it
        "bsuite/MemoryChain",
        *(n for n in envs.names() if n.startswith("popgym/")),
    ],
)
def test_every_kind_of_environment_passes_the_check_when_wrapped(name):
    env, params = envs.make(name)
    envs.check_environment(envs.wrap(env, previous_reward=True), params)


def test_what_was_appended_can_be_taken_back_to_a_start():
    env, params = envs.make("CartPole-v1")
    vector = VectorEnv(envs.wrap(env, previous_reward=True), params, 3)
    first, state = vector.reset(jax.random.key(0))
    later = vector.step(jax.random.key(1), state, jnp.ones(3, int))[0]
    np.testing.assert_array_equal(vector.without_past(first), first)
    assert (later[:, 4:] != first[:, 4:]).any(axis=1).all()
    expected = jnp.concatenate([later[:, :4], first[:, 4:]], axis=1)
    np.testing.assert_array_equal(vector.without_past(later), expected)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("meta/BernoulliBandit", {}), ("meta/DarkRoom", {"max_steps": 4, "ends_at_goal": False})],
)
def test_an_inner_episode_can_look_like_the_first_of_its_trial(name, settings):
    env, params = envs.make(name, **settings)
    wrap = partial(envs.wrap, previous_action=True, previous_reward=True)
    vector = vectorise(env, params, wrap).with_num(8)
    first, state = vector.reset(jax.random.key(0))
    step = jax.jit(vector.step)
    for key in jax.random.split(jax.random.key(1), 4):
        obs, state, *_, info = step(key, state, vector.sample_actions(key))
    assert info["episode_done"].all()
    size = envs.spaces.encoded_size(env.observation_space(params))  # without what was appended
    assert (obs[:, 0] == 1).all()
    assert (obs[:, size:] != first[:, size:]).any(axis=1).all()
    wiped = vector.without_past(obs)
    np.testing.assert_array_equal(wiped[:, 0], first[:, 0])
    np.testing.assert_array_equal(wiped[:, 1:size], obs[:, 1:size])
    np.testing.assert_array_equal(wiped[:, size:], first[:, size:])
