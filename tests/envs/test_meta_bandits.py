"""Bandits: what random, perfect and classical players get, against closed forms and references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm
from trial_rollout import at_random, at_step, greedy, optimal_returns, play_trials, standard_error

import envs
from envs.meta.bandit_players import (
    play,
    random_player,
    thompson,
    thompson_bernoulli,
    thompson_gaussian,
    ucb1,
)
from envs.meta.bandits import FixedArmBandit, expected_best
from ssmrl.errors import UsageError

KEY = jax.random.key(3)
ONE_PULL = {  # name: what a random player and the best arm of ten pay in a pull, on average
    "meta/BernoulliBandit": (0.5, 10 / 11),
    "meta/FixedArmBandit": (0.05, 1.491),
    "meta/GaussianBandit": (0.0, 1.5388),
}


@pytest.mark.parametrize("name", ONE_PULL)
def test_a_pull_is_an_inner_episode(name):
    env, params = envs.make(name, num_episodes=4)
    told = play_trials(env, params, at_random(env, params), num_steps=8, copies=4000)
    assert told.episode_done.all()
    assert (told.episode == [0, 1, 2, 3] * 2).all()
    assert (told.over == [False, False, False, True] * 2).all()
    assert (told.inner_return == told.reward).all()
    assert told.reward.mean() == pytest.approx(
        ONE_PULL[name][0], abs=4 * standard_error(told.reward[:, ::4].mean(axis=1))
    )
    means = told.task.means[..., 1:]  # the fixed arm is always the same
    assert (means[:, :4] == means[:, :1]).all()
    assert (means[:, 3] != means[:, 4]).all()


@pytest.mark.parametrize("name", ONE_PULL)
def test_perfect_player_gets_the_optimal_return(name):
    env, params = envs.make(name, num_episodes=4)
    best = greedy(lambda state, task: task.means.argmax())
    told = play_trials(env, params, best, num_steps=4, copies=4000)
    optimal = optimal_returns(env, at_step(told, 0))
    gap = told.reward.mean(axis=1) - optimal
    assert gap.mean() == pytest.approx(0, abs=4 * standard_error(gap))
    assert optimal.mean() == pytest.approx(ONE_PULL[name][1], abs=4 * standard_error(optimal))


def test_expected_best():
    draws = np.random.default_rng(0).standard_normal((200_000, 10)).max(axis=1)
    assert expected_best(10) == pytest.approx(draws.mean(), abs=4 * standard_error(draws))
    assert expected_best(1) == pytest.approx(0, abs=1e-6)
    assert expected_best(2) == pytest.approx(np.pi**-0.5, abs=1e-6)


def test_fixed_arm_pays_exactly():
    env, params = envs.make("meta/FixedArmBandit", fixed_mean=0.25)
    always = greedy(lambda state, task: 0)
    assert (play_trials(env, params, always, num_steps=100, copies=4).reward == 0.25).all()
    other = play_trials(env, params, greedy(lambda state, task: 3), num_steps=100, copies=200)
    assert other.reward.std(axis=1, ddof=1).mean() == pytest.approx(0.5**0.5, abs=0.01)
    assert other.reward.mean(axis=1).std() == pytest.approx(1, abs=0.2)


def test_restless_means_walk_and_stay_standard_normal():
    env, params = envs.make("meta/RestlessBandit", num_arms=2, stay=0.9, num_pulls=21)

    def means(key):
        step = lambda state, key: (env.step(key, state, 0, params)[1], state.env_state.means)  # noqa: E731
        return jax.lax.scan(step, env.reset(key, params)[1], jax.random.split(key, 42))[1]

    seen = np.asarray(jax.jit(jax.vmap(means))(jax.random.split(KEY, 8000)))[..., 0]
    bound = 4 * (2 / 8000) ** 0.5
    np.testing.assert_allclose((seen**2).mean(axis=0), 1, atol=bound)  # at every pull
    assert (seen[:, 0] * seen[:, 5]).mean() == pytest.approx(0.9**5, abs=bound)
    assert (seen[:, 0] * seen[:, 20]).mean() == pytest.approx(0.9**20, abs=bound)
    assert (seen[:, 20] * seen[:, 21]).mean() == pytest.approx(0, abs=bound)  # the next trial


def test_restless_returns():
    env, params = envs.make("meta/RestlessBandit", num_pulls=20)
    guess = play_trials(env, params, at_random(env, params), num_steps=40, copies=500)
    assert (guess.over == ([False] * 19 + [True]) * 2).all()
    returns = guess.reward.reshape(-1, 20).sum(axis=1)
    assert returns.mean() == pytest.approx(0, abs=4 * standard_error(returns))
    best = greedy(lambda state, task: state.means.argmax())
    told = play_trials(env, params, best, num_steps=20, copies=500)
    returns = told.reward.sum(axis=1)
    optimal = float(env.env.optimal_return(params.inner))
    assert returns.mean() == pytest.approx(optimal, abs=4 * standard_error(returns))
    assert optimal == pytest.approx(20 * 1.5388, abs=1e-2)


def test_players_get_what_is_published():
    """Norman and Clune 2023, Tables 1 and "Tabulated Results"; regrets vary less than returns."""
    env, _ = envs.make("meta/FixedArmBandit")
    of_the_best = 149.1
    for player, published in ((thompson(env), 123.3), (ucb1(1, 1), 116.8), (random_player, 5.2)):
        rewards, regrets = play(env, player, KEY, num_trials=500)
        assert rewards.shape == regrets.shape == (500, 100)
        regret = np.asarray(regrets.sum(axis=1))
        expected = of_the_best - published
        assert regret.mean() == pytest.approx(expected, abs=4 * standard_error(regret))
        gap = np.asarray(rewards + regrets)  # what the best arm pays, and noise
        assert gap.sum(axis=1).mean() == pytest.approx(of_the_best, abs=10)


@pytest.mark.slow
def test_ucb1_gets_what_is_published_of_500_pulls():
    """Duan et al. 2016 ("RL²"), Table 1: 457.6 of 490.2."""
    env, _ = envs.make("meta/BernoulliBandit", num_arms=50, num_episodes=500)
    regret = np.asarray(play(env, ucb1(0.2, 2, 0.5), KEY, num_trials=1000)[1].sum(axis=1))
    assert regret.mean() == pytest.approx(500 * 50 / 51 - 457.6, abs=2)


def reference_thompson(num_arms, num_pulls, num_trials):
    """Return the regret of Thompson sampling of Bernoulli arms, slowly."""
    rng, regrets = np.random.default_rng(0), []
    for _ in range(num_trials):
        means, won, lost = rng.uniform(size=num_arms), np.ones(num_arms), np.ones(num_arms)
        regret = 0.0
        for _ in range(num_pulls):
            arm = rng.beta(won, lost).argmax()
            paid = rng.uniform() < means[arm]
            won[arm], lost[arm] = won[arm] + paid, lost[arm] + 1 - paid
            regret += means.max() - means[arm]
        regrets.append(regret)
    return np.array(regrets)


def test_thompson_of_bernoulli_arms_against_a_reference():
    expected = reference_thompson(num_arms=4, num_pulls=25, num_trials=1500)
    env, _ = envs.make("meta/BernoulliBandit", num_arms=4, num_episodes=25)
    assert thompson(env) is thompson_bernoulli
    found = np.asarray(play(env, thompson(env), KEY, num_trials=1500)[1].sum(axis=1))
    error = np.hypot(standard_error(expected), standard_error(found))
    assert found.mean() == pytest.approx(expected.mean(), abs=4 * error)


def test_thompson_of_gaussian_arms_pulls_by_the_posterior():
    player = thompson_gaussian(jnp.array([0.0, 0.5]), jnp.array([2.0, 0.0]), jnp.array([1.5, 1.0]))
    pulls, paid = jnp.array([3.0, 7.0]), jnp.array([2.0, 99.0])
    precision = 1 / 2**2 + 3 / 1.5**2
    posterior = norm(2 / 1.5**2 / precision, precision**-0.5)  # the second arm is known to pay 0.5
    arms = jax.vmap(lambda key: player(key, pulls, paid))(jax.random.split(KEY, 20_000))
    assert arms.mean() == pytest.approx(posterior.cdf(0.5), abs=4 * 0.5 / 20_000**0.5)
    sure = thompson_gaussian(0.0, 1.0, 0.0)
    assert sure(KEY, jnp.array([1.0, 2.0]), jnp.array([5.0, 20.0])) == 1


def test_ucb1_by_hand():
    player = ucb1(c=2.0)
    assert player(KEY, jnp.array([4.0, 0.0, 2.0]), jnp.array([9.0, 0.0, 9.0])) == 1
    bonus = lambda n: 2 * np.sqrt(2 * np.log(11) / n)  # noqa: E731
    assert 0.9 + bonus(8) < 0.2 + bonus(2)
    assert player(KEY, jnp.array([8.0, 2.0]), jnp.array([7.2, 0.4])) == 1
    assert ucb1(c=0.1)(KEY, jnp.array([8.0, 2.0]), jnp.array([7.2, 0.4])) == 0
    smoothed = ucb1(c=0.0, prior_pulls=2, prior_mean=0.5)
    assert smoothed(KEY, jnp.array([0.0, 3.0]), jnp.array([0.0, 2.0])) == 1  # 0.5 and 0.6


def test_render():
    env, params = envs.make("meta/BernoulliBandit", num_arms=3)
    _, state = env.reset(KEY, params)
    head, *rows = env.render(state, params).splitlines()
    assert head == "inner episode 0, step 0 of the trial"
    best = int(state.task.means.argmax())
    assert [row.endswith("best") for row in rows] == [arm == best for arm in range(3)]
    assert f"{float(state.task.means[1]):.3f}" in rows[1]
    env, params = envs.make("meta/RestlessBandit", num_arms=3)
    _, state = env.reset(KEY, params)
    assert f"{float(state.env_state.means[2]):.3f}" in env.render(state, params)


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("BernoulliBandit", {"num_arms": 0}, "num_arms must be >= 1, not 0"),
        ("BernoulliBandit", {"num_episodes": 0}, "num_episodes must be >= 1, not 0"),
        ("GaussianBandit", {"noise_sd": -1}, "noise_sd must be >= 0, not -1.0"),
        ("FixedArmBandit", {"fixed_mean": float("nan")}, "fixed_mean must be .*, not nan"),
        ("RestlessBandit", {"stay": 1.5}, "stay must be 0 to 1, not 1.5"),
        ("RestlessBandit", {"num_pulls": 0}, "num_pulls must be >= 1, not 0"),
    ],
)
def test_impossible_settings(name, settings, complaint):
    with pytest.raises(UsageError, match=f"environment '{name}': {complaint}"):
        envs.make(f"meta/{name}", **settings)


def test_thompson_refuses_other_environments():
    env, _ = envs.make("meta/RestlessBandit")
    with pytest.raises(UsageError, match="'RestlessBandit' has no Thompson sampling"):
        thompson(env)
    assert FixedArmBandit().default_params.means[0] == 0.5
