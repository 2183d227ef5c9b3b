"""The adapters of brax and MuJoCo Playground by hand, on stand-ins with the packages' ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import suites_standins as standins

import envs
from envs.examine import examine
from envs.spaces import Dict
from ssmrl.errors import UsageError

KEY = jax.random.key(3)


@pytest.fixture(autouse=True)
def _packages(monkeypatch):
    standins.install(monkeypatch, *standins.brax(), *standins.playground())


def walk(env, params, moves, key=KEY):
    """Return the first observation and the steps' values, one after the other."""
    obs, state = env.reset(key, params)
    steps = []
    for i, move in enumerate(moves):
        action = jnp.array([move, 0.0])
        step = env.step(jax.random.fold_in(key, i), state, action, params)
        steps.append(step)
        state = step[1]
    return obs, steps


def ends(steps):
    return [(bool(step[3]), bool(step[4])) for step in steps]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("brax/walker", {"episode_length": 7}),
        ("brax/sloth", {"episode_length": 9, "action_repeat": 2, "dict_obs": True}),
        ("dmc/WalkerWalk", {"episode_length": 5}),
    ],
)
def test_nothing_is_at_fault(name, settings):
    env, params = envs.make(name, **settings)
    faults = [f for f in examine(env, params, num_steps=64) if f.fault or f.remark]
    assert not faults
    assert env.name == name


def test_the_suites_done_terminates_and_the_next_episode_is_new():
    env, params = envs.make("brax/walker")
    first, steps = walk(env, params, [0.8, 0.8, 0.8, 0.1])
    end = next(i for i, step in enumerate(steps) if step[3])
    x = float(first[0]) + 0.8 * (end + 1)
    assert x > 2
    np.testing.assert_allclose(steps[end][5]["final_observation"], [x, x], rtol=1e-6)
    assert ends(steps) == [(i == end, False) for i in range(4)]
    again = steps[end][0]
    assert 0 <= again[0] < 1
    assert again[0] != first[0]
    key_reset = jax.random.split(jax.random.fold_in(KEY, end))[1]  # the other half is the step's
    np.testing.assert_array_equal(again, env.reset(key_reset, params)[0])
    assert steps[end][1].time == 0
    if end < 3:
        np.testing.assert_allclose(steps[end + 1][0], again + [0.8, 0.1][end - 1], rtol=1e-6)
    assert [float(step[2]) for step in steps] == [1.0] * 4
    assert steps[0][5]["metrics"] == {"distance": 1.0}


def test_the_episodes_length_truncates_and_may_come_with_the_end():
    env, params = envs.make("dmc/WalkerWalk", episode_length=2)
    first, steps = walk(env, params, [0.1, 0.1, 0.1])
    assert ends(steps) == [(False, False), (False, True), (False, False)]
    np.testing.assert_allclose(steps[1][5]["final_observation"], first + 0.2, rtol=1e-6)
    assert 0 <= steps[1][0][0] < 1
    _, steps = walk(env, params, [0.1, 1.9 + 0.1])
    assert ends(steps)[1] == (True, True)
    lengths = jax.vmap(lambda length: _steps_until_the_end(env, params, length))
    assert lengths(jnp.array([1, 3])).tolist() == [1, 3]  # without another compilation


def _steps_until_the_end(env, params, length):
    def step(state, key):
        _, state, _, _, truncated, _ = env.step(
            key, state, jnp.zeros(2), params.replace(episode_length=length)
        )
        return state, truncated

    keys = jax.random.split(KEY, 4)
    return 1 + jnp.argmax(jax.lax.scan(step, env.reset(KEY, params)[1], keys)[1])


def test_repeated_actions_add_up_until_the_termination():
    env, params = envs.make("brax/sloth", action_repeat=3, episode_length=7)
    first, steps = walk(env, params, [0.1, 0.1, 0.1])
    x = float(first[0]) + 0.1 * np.arange(1, 10)
    np.testing.assert_allclose([s[2] for s in steps], x.reshape(3, 3).sum(1), rtol=1e-5)
    assert ends(steps) == [(False, False), (False, False), (False, True)]  # 9 frames >= 7

    first, (step,) = walk(env, params, [1.2])  # 2.2 > 2 in the second frame at the latest
    x = float(first[0]) + 1.2 * np.arange(1, 4)
    played = 1 + int(np.argmax(x > 2))
    assert played < 3
    np.testing.assert_allclose(step[2], x[:played].sum(), rtol=1e-5)
    final = step[5]["final_observation"]
    np.testing.assert_allclose(final, [x[played - 1]] * 2, rtol=1e-5)
    assert ends([step]) == [(True, False)]


@pytest.mark.parametrize("name", ["brax/sloth", "dmc/SlothRest"])
def test_a_broken_simulation_terminates_without_spoiling_numbers(name):
    env, params = envs.make(name)
    _, steps = walk(env, params, [-1.0, 0.1])
    assert ends(steps) == [(True, False), (False, False)]
    obs, state, reward, *_, info = steps[0]
    assert (float(reward), info["final_observation"].tolist()) == (0.0, [0.0, 0.0])
    assert all(jnp.isfinite(x).all() for x in [obs, *state.leaves[:2], *steps[1][0]])


def test_observations_in_a_dictionary():
    env, params = envs.make("brax/walker", dict_obs=True)
    space = env.observation_space(params)
    assert isinstance(space, Dict)
    assert {name: part.shape for name, part in space.spaces.items()} == {"state": (2,), "far": (2,)}
    first, (step,) = walk(env, params, [0.1])
    np.testing.assert_allclose(first["far"], first["state"] * 10)
    np.testing.assert_allclose(step[5]["final_observation"]["far"], first["far"] + 1, rtol=1e-5)


def test_no_initial_state_is_used_twice():
    """Six thousand episodes of 32 environments begin in as many places, which are uniform."""
    env, params = envs.make("brax/walker", episode_length=5)

    @jax.jit
    def play(key):
        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, 32), params)

        def step(state, key):
            keys = jax.random.split(key, 32)
            step = jax.vmap(env.step, (0, 0, None, None))(keys, state, jnp.zeros(2), params)
            return step[1], (step[0][:, 0], step[4])

        return jax.lax.scan(step, state, jax.random.split(key, 1000))[1]

    x, truncated = jax.device_get(play(KEY))
    starts = x[truncated]
    assert starts.shape == (200 * 32,)
    assert len(np.unique(starts)) > 6395  # of 2**23 floats a pair or two may meet
    assert (((np.histogram(starts, 10, (0, 1))[0] - 640) ** 2) / 640).sum() < 34  # p < 1e-4


def test_settings_reach_the_suites():
    env, params = envs.make("dmc/WalkerWalk", ctrl_dt=0.5, impl="warp", episode_length=30)
    assert env._env.config == {"impl": "warp", "ctrl_dt": 0.5}
    assert params.episode_length == 30
    assert envs.make("dmc/WalkerWalk")[0]._env.config["impl"] == "jax"
    assert env.render(env.reset(KEY, params)[1], params).startswith(
        "dmc/WalkerWalk, frame 0 of 30\n["
    )


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("brax/wolker", {}, "unknown environment 'brax/wolker'; did you mean 'brax/walker'?"),
        ("dmc/Walker", {}, "unknown environment 'dmc/Walker'; did you mean 'dmc/WalkerWalk'?"),
        ("brax/walker", {"backend": "own"}, "backend must be generalized, positional, spring, mjx"),
        ("brax/walker", {"backend": "spring"}, "'brax/walker': Unsupported backend: spring."),
        ("brax/walker", {"dict_ob": 1}, "has no parameter 'dict_ob'"),
        ("brax/walker", {"dict_obs": "no"}, "dict_obs must be true or false, not 'no'"),
        ("brax/walker", {"episode_length": 0}, "episode_length must be >= 1, not 0"),
        ("dmc/WalkerWalk", {"action_repeat": 0}, "action_repeat must be >= 1, not 0"),
        ("dmc/WalkerWalk", {"impl": "c"}, "impl must be jax or warp, not 'c'"),
        ("dmc/WalkerWalk", {"ctrl": 0.1}, "'dmc/WalkerWalk': Key 'ctrl' is unknown."),
        ("dmc/WalkerWalk", {"ctrl_dt": "x"}, "field 'ctrl_dt' holds another type"),
    ],
)
def test_wrong_settings(name, settings, complaint):
    with pytest.raises(UsageError) as caught:
        envs.make(name, **settings)
    assert complaint in str(caught.value)
