"""The adapters against the packages themselves, step by step, with the ordinary auto-reset.

Each package is optional: its tests run where it is installed.
"""

import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import suites
from envs.examine import examine

pytestmark = pytest.mark.slow

NUM_STEPS = 90
KEY = jax.random.key(5)


class Raw:
    """A suite's environment as its package has it: ``first`` and ``step`` never reset."""

    def physics(self, env):
        def step(state, key, action):
            state = env.step(state, action)
            return state.obs, state, state.reward, state.done > 0

        self.first, self.step = lambda key: _with_obs(env.reset(key), "obs"), step

    def brax(self, env_id, **settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package = importlib.import_module("brax.envs")
            self.physics(package.get_environment(env_id, **settings))

    def dmc(self, env_id):
        suite = importlib.import_module("mujoco_playground").dm_control_suite
        self.physics(suite.load(env_id, config_overrides={"impl": "jax"}))

    def craftax(self, env_id):
        package = importlib.import_module("craftax.craftax_env")
        env = package.make_craftax_env_from_name(env_id, auto_reset=False)
        params = env.default_params  # whose ten thousand steps are never reached

        def step(state, key, action):
            obs, state, reward, done, _ = env.step_env(key, state, action, params)
            return obs, state, reward, done

        self.first, self.step = lambda key: env.reset_env(key, params), step

    def xland(self, env_id, **settings):
        env, params = importlib.import_module("xminigrid").make(env_id, **settings)

        def step(state, key, action):
            state = env.step(params, state, action)
            in_time = state.last() & (state.state.step_num < params.max_steps)
            return state.observation, state, state.reward, in_time | (state.reward > 0)

        self.first = lambda key: _with_obs(env.reset(params, key), "observation")
        self.step = step

    def navix(self, env_id, observation=None, **settings):
        package = importlib.import_module("navix")
        if observation is not None:
            settings["observation_fn"] = getattr(package.observations, observation)
        env = package.make(env_id, **settings)

        def step(state, key, action):
            state = env.step(state, action)
            return state.observation, state, state.reward, state.is_termination()

        self.first = lambda key: _with_obs(env.reset(key), "observation")
        self.step = step


def _with_obs(state, name):
    return getattr(state, name), state


def ball_to_pick_up():
    """Return an XLand ruleset: a red ball, which ends the episode where it is held."""
    goals = importlib.import_module("xminigrid.core.goals")
    types = importlib.import_module("xminigrid.types")
    ball = jnp.array([3, 1], jnp.uint8)
    goal = goals.AgentHoldGoal(tile=ball).encode()
    return types.RuleSet(goal=goal, rules=jnp.zeros((1, 7), jnp.uint8), init_tiles=ball[None])


# The setting of the adapter that limits the time; the other settings go to the package too.
CASES = {
    "brax/fast": ("episode_length", 9, {}),
    "brax/inverted_pendulum": ("episode_length", 25, {"backend": "spring"}),
    "dmc/PendulumSwingup": ("episode_length", 30, {}),
    "craftax/Craftax-Classic-Symbolic-v1": ("max_timesteps", 40, {}),
    "xland/MiniGrid-Empty-5x5": ("max_steps", 20, {"max_steps": 20}),
    "xland/XLand-MiniGrid-R1-9x9": ("max_steps", 40, {"max_steps": 40}),
    "navix/Navix-Empty-Random-5x5-v0": ("max_steps", 20, {"max_steps": 20}),
    "navix/Navix-DoorKey-5x5-v0": (
        "max_steps",
        30,
        {"max_steps": 30, "observation": "symbolic_first_person"},
    ),
}
# Within that time, with random actions: a task that needs a key, and those that never do.
RARELY_TERMINATE = {
    "brax/fast",
    "dmc/PendulumSwingup",
    "craftax/Craftax-Classic-Symbolic-v1",
    "navix/Navix-DoorKey-5x5-v0",
}


def package_of(name):
    """Return the suite's module here; skips where its package is not installed."""
    module, _ = suites.SUITES[name.partition("/")[0] + "/"]
    pytest.importorskip(module.PACKAGE, reason=f"the extra {name.partition('/')[0]}")
    return module


def make(name):
    limit, steps, settings = CASES[name]
    if name.startswith("xland/XLand"):
        settings = {**settings, "ruleset": ball_to_pick_up()}
    return (*envs.make(name, **{**settings, limit: steps}), settings)


def actions_and_keys(env, params, num_envs):
    space = env.action_space(params)
    keys = jax.random.split(KEY, (NUM_STEPS, num_envs))
    actions = jax.vmap(jax.vmap(space.sample))(
        jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (0, None))(keys, 1)
    )
    return actions, keys


def play_ours(env, params, first_keys, actions, keys):
    def step(state, x):
        obs, state, reward, terminated, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
            x[1], state, x[0], params
        )
        return state, (obs, info["final_observation"], reward, terminated, truncated)

    obs, state = jax.vmap(env.reset, (0, None))(first_keys, params)
    return obs, jax.lax.scan(step, state, (actions, keys))[1]


def play_theirs(raw, limit, first_keys, actions, keys):
    """Play the package, with a reset in every step and a selection."""

    def one(carry, action, key):
        state, time = carry
        key_step, key_reset = jax.random.split(key)
        final, last, reward, terminated = raw.step(_copy(state), key_step, action)
        last = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), last, state)
        terminated, truncated = jnp.asarray(terminated, bool), time + 1 >= limit
        ended = terminated | truncated
        select = lambda new, old: jnp.where(ended, new, old)  # noqa: E731
        obs, state = jax.tree.map(select, _copy(raw.first(key_reset)), (final, last))
        values = (obs, final, jnp.asarray(reward, jnp.float32), terminated, truncated)
        return (state, jnp.where(ended, 0, time + 1)), values

    obs, state = jax.vmap(lambda key: _copy(raw.first(key)))(first_keys)
    carry = (state, jnp.zeros(len(first_keys), jnp.int32))
    return obs, jax.lax.scan(lambda c, x: jax.vmap(one)(c, *x), carry, (actions, keys))[1]


def _copy(tree):
    return jax.tree.map(jnp.asarray, tree)


@pytest.mark.parametrize("name", CASES)
def test_lock_step_with_the_package(name):
    package_of(name)
    env, params, settings = make(name)
    raw, (extra, _, env_id) = Raw(), name.partition("/")
    # In batches above 8, jax 0.10 compiles Craftax's worlds wrongly on a CPU; 0.11 does not.
    num_envs = 8 if extra == "craftax" else 12
    with jax.numpy_rank_promotion("allow"):
        getattr(raw, extra)(env_id, **settings)
        first_keys = jax.random.split(jax.random.key(1), num_envs)
        args = (first_keys, *actions_and_keys(env, params, num_envs))
        first, theirs = jax.jit(lambda *args: play_theirs(raw, CASES[name][1], *args))(*args)
    obs, ours = jax.jit(lambda *args: play_ours(env, params, *args))(*args)

    # Grids are integers; Craftax's daylight is rounded by the compiler's choice, physics add up.
    allowed = {"xland": 0, "navix": 0, "craftax": 1e-6, "brax": 1e-4, "dmc": 1e-4}[extra]
    tolerance = {"rtol": allowed, "atol": allowed}
    np.testing.assert_allclose(obs, first, **tolerance)
    for found, expected in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(found, expected, **tolerance)
    for found, expected in zip(ours[3:], theirs[3:], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert ours[4].any()
    assert ours[3].any() or name in RARELY_TERMINATE


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_at_fault(name):
    package_of(name)
    env, params, _ = make(name)
    faults = [f for f in examine(env, params, num_steps=64) if f.fault]
    assert not faults


@pytest.mark.parametrize("prefix", suites.SUITES)
def test_listed_names_are_those_of_the_package(prefix):
    listed = set(package_of(prefix).IDS)
    if prefix == "brax/":
        assert listed | {"swimmer"} == set(importlib.import_module("brax.envs")._envs)
    elif prefix == "dmc/":
        suite = importlib.import_module("mujoco_playground").dm_control_suite
        assert listed == set(suite.ALL_ENVS)
    elif prefix == "craftax/":
        make = importlib.import_module("craftax.craftax_env").make_craftax_env_from_name
        assert all(make(name, auto_reset=False) for name in listed)
    elif prefix == "xland/":
        assert listed == set(importlib.import_module("xminigrid").registered_environments())
    else:
        assert listed <= set(importlib.import_module("navix").registry())


def test_xland_draws_the_map():
    package_of("xland/")
    env, params = envs.make("xland/MiniGrid-Empty-5x5")
    _, state = env.reset(KEY, params)
    assert env.render(state, params).splitlines() == [
        "xland/MiniGrid-Empty-5x5, step 0 of 100",
        "#####",
        "#>..#",
        "#...#",
        "#..G#",
        "#####",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "craftax/Craftax-Classic-Symbolic-v1",
        "craftax/Craftax-Symbolic-v1",
        "navix/Navix-Empty-5x5-v0",
    ],
)
def test_pictures(name):
    package_of(name)
    env, params = envs.make(name)
    _, state = env.reset(KEY, params)
    drawn = env.render(state, params)
    assert (drawn.dtype, drawn.ndim, drawn.shape[-1]) == (np.uint8, 3, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 4  # colours
    moved = env.step(KEY, state, jnp.int32(0 if "navix" in name else 2), params)[1]
    assert (env.render(moved, params) != drawn).any()
