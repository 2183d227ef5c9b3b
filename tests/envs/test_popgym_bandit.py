"""MultiarmedBandit by hand, by its known law, and in lock-step with popgym 1.0.7."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs

import envs
from envs.popgym.multiarmed_bandit import EnvState, MultiarmedBandit
from ssmrl.errors import UsageError

EPISODES = 200
KEY = jax.random.key(0)
ENVS = {
    "MultiarmedBanditEasy": MultiarmedBandit(10, 200),
    "MultiarmedBanditMedium": MultiarmedBandit(20, 400),
    "MultiarmedBanditHard": MultiarmedBandit(30, 600),
}


@functools.cache
def compiled(name):
    """Return a rollout of T steps in each of 200 environments."""
    env = ENVS[name]
    params = env.default_params

    def play(key, knows_best):
        def step(state, key):
            arm = jax.random.randint(key, (), 0, env.num_bandits)
            arm = jnp.where(knows_best, state.payouts.argmax(), arm)
            # ``step`` splits its key for the reset.
            chance = jax.random.uniform(jax.random.split(key)[0])
            _, state, *signals, info = env.step(key, state, arm, params)
            return state, (arm, chance, info["final_observation"], *signals)

        obs, state = env.reset(key, params)
        after, steps = jax.lax.scan(step, state, jax.random.split(key, env._max_steps))
        return state.payouts, after.payouts, obs, *steps

    return jax.jit(jax.vmap(play, (0, None)))


def rollout(name, knows_best):
    """Return payouts, the next episode's, first observation, arms, chances and what steps gave."""
    out = compiled(name)(jax.random.split(KEY, EPISODES), knows_best)
    return [np.asarray(x) for x in out]


class Dice:
    """Stands in for popgym's random numbers: the payouts, then the chance of each pull."""

    def __init__(self, payouts, chances):
        self.payouts, self.chances = payouts, iter(chances)

    def random(self, size=None, dtype=None):
        return next(self.chances) if size is None else self.payouts


@pytest.mark.parametrize("knows_best", [False, True])
@pytest.mark.parametrize("name", ENVS)
def test_lock_step_with_popgym(name, knows_best):
    payouts, _, first, *steps = rollout(name, knows_best)
    theirs = getattr(popgym_envs, name)()
    for episode in range(EPISODES):
        arms, chances, obs, reward, terminated, truncated = (x[episode] for x in steps)
        theirs.np_random = Dice(payouts[episode], chances)
        assert theirs.reset()[0] == first[episode]
        found = [theirs.step(arm)[:4] for arm in arms]
        their_obs, their_reward, their_terminated, their_truncated = zip(*found, strict=True)
        np.testing.assert_array_equal(obs, their_obs)
        np.testing.assert_allclose(reward, their_reward, rtol=1e-6)
        np.testing.assert_array_equal(terminated, their_terminated)
        np.testing.assert_array_equal(truncated, their_truncated)
        assert truncated[-1]


@pytest.mark.parametrize(("name", "expected"), zip(ENVS, (0.82, 0.90, 0.94), strict=True))
def test_knowing_the_best_arm_earns_what_the_docstring_says(name, expected):
    """The largest of K uniform numbers is K / (K + 1) on average; a pull pays 2p - 1."""
    arms = ENVS[name].num_bandits
    assert 2 * arms / (arms + 1) - 1 == pytest.approx(expected, abs=0.005)
    reward = rollout(name, True)[6]
    assert reward.sum(axis=1).mean() == pytest.approx(expected, abs=0.04)  # 3 standard errors
    reward = rollout(name, False)[6]
    assert reward.sum(axis=1).mean() == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("name", ENVS)
def test_spaces_and_levels_are_those_of_popgym(name):
    theirs, env = getattr(popgym_envs, name)(), ENVS[name]
    params = env.default_params
    assert env.observation_space(params).n == theirs.observation_space.n
    assert env.action_space(params).n == theirs.action_space.n == env.num_actions
    assert params.max_steps_in_episode == theirs.max_episode_length
    envs.check_environment(env, params)


def test_payouts_are_uniform_and_new_in_every_episode():
    """Chi-square over ten bins: 9 degrees of freedom, p(> 34) < 1e-4."""
    payouts, after, *_ = rollout("MultiarmedBanditHard", False)
    for drawn in (payouts, after):
        assert drawn.min() >= 0
        assert drawn.max() < 1
        expected = drawn.size / 10
        counts = np.histogram(drawn, bins=10, range=(0, 1))[0]
        assert ((counts - expected) ** 2 / expected).sum() < 34
    together = np.corrcoef(payouts.ravel(), after.ravel())[0, 1]
    neighbours = np.corrcoef(payouts[:, 1:].ravel(), payouts[:, :-1].ravel())[0, 1]
    assert abs(together) < 0.05
    assert abs(neighbours) < 0.05


@pytest.mark.parametrize("legacy", [False, True])
def test_arms_pay_with_their_probability(legacy):
    """As in popjaxrl with ``legacy``: one float to see, and the last step terminates."""
    env = MultiarmedBandit(3, 8, legacy=legacy)
    params = env.default_params
    state = EnvState(payouts=jnp.array([0.0, 1.0, 0.25]), time=jnp.int32(7))
    step = jax.jit(jax.vmap(env.step_env, (0, None, None, None)))
    keys = jax.random.split(KEY, 4000)
    for arm, share in ((0, 0), (1, 1), (2, 0.25)):
        obs, after, reward, terminated, _ = step(keys, state, arm, params)
        paid = np.asarray(obs).reshape(4000)
        assert obs.shape == ((4000, 1) if legacy else (4000,))
        assert obs.dtype == (jnp.float32 if legacy else jnp.int32)
        assert paid.mean() == pytest.approx(share, abs=0.03)
        np.testing.assert_array_equal(reward, np.where(paid, 1 / 8, -1 / 8))
        assert (after.time == 8).all()
        assert terminated.all() == terminated.any() == legacy
        assert bool(env.is_truncated(jax.tree.map(lambda x: x[0], after), params)) is not legacy
    assert env.observation_space(params).shape == obs.shape[1:]
    envs.check_environment(env, params)


def test_impossible_settings():
    with pytest.raises(UsageError, match="'MultiarmedBandit': num_bandits must be >= 1, not 0"):
        MultiarmedBandit(num_bandits=0)
    with pytest.raises(UsageError, match="max_steps_in_episode must be >= 1, not -5"):
        MultiarmedBandit(max_steps_in_episode=-5)


def test_render():
    state = EnvState(payouts=jnp.array([0.25, 0.0, 0.5]), time=jnp.int32(3))
    assert MultiarmedBandit(3).render(state).splitlines() == [
        "  0 |=====               | 0.250",
        "  1 |                    | 0.000",
        "  2 |==========          | 0.500 best",
        "step 3 of 200",
    ]
