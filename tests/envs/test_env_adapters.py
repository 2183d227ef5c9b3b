"""Old five-value environments in the six-value contract."""

import jax
import numpy as np
import pytest
from tiny_env import Legacy, LegacyWithoutParams, LegacyWrapper, Tiny, TinyParams

import envs
from envs.adapters import LegacyGymnax, is_legacy
from envs.fixed import NoParams
from ssmrl.errors import UsageError

KEY = jax.random.key(0)


def play(env, actions, params):
    _, state = env.reset(KEY, params)
    steps = []
    for action in actions:
        obs, state, reward, terminated, truncated, info = env.step(KEY, state, action, params)
        final = float(info["final_observation"][0])
        steps.append((float(obs[0]), float(reward), bool(terminated), bool(truncated), final))
    return steps, info


def test_own_reset_splits_the_flag_and_keeps_the_final_observation():
    env = LegacyGymnax(Legacy())
    steps, info = play(env, [0, 1, 0, 0, 0, 0, 0, 1], TinyParams())
    assert steps == [
        (1, 1, False, False, 1),
        (0, 1, True, False, 2),  # action 1 ends the episode by itself
        (1, 1, False, False, 1),
        (2, 1, False, False, 2),
        (0, 1, False, True, 3),  # time ran out
        (1, 1, False, False, 1),
        (2, 1, False, False, 2),
        (0, 1, False, True, 3),  # a natural end exactly on the limit counts as truncated
    ]
    assert info["extra"] == 7


class Chancy(Legacy):
    """Observes what it draws from its key."""

    def reset_env(self, key, params):
        return jax.random.uniform(key, (1,)), super().reset_env(key, params)[1]

    def step_env(self, key, state, action, params):
        return jax.random.normal(key, (1,)), *super().step_env(key, state, action, params)[1:]


def test_step_and_reset_draw_from_halves_of_the_key():
    env = LegacyGymnax(Chancy())
    _, state = env.reset(KEY, TinyParams())
    obs, *_, info = env.step(KEY, state, 1, TinyParams())
    key_step, key_reset = jax.random.split(KEY)
    assert info["final_observation"] == jax.random.normal(key_step, (1,))
    assert obs == jax.random.uniform(key_reset, (1,))


def test_limit_comes_from_the_given_params():
    steps, _ = play(LegacyGymnax(Legacy()), [0, 0], TinyParams(max_steps_in_episode=2))
    assert [truncated for _, _, _, truncated, _ in steps] == [False, True]


def test_step_that_resets_by_itself_and_takes_no_params():
    env = LegacyGymnax(LegacyWithoutParams())
    assert env.default_params == NoParams()
    steps, _ = play(env, [0, 0, 0], env.default_params)
    assert steps == [
        (1, 1, False, False, 1),
        (0, 1, True, False, 0),  # the true last observation is out of reach
        (1, 1, False, False, 1),
    ]
    envs.check_environment(env, env.default_params)
    envs.check_environment(envs.wrap(env), env.default_params)


def test_wrapper_around_a_legacy_environment_is_not_bypassed():
    steps, _ = play(LegacyGymnax(LegacyWrapper(Legacy())), [0, 1], TinyParams())
    assert steps == [(1, 2, False, False, 1), (0, 2, True, False, 0)]


def test_adapted_environment_passes_the_check():
    env = LegacyGymnax(Legacy())
    envs.check_environment(env, env.default_params)
    envs.check_environment(envs.wrap(env), env.default_params)
    assert env.name == "Legacy"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (Legacy(), True),
        (LegacyWrapper(Legacy()), True),
        (LegacyWithoutParams(), True),
        (Tiny(), False),
    ],
)
def test_detection(env, expected):
    assert is_legacy(env, getattr(env, "default_params", None)) is expected


def test_detection_of_what_is_no_environment():
    with pytest.raises(UsageError, match="'dict' is not an environment: it has no 'reset'"):
        is_legacy({}, None)


def test_compiled_rollout_agrees_with_the_steps_by_hand():
    env, params = LegacyGymnax(Legacy()), TinyParams()
    _, state = env.reset(KEY, params)

    def step(state, action):
        obs, state, _, _, truncated, info = env.step(KEY, state, action, params)
        return state, (obs, truncated, info["final_observation"])

    actions = np.array([0, 0, 0, 0, 1])
    state = jax.tree.map(lambda x: jax.numpy.int32(x), state)
    _, (obs, truncated, final) = jax.jit(lambda s: jax.lax.scan(step, s, actions))(state)
    assert obs[:, 0].tolist() == [1, 2, 0, 1, 0]
    assert truncated.tolist() == [False, False, True, False, False]
    assert final[:, 0].tolist() == [1, 2, 3, 1, 2]
