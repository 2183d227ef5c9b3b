"""The adapters of Craftax, XLand-MiniGrid and NAVIX by hand, on stand-ins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import suites_standins as standins
import suites_standins_grids as grids

import envs
from envs.examine import examine
from ssmrl.errors import UsageError

KEY = jax.random.key(1)
CRAFTAX, XLAND, NAVIX = (
    "craftax/Craftax-Classic-Symbolic-v1",
    "xland/MiniGrid-Row",
    "navix/Navix-Line-v0",
)


@pytest.fixture(autouse=True)
def _packages(monkeypatch):
    modules = (*grids.craftax(), *grids.xminigrid(), *grids.navix())
    standins.install(monkeypatch, *modules)


def walk(env, params, actions, key=KEY):
    """Return the first observation, and the steps' observations, final ones, rewards and ends."""
    obs, state = env.reset(key, params)
    rows = []
    for i, action in enumerate(actions):
        key_step = jax.random.fold_in(key, i)
        seen, state, reward, terminated, truncated, info = env.step(
            key_step, state, jnp.int32(action), params
        )
        final = info["final_observation"]
        rows.append((seen, final, float(reward), (bool(terminated), bool(truncated))))
    return obs, *zip(*rows, strict=True), info


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (CRAFTAX, {"max_timesteps": 9}),
        (XLAND, {}),
        (NAVIX, {"max_steps": 8}),
        (NAVIX, {"max_steps": 8, "observation": "rgb"}),
        (NAVIX, {"max_steps": 8, "observation": "categorical"}),
    ],
)
def test_nothing_is_at_fault(name, settings):
    env, params = envs.make(name, **settings)
    faults = [f for f in examine(env, params, num_steps=64) if f.fault]
    assert not faults
    assert env.name == name


def test_craftax_tells_death_from_time():
    env, params = envs.make(CRAFTAX, max_timesteps=2)
    first, obs, final, reward, flags, info = walk(env, params, [0, 0, 0])
    assert flags == ((False, False), (False, True), (False, False))
    np.testing.assert_array_equal(final[1], first)  # it stood still
    assert float(obs[1][0]) != float(first[0])  # the next world
    assert reward == (0.5, 0.5, 0.5)
    assert set(info) == {"Achievements/walk", "final_observation"}  # no discount

    for limit, both in ((3, False), (2, True)):
        env, params = envs.make(CRAFTAX, max_timesteps=limit)
        first, obs, final, _, flags, _ = walk(env, params, [1, 1])
        assert flags == ((False, False), (True, both))
        np.testing.assert_allclose(final[1], first + 2 / 4, rtol=1e-6)
        assert float(obs[1][0]) < 0.25


def test_craftax_settings():
    env, params = envs.make(CRAFTAX, size=5, max_timesteps=7)
    assert env.observation_space(params).shape == (5,)
    assert params.max_timesteps == 7
    assert env.default_params.max_timesteps == 7
    with pytest.raises(UsageError, match="has no parameter 'sizes'"):
        envs.make(CRAFTAX, sizes=5)
    name = "craftax/Craftax-Clasic-Pixels-v1"
    with pytest.raises(UsageError, match="did you mean 'craftax/Craftax-Classic-Pixels-v1'"):
        envs.make(name)


def test_xland_tells_the_goal_from_time():
    env, params = envs.make(XLAND)
    first, _, final, reward, flags, _ = walk(env, params, [1, 1])
    steps = 2 - int(first[0, 0, 0])  # to the goal
    assert flags[steps - 1] == (True, False)
    assert reward[steps - 1] == pytest.approx(1 - 0.9 * steps / 5)
    assert (final[steps - 1] == 2).all()

    env, params = envs.make(XLAND, max_steps=steps)
    assert walk(env, params, [1] * steps)[4][-1] == (True, True)
    env, params = envs.make(XLAND, max_steps=2)
    assert env.default_params.max_steps == 2
    first, _, final, reward, flags, _ = walk(env, params, [0, 0, 0])
    assert flags == ((False, False), (False, True), (False, False))
    assert sum(reward) == 0
    np.testing.assert_array_equal(final[1], first)
    env, params = envs.make(XLAND, max_steps=2, ruleset=int(first[0, 0, 0]))
    assert walk(env, params, [0])[4] == ((True, False),)


def test_xland_rulesets_may_differ_within_a_batch():
    env, params = envs.make(XLAND, max_steps=50)
    goals = jnp.array([2, 3, 2] * 5)
    axes = params.replace(ruleset=0)

    def play(params, key):
        def step(state, key):
            _, state, _, terminated, _, _ = env.step(key, state, jnp.int32(1), params)
            return state, (state.state.goal, terminated)

        return jax.lax.scan(step, env.reset(key, params)[1], jax.random.split(key, 20))[1]

    keys = jax.random.split(KEY, 15)
    played = jax.jit(jax.vmap(play, (axes, 0)))(params.replace(ruleset=goals), keys)
    found, terminated = jax.device_get(played)
    assert (found == goals[:, None]).all()  # through every reset
    assert (terminated.sum(1) >= 6).all()


def test_xland_view_and_picture():
    env, params = envs.make(XLAND, view_size=5)
    space = env.observation_space(params)
    assert (space.shape, space.dtype) == ((5, 5, 2), jnp.uint8)
    assert np.asarray(space.high)[0, 0].tolist() == [12, 11]
    obs, state = env.reset(KEY, params)
    start = int(obs[0, 0, 0])
    row = [" ", " ", "G", " "]
    row[start] = ">"
    assert env.render(state, params) == f"{XLAND}, step 0 of 5\n{''.join(row)}"
    with pytest.raises(UsageError, match="did you mean 'xland/MiniGrid-Row'"):
        envs.make("xland/MiniGrid-Rows")


def test_navix_tells_the_goal_from_time():
    env, params = envs.make(NAVIX)
    first, obs, final, reward, flags, _ = walk(env, params, [1, 1, 1])
    end = 2 - int(first[0])
    assert [flag for flag, _ in flags[: end + 1]] == [False] * end + [True]
    assert reward[end] == 1
    assert (final[end] == 3).all()
    assert obs[end][0] in (0, 1)
    env, params = envs.make(NAVIX, max_steps=2)
    assert walk(env, params, [0, 0, 0])[4] == ((False, False), (False, True), (False, False))
    env, params = envs.make(NAVIX, max_steps=end + 1)
    assert walk(env, params, [1, 1, 1])[4][end] == (True, True)


def test_navix_keeps_pictures_only_where_it_draws():
    env, params = envs.make(NAVIX)
    assert env.reset(KEY, params)[1].state.cache is None
    env, params = envs.make(NAVIX, observation="rgb")
    obs, state = env.reset(KEY, params)
    assert state.state.cache.shape == obs.shape == env.observation_space(params).shape == (99,)
    env, params = envs.make(NAVIX, observation="categorical")
    space = env.observation_space(params)
    assert (space.low, space.dtype) == (-1, jnp.int32)


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        (NAVIX, {"observation": "symbol"}, "symbolic_first_person, not 'symbol'"),
        (NAVIX, {"observation": 5}, "symbolic_first_person, not 5"),
        (NAVIX, {"max_steps": 0}, "max_steps must be >= 1, not 0"),
        (NAVIX, {"max_steps": "abc"}, "max_steps must be a number, not 'abc'"),
        (NAVIX, {"max_step": 3}, "has no parameter 'max_step'; did you mean 'max_steps'"),
        (NAVIX, {"random_start": False}, "multiple values for keyword argument 'random_start'"),
        (XLAND, {"max_steps": 0}, "max_steps must be >= 1, not 0"),
        (CRAFTAX, {"max_timesteps": -5}, "max_timesteps must be >= 1, not -5"),
        (CRAFTAX, {"size": 2.5}, "size must be whole, not 2.5"),
        (CRAFTAX, {"size": "x"}, "size must be a number, not 'x'"),
    ],
)
def test_wrong_settings(name, settings, complaint):
    with pytest.raises(UsageError) as caught:
        envs.make(name, **settings)
    assert complaint in str(caught.value)


def test_attributes_of_the_whole_craftax_grow_beyond_one():
    for name, highest in ((CRAFTAX, 1), ("craftax/Craftax-Symbolic-v1", np.inf)):
        env, params = envs.make(name)
        assert float(env.observation_space(params).high) == highest
