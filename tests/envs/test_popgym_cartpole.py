"""PositionOnlyCartPole and its noisy kin by hand, and in lock-step with popgym 1.0.7."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs

import envs

BATCH = 24
KEY = jax.random.key(0)
LIMITS = {"PositionOnlyCartPoleEasy": 200, "PositionOnlyCartPoleMedium": 400}
LIMITS |= {"PositionOnlyCartPoleHard": 600, "NoisyPositionOnlyCartPoleEasy": 200}


def physics(state):
    return jnp.stack([state.x, state.x_dot, state.theta, state.theta_dot])


def rollout(name, num_steps, **settings):
    """Return the first observation, and what every step of ``BATCH`` environments saw and gave.

    One half pushes at random and falls early, the other balances until time runs out.
    """
    env, params = envs.make(f"popgym/{name}", **settings)

    def step(state, x):
        key, balances = x
        balancing = state.theta + 0.3 * state.theta_dot + 0.02 * state.x + 0.1 * state.x_dot > 0
        action = jnp.where(balances, balancing, jax.random.bernoulli(key)).astype(jnp.int32)
        _, after, *signals, info = env.step(key, state, action, params)
        return after, (physics(state), state.time, action, info["final_observation"], *signals)

    def episode(key, balances):
        obs, state = env.reset(key, params)
        keys = jax.random.split(key, num_steps)
        return obs, state, jax.lax.scan(step, state, (keys, jnp.full(num_steps, balances)))[1]

    batch = jax.jit(jax.vmap(episode))
    first, state, steps = batch(jax.random.split(KEY, BATCH), np.arange(BATCH) < BATCH // 2)
    return first, state, [np.asarray(x) for x in steps]


@pytest.mark.parametrize("name", LIMITS)
def test_lock_step_with_popgym(name):
    """Each step starts from our physics: over many, float32 and float64 would part."""
    limit = LIMITS[name]
    noiseless = {"noise_sigma": 0.0} if name.startswith("Noisy") else {}
    _, _, steps = rollout(name, limit, **noiseless)
    theirs = getattr(popgym_envs, name)()
    theirs.noise_sigma = np.zeros(2)
    theirs.reset(seed=0)
    found = []
    states, times, actions, obs, reward, terminated, truncated = steps
    for episode in range(BATCH):
        for before, time, action in zip(
            states[episode], times[episode], actions[episode], strict=True
        ):
            theirs.state, theirs.num_steps = before.astype(np.float64), int(time)
            theirs.steps_beyond_terminated = None
            found.append(theirs.step(int(action))[:4])
    their_obs, their_reward, their_terminated, their_truncated = zip(*found, strict=True)
    np.testing.assert_allclose(obs.reshape(-1, 2), their_obs, atol=1e-4)
    np.testing.assert_allclose(reward.ravel(), their_reward, rtol=1e-6)
    np.testing.assert_array_equal(terminated.ravel(), their_terminated)
    np.testing.assert_array_equal(truncated.ravel(), their_truncated)
    assert terminated.sum() > BATCH  # falls, and the episodes after them
    assert truncated[: BATCH // 2].any()  # and time-outs


def test_balancing_until_the_end_returns_one():
    _, _, (_, _, _, _, reward, terminated, truncated) = rollout("PositionOnlyCartPoleEasy", 200)
    survivors = truncated[:, -1] & ~terminated.any(axis=1)
    assert survivors.sum() >= 5
    np.testing.assert_allclose(reward[survivors].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["PositionOnlyCartPoleHard", "NoisyPositionOnlyCartPoleHard"])
def test_bounds_are_those_of_popgym(name):
    theirs = getattr(popgym_envs, name)().observation_space
    env, params = envs.make(f"popgym/{name}")
    space = env.observation_space(params)
    np.testing.assert_allclose(space.low, theirs.low, rtol=1e-6)
    np.testing.assert_allclose(space.high, theirs.high, rtol=1e-6)
    assert space.shape == theirs.shape


def test_levels():
    names = [f"popgym/NoisyPositionOnlyCartPole{level}" for level in ("Easy", "Medium", "Hard")]
    levels = [envs.make(name)[1] for name in names]
    assert [params.noise_sigma for params in levels] == [0.1, 0.2, 0.3]
    assert [params.max_steps_in_episode for params in levels] == [200] * 3


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
    first, state, (before, _, _, obs, _, terminated, truncated) = rollout(name, 200)
    bound = 24 * 2 * np.pi / 360
    angles = np.concatenate([obs[..., 1].ravel(), np.asarray(first)[:, 1]])
    assert np.abs(angles).max() == pytest.approx(bound, abs=1e-6)
    clipped = np.isclose(np.abs(angles), bound, atol=1e-6).mean()
    assert 0.1 < clipped < 0.25  # P(|0.3 z| > 0.42) is 0.16 at an upright pole

    # Where no episode ends, the physics after a step are those before the next.
    going_on = ~(terminated | truncated)[:, :-1]
    noise = (obs[:, :-1, 0] - before[:, 1:, 0])[going_on]
    assert noise.std() == pytest.approx(sigma, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.06  # fresh in every step
    first_noise = np.asarray(first)[:, 0] - np.asarray(state.x)
    assert first_noise.std() == pytest.approx(sigma, rel=0.5)
