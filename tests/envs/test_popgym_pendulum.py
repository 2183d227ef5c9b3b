"""PositionOnlyPendulum and its noisy kin by hand, and in lock-step with popgym 1.0.7."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control.pendulum import EnvState
from popgym import envs as popgym_envs

import envs
from envs.popgym.pendulum import NoisyPositionOnlyPendulum, PositionOnlyPendulum
from ssmrl.errors import UsageError

EPISODES = 200
KEY = jax.random.key(0)
ENVS = {
    f"PositionOnlyPendulum{level}": PositionOnlyPendulum(steps)
    for level, steps in (("Easy", 200), ("Medium", 150), ("Hard", 100))
} | {
    f"NoisyPositionOnlyPendulum{level}": NoisyPositionOnlyPendulum(noise_sigma=sigma)
    for level, sigma in (("Easy", 0.1), ("Medium", 0.2), ("Hard", 0.3))
}


def play(state, key, swings_up):
    """Return a random torque, often beyond the bounds, or one that swings up and holds."""
    angle = (state.theta + jnp.pi) % (2 * jnp.pi) - jnp.pi
    hold = -12 * angle - 3 * state.theta_dot
    torque = jnp.where(jnp.abs(angle) < 0.3, hold, 2 * jnp.sign(state.theta_dot + 1e-6))
    return jnp.where(swings_up, torque, jax.random.uniform(key, minval=-3, maxval=3)).reshape(1)


@functools.cache
def compiled(cls):
    """Return a rollout of 200 steps in one episode each: one compilation serves all levels.

    The noise has a row for ``reset`` and one for each step, and so have the observations.
    """
    env = cls()

    def episode(params, key, swings_up):
        def noise(key):
            return getattr(params, "noise_sigma", 0.0) * jax.random.normal(key, (2,))

        def step(state, key):
            action = play(state, key, swings_up)
            _, after, *signals, info = env.step(key, state, action, params)
            physics = jnp.stack([state.theta, state.theta_dot])
            noisy = noise(jax.random.split(key)[0])  # ``step`` splits its key for the reset
            return after, (physics, action, *signals, noisy, info["final_observation"])

        obs, state = env.reset(key, params)
        *steps, noises, all_obs = jax.lax.scan(step, state, jax.random.split(key, 200))[1]
        first = noise(jax.random.split(key)[1])
        return *steps, jnp.vstack([first[None], noises]), jnp.vstack([obs[None], all_obs])

    return jax.jit(jax.vmap(episode, (None, 0, 0)))


def rollout(name, swings_up):
    """Return states, actions, reward, terminated, truncated, noise and observations, cut at T.

    ``swings_up``, bool [EPISODES], says who swings up; the others play at random.
    """
    params = ENVS[name].default_params
    keys = jax.random.split(KEY, EPISODES)
    *steps, noise, obs = compiled(type(ENVS[name]))(params, keys, swings_up)
    length = params.max_steps_in_episode
    return [np.asarray(x)[:, :length] for x in steps] + [np.asarray(x) for x in (noise, obs)]


class Dice:
    """Stands in for popgym's random numbers: the start, then the noise of each observation."""

    def __init__(self, start, noise):
        self.start, self.noise = start, iter(noise)

    def uniform(self, low, high):
        return self.start.astype(np.float64)

    def normal(self, mean, sigma):
        return next(self.noise)


def lock_step(name, steps, window, atol):
    """Play the actions of ``rollout`` in popgym; compare everything that it returns.

    Every ``window`` steps popgym's physics are set to ours, in between they run on their own.
    """
    length = steps[1].shape[1]
    theirs = getattr(popgym_envs, name)()
    for states, actions, reward, terminated, truncated, noise, obs in zip(*steps, strict=True):
        theirs.np_random = Dice(states[0], noise)
        first, _ = theirs.reset()
        found = []
        for time, action in enumerate(actions):
            if time % window == 0:
                theirs.state = states[time].astype(np.float64)
            found.append(theirs.step(action)[:4])
        their_obs, their_reward, their_terminated, their_truncated = zip(*found, strict=True)
        np.testing.assert_allclose(obs[: length + 1], [first, *their_obs], rtol=0, atol=atol)
        # In the scale where one step pays -1 to 1: as exact as the physics.
        scaled = np.array(their_reward) * length
        np.testing.assert_allclose(reward * length, scaled, rtol=0, atol=atol)
        np.testing.assert_array_equal(terminated, their_terminated)
        np.testing.assert_array_equal(truncated, their_truncated)


@pytest.mark.parametrize("name", ENVS)
def test_lock_step_over_whole_episodes(name):
    """popgym gets our start and our noise, nothing else; ours runs in float64 as popgym does.

    A pendulum near the top multiplies an error by up to e^0.19 in each step, so that float32
    rounding alone would come to 0.2 over an episode of random torques. float64 hides nothing.
    """
    with jax.enable_x64(True):
        steps = rollout(name, np.zeros(EPISODES, bool))
    assert steps[0].dtype == np.float64
    lock_step(name, steps, window=1000, atol=1e-6)
    assert steps[4][:, -1].all()  # truncated


@pytest.mark.parametrize("name", ENVS)
def test_lock_step_in_float32(name):
    """As shipped, and with players who hold the pendulum at the top, where errors grow most.

    Ten steps at a time, in which rounding grows less than tenfold.
    """
    steps = rollout(name, np.arange(EPISODES) % 4 > 0)
    assert steps[0].dtype == np.float32
    lock_step(name, steps, window=10, atol=1e-4)
    assert (np.cos(steps[0][:, -1, 0]) > 0.99).mean() > 0.2  # upright at last


@pytest.mark.parametrize("name", ENVS)
def test_spaces_and_levels_are_those_of_popgym(name):
    theirs, env = getattr(popgym_envs, name)(), ENVS[name]
    params = env.default_params
    pairs = (
        (env.observation_space(params), theirs.observation_space),
        (env.action_space(params), theirs.action_space),
    )
    for space, their_space in pairs:
        low, high = (np.broadcast_to(bound, space.shape) for bound in (space.low, space.high))
        np.testing.assert_array_equal(low, their_space.low)
        np.testing.assert_array_equal(high, their_space.high)
        assert (space.shape, space.dtype) == (their_space.shape, their_space.dtype)
    assert params.max_steps_in_episode == theirs.max_episode_length
    if name.startswith("Noisy"):
        np.testing.assert_array_equal(theirs.noise_sigma, params.noise_sigma)
    envs.check_environment(env, params)


def test_start_is_uniform():
    env = PositionOnlyPendulum()
    obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 4000), env.default_params)
    start = np.stack([state.theta, state.theta_dot]) / np.array([[np.pi], [1]])
    assert np.abs(start).max() <= 1
    np.testing.assert_allclose(start.mean(axis=1), 0, atol=0.04)
    np.testing.assert_allclose(start.std(axis=1), 2 / np.sqrt(12), rtol=0.05)
    assert abs(np.corrcoef(start)[0, 1]) < 0.06
    np.testing.assert_allclose(np.arctan2(obs[:, 1], obs[:, 0]), state.theta, atol=1e-5)


@pytest.mark.parametrize(
    ("theta", "theta_dot", "torque", "reward"),
    [
        (0.0, 0.0, 0.0, 1 / 200),  # upright and at rest: nothing pays more
        (2 * np.pi, 0.0, 0.0, 1 / 200),
        (np.pi, 8.0, 2.0, -1 / 200),  # nothing pays less
        (np.pi, 8.0, -5.0, -1 / 200),  # the torque is clipped before it is paid for
        (1.0, 2.0, 1.0, (1 - 1.401 / 8.1368022) / 200),
    ],
)
def test_reward_by_hand(theta, theta_dot, torque, reward):
    env = PositionOnlyPendulum()
    state = EnvState(jnp.int32(3), jnp.float32(theta), jnp.float32(theta_dot), jnp.float32(0))
    _, _, found, *_ = env.step_env(KEY, state, jnp.full(1, torque), env.default_params)
    assert float(found) == pytest.approx(reward, abs=1e-8)


@pytest.mark.parametrize("legacy", [False, True])
def test_noise_is_on_every_observation(legacy):
    """Clipped to ±1; with ``legacy``, as in popjaxrl, it is not."""
    env = NoisyPositionOnlyPendulum(noise_sigma=0.3, legacy=legacy)
    params = env.default_params
    keys, keys_step = jax.random.split(KEY, (2, 2000))
    first, state = jax.vmap(env.reset, (0, None))(keys, params)
    step = jax.vmap(env.step, (0, 0, None, None))
    second, after, *_ = step(keys_step, state, jnp.zeros(1), params)
    noises = []
    for obs, physics in ((first, state), (second, after)):
        clean = np.stack([np.cos(physics.theta), np.sin(physics.theta)], axis=1)
        noise = (np.asarray(obs) - clean)[np.abs(clean) < 0.1]  # where clipping is rare
        assert noise.std() == pytest.approx(0.3, rel=0.15)
        assert abs(noise.mean()) < 0.08
        noises.append((np.asarray(obs) - clean)[:, 0])
        largest = np.abs(obs).max()
        assert largest > 1.3 if legacy else largest == 1
    assert abs(np.corrcoef(noises)[0, 1]) < 0.1  # fresh in every step
    assert bool(jnp.isinf(env.observation_space(params).high).all()) is legacy


@pytest.mark.parametrize("cls", [PositionOnlyPendulum, NoisyPositionOnlyPendulum])
def test_legacy_terminates_with_the_time_limit(cls):
    ends = []
    for legacy in (False, True):
        env = cls(max_steps_in_episode=7, legacy=legacy)
        params = env.default_params
        _, state = env.reset(KEY, params)
        for time in (5, 6):
            state = state.replace(time=jnp.int32(time))
            _, _, _, terminated, truncated, _ = env.step(KEY, state, jnp.ones(1), params)
            ends.append((bool(terminated), bool(truncated)))
        envs.check_environment(env, params)
    assert ends == [(False, False), (False, True), (False, False), (True, False)]


def test_impossible_settings():
    with pytest.raises(UsageError, match="max_steps_in_episode must be >= 1, not 0"):
        PositionOnlyPendulum(0)
    with pytest.raises(UsageError, match="noise_sigma must be >= 0, not -1"):
        NoisyPositionOnlyPendulum(noise_sigma=-1)


def test_render():
    env = PositionOnlyPendulum()
    state = EnvState(jnp.int32(3), jnp.float32(np.pi / 2), jnp.float32(-1), jnp.float32(0.5))
    *picture, values = env.render(state).splitlines()
    assert picture == ["", "", "", "o o o +", "", "", ""]
    assert values == (
        "[cos -0.000  sin +1.000]  angle' -1.000 rad/s  torque +0.500 N m  step 3 of 200"
    )
    upright = env.render(state.replace(theta=jnp.float32(0)), env.default_params)
    assert [row.strip() for row in upright.splitlines()[:4]] == ["o", "o", "o", "+"]
