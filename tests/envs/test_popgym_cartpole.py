"""POPGym's cart poles by hand, and in lock-step with popgym 1.0.7."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control.cartpole import EnvState
from popgym import envs as popgym_envs

import envs
from envs.popgym.cartpole import (
    NoisyPositionOnlyCartPole,
    PositionOnlyCartPole,
    VelocityOnlyCartPole,
)
from ssmrl.errors import UsageError

EPISODES = 200
BALANCING = 60
KEY = jax.random.key(0)
ENVS = {
    f"{cls.__name__}{level}": cls(steps)
    for cls in (PositionOnlyCartPole, VelocityOnlyCartPole)
    for level, steps in (("Easy", 200), ("Medium", 400), ("Hard", 600))
} | {
    f"NoisyPositionOnlyCartPole{level}": NoisyPositionOnlyCartPole(noise_sigma=sigma)
    for level, sigma in (("Easy", 0.1), ("Medium", 0.2), ("Hard", 0.3))
}


def physics(state):
    return jnp.stack([state.x, state.x_dot, state.theta, state.theta_dot])


@functools.cache
def compiled(cls):
    """Return a rollout of 600 steps in one environment each: one compilation serves all levels.

    The noise has a row for ``reset`` and one for each step, and so have the observations.
    """
    env = cls()

    def play(params, key, balances):
        def noise(key):
            return getattr(params, "noise_sigma", 0.0) * jax.random.normal(key, (2,))

        def step(state, key):
            lean = state.theta + 0.3 * state.theta_dot + 0.02 * state.x + 0.1 * state.x_dot
            action = jnp.where(balances, lean > 0, jax.random.bernoulli(key)).astype(jnp.int32)
            _, after, *signals, info = env.step(key, state, action, params)
            noisy = noise(jax.random.split(key)[0])  # ``step`` splits its key for the reset
            return after, (physics(state), action, *signals, noisy, info["final_observation"])

        obs, state = env.reset(key, params)
        *steps, noises, all_obs = jax.lax.scan(step, state, jax.random.split(key, 600))[1]
        first = noise(jax.random.split(key)[1])
        return *steps, jnp.vstack([first[None], noises]), jnp.vstack([obs[None], all_obs])

    return jax.jit(jax.vmap(play, (None, 0, None)))


def rollout(name, balances):
    """Return states, actions, reward, terminated, truncated, noise and observations.

    The players either all push at random or all balance; the auto-reset starts new episodes.
    """
    env = ENVS[name]
    keys = jax.random.split(KEY, EPISODES)
    out = compiled(type(env))(env.default_params, keys, balances)
    return [np.asarray(x) for x in out]


class Dice:
    """Stands in for popgym's random numbers: the start, then the noise of each observation."""

    def __init__(self, start, noise):
        self.start, self.noise = start, iter(noise)

    def uniform(self, low, high, size):
        return self.start.astype(np.float64)

    def normal(self, mean, sigma):
        return next(self.noise)


def lock_step(name, steps, window):
    """Play the actions of ``rollout`` in popgym to the end of each lane's first episode.

    Every ``window`` steps popgym's physics are set to ours, in between they run on their own.
    Returns the lengths of the episodes.
    """
    theirs = getattr(popgym_envs, name)()
    lengths = []
    for states, actions, reward, terminated, truncated, noise, obs in zip(*steps, strict=True):
        theirs.np_random = Dice(states[0], noise)
        first, _ = theirs.reset()
        found = []
        ended = False
        while not ended:
            time = len(found)
            if time % window == 0:
                theirs.state = states[time].astype(np.float64)
            found.append(theirs.step(int(actions[time]))[:4])
            ended = found[-1][2] or found[-1][3]
        length = len(found)
        their_obs, their_reward, their_terminated, their_truncated = zip(*found, strict=True)
        np.testing.assert_allclose(obs[: length + 1], [first, *their_obs], rtol=0, atol=1e-4)
        np.testing.assert_allclose(reward[:length], their_reward, rtol=1e-6)
        np.testing.assert_array_equal(terminated[:length], their_terminated)
        np.testing.assert_array_equal(truncated[:length], their_truncated)
        lengths.append(length)
    return np.array(lengths)


@pytest.mark.parametrize("name", ENVS)
def test_lock_step_over_whole_episodes(name):
    """popgym gets our start and our noise, nothing else.

    A pole near the upright multiplies an error by up to 1.08 in each step. Random pushes topple
    it before step 100, when float32 rounding comes to 1e-5.
    """
    lengths = lock_step(name, rollout(name, False), window=1000)
    assert 15 < lengths.mean() < 30
    assert lengths.max() > 50


@pytest.mark.parametrize("name", ENVS)
def test_lock_step_while_balancing(name):
    """Over 600 steps at the upright even float64 would part: 1.08^600 is 1e20.

    So popgym goes on from our physics every 50 steps.
    """
    steps = [x[:BALANCING] for x in rollout(name, True)]
    lengths = lock_step(name, steps, window=50)
    limit = ENVS[name].default_params.max_steps_in_episode
    assert (lengths == limit).sum() > BALANCING / 4
    reward, truncated = steps[2][lengths == limit], steps[4][lengths == limit]
    assert truncated[:, limit - 1].all()
    np.testing.assert_allclose(reward[:, :limit].sum(axis=1), 1, atol=1e-5)  # the perfect return


@pytest.mark.parametrize("name", ENVS)
def test_spaces_and_levels_are_those_of_popgym(name):
    theirs, env = getattr(popgym_envs, name)(), ENVS[name]
    params = env.default_params
    space, their_space = env.observation_space(params), theirs.observation_space
    np.testing.assert_allclose(space.low, their_space.low, rtol=1e-6)
    np.testing.assert_allclose(space.high, their_space.high, rtol=1e-6)
    assert (space.shape, space.dtype) == (their_space.shape, their_space.dtype)
    assert env.action_space(params).n == theirs.action_space.n
    assert params.max_steps_in_episode == theirs.max_episode_length
    if name.startswith("Noisy"):
        np.testing.assert_array_equal(theirs.noise_sigma, params.noise_sigma)
    envs.check_environment(env, params)


def test_start_is_uniform_in_a_small_box():
    env, params = envs.make("popgym/PositionOnlyCartPoleEasy")
    obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 4000), params)
    start = np.stack([state.x, state.x_dot, state.theta, state.theta_dot])
    assert np.abs(start).max() <= 0.05
    np.testing.assert_allclose(start.mean(axis=1), 0, atol=0.002)
    np.testing.assert_allclose(start.std(axis=1), 0.1 / np.sqrt(12), rtol=0.05)
    np.testing.assert_array_equal(obs, start[[0, 2]].T)


def test_noise_is_on_every_observation_and_clipped():
    name, sigma = "NoisyPositionOnlyCartPoleHard", 0.3
    before, _, _, terminated, truncated, _, obs = rollout(name, True)
    first, obs, start = obs[:, 0], obs[:, 1:], before[:, 0]
    bound = 24 * 2 * np.pi / 360
    angles = np.concatenate([obs[..., 1].ravel(), first[:, 1]])
    assert np.abs(angles).max() == pytest.approx(bound, abs=1e-6)
    clipped = np.isclose(np.abs(angles), bound, atol=1e-6).mean()
    assert 0.1 < clipped < 0.25  # P(|0.3 z| > 0.42) is 0.16 at an upright pole

    # Where no episode ends, the physics after a step are those before the next.
    going_on = ~(terminated | truncated)[:, :-1]
    noise = (obs[:, :-1, 0] - before[:, 1:, 0])[going_on]
    assert noise.std() == pytest.approx(sigma, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.06  # fresh in every step
    assert (first[:, 0] - start[:, 0]).std() == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("cls", [PositionOnlyCartPole, VelocityOnlyCartPole])
def test_what_shows_by_hand(cls):
    """The velocities only from the first step on: popgym's ``reset`` shows positions always."""
    env = cls()
    params = env.default_params
    obs, state = env.reset(KEY, params)
    np.testing.assert_array_equal(obs, [state.x, state.theta])
    obs, state, *_ = env.step(KEY, state, 1, params)
    seen = [state.x, state.theta]
    if cls is VelocityOnlyCartPole:
        seen = [state.x_dot, state.theta_dot]
        assert obs[0] > 0.1  # pushed to the right,
        assert obs[1] < -0.1  # so the pole falls to the left
    np.testing.assert_array_equal(obs, seen)


@pytest.mark.parametrize(
    ("x", "time", "popgym", "legacy"),
    [
        (0.0, 198, (False, False), (False, False)),
        (0.0, 199, (False, True), (True, False)),
        (2.39, 30, (True, False), (True, False)),
        (2.39, 199, (True, True), (True, False)),  # a fall in the last step
    ],
)
@pytest.mark.parametrize("cls", [PositionOnlyCartPole, NoisyPositionOnlyCartPole])
def test_ends_by_hand(cls, x, time, popgym, legacy):
    zero = jnp.float32(0)
    state = EnvState(
        x=jnp.float32(x), x_dot=jnp.float32(1), theta=zero, theta_dot=zero, time=jnp.int32(time)
    )
    for env, ends in ((cls(), popgym), (cls(legacy=True), legacy)):
        _, _, reward, *found, _ = env.step(KEY, state, 1, env.default_params)
        assert tuple(map(bool, found)) == ends
        assert float(reward) == pytest.approx(1 / 200)  # the step of the fall is paid, too


def test_impossible_settings():
    with pytest.raises(UsageError, match="max_steps_in_episode must be >= 1, not 0"):
        VelocityOnlyCartPole(0)
    with pytest.raises(UsageError, match="noise_sigma must be >= 0, not -1"):
        NoisyPositionOnlyCartPole(noise_sigma=-1)


def test_render():
    state = EnvState(
        x=jnp.float32(1.2),
        x_dot=jnp.float32(-0.5),
        theta=jnp.float32(-0.1),
        theta_dot=jnp.float32(0.25),
        time=jnp.int32(7),
    )
    *picture, values = PositionOnlyCartPole().render(state).splitlines()
    assert [row.index(mark) for row, mark in zip(picture, "ooo#", strict=True)] == [29, 30, 30, 31]
    assert {len(row) for row in picture} == {43}
    assert values == (
        "[x +1.200 m]  x' -0.500 m/s  [angle -0.100 rad]  angle' +0.250 rad/s  step 7 of 200"
    )
    env = VelocityOnlyCartPole(50)
    values = env.render(state, env.default_params).splitlines()[-1]
    assert values.startswith("x +1.200 m  [x' -0.500 m/s]  angle -0.100 rad  [angle' ")
    assert values.endswith("step 7 of 50")
    assert env.render(state.replace(time=0)).splitlines()[-1].startswith("[x +1.200 m]  x'")


def test_other_masses_and_lengths_are_those_of_gymnasium():
    """popgym's cart pole is gymnasium's, whose attributes are what follows from the others."""
    env, params = envs.make("popgym/PositionOnlyCartPoleEasy", masspole=0.5, length=1.0)
    theirs = popgym_envs.PositionOnlyCartPoleEasy().unwrapped
    theirs.masspole, theirs.length = 0.5, 1.0
    theirs.total_mass, theirs.polemass_length = 1.5, 0.5
    theirs.reset(seed=0)
    _, state = env.reset(KEY, params)
    theirs.state = np.asarray(physics(state), np.float64)
    for _ in range(4):
        _, state, *_ = env.step_env(KEY, state, 1, params)
        theirs.step(1)
        np.testing.assert_allclose(physics(state), theirs.state, rtol=1e-4)
    with pytest.raises(UsageError, match="has no parameter 'total_mass'"):
        envs.make("popgym/PositionOnlyCartPoleEasy", total_mass=2.0)
