"""Classical players of bandits, for comparison with agents in the very same trials.

    env, params = envs.make("meta/FixedArmBandit")
    rewards, regrets = play(env, thompson(env), jax.random.key(0), num_trials=10_000)

A player is a pure function of what it has seen, ``choose(key, pulls, paid) -> arm``: how often each
arm was pulled, and what these pulls paid in all, each float32 [num_arms].
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from envs.meta.bandits import BernoulliBandit, FixedArmBandit, GaussianBandit
from envs.meta.trial import Trial
from envs.wrappers.base import name_of
from ssmrl.errors import UsageError

Player = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def random_player(key: jax.Array, pulls: jax.Array, paid: jax.Array) -> jax.Array:
    """Return any arm."""
    return jax.random.randint(key, (), 0, pulls.size)


def thompson(env: Trial) -> Player:
    """Return Thompson sampling with the prior and the noise of the trials of ``env``.

    Of ``meta/FixedArmBandit`` it knows what the fixed arm pays, which gives the published returns.
    Raises ``UsageError`` where an inner episode is more than one pull of a bandit.
    """
    bandit = env.env
    if isinstance(bandit, BernoulliBandit):
        return thompson_bernoulli
    if not isinstance(bandit, GaussianBandit):
        raise UsageError(
            f"environment {name_of(env)!r} has no Thompson sampling: it is for bandits whose inner "
            "episodes are single pulls, such as meta/BernoulliBandit"
        )
    params = bandit.default_params
    known = (jnp.arange(bandit.num_arms) == 0) & isinstance(bandit, FixedArmBandit)
    prior_mean, prior_sd = jnp.where(known, params.means, 0.0), jnp.where(known, 0.0, 1.0)
    return thompson_gaussian(prior_mean, prior_sd, params.noise_sd)


def thompson_bernoulli(key: jax.Array, pulls: jax.Array, paid: jax.Array) -> jax.Array:
    """Return the best arm of probabilities drawn from the posterior, whose prior is uniform."""
    return jax.random.beta(key, 1 + paid, 1 + pulls - paid).argmax()


def thompson_gaussian(prior_mean: Any, prior_sd: Any, noise_sd: Any) -> Player:
    """Return a player that draws means from the posterior of normal arms and pulls the best.

    Each argument is one number or one for each arm. An arm with a ``prior_sd`` of 0 is known
    beforehand, one with a ``noise_sd`` of 0 after a pull.
    """
    variance, noise = jnp.square(prior_sd), jnp.square(noise_sd)

    def choose(key: jax.Array, pulls: jax.Array, paid: jax.Array) -> jax.Array:
        known = pulls * variance
        weight = jnp.where(known > 0, known / jnp.maximum(known + noise, 1e-30), 0.0)
        mean = prior_mean + weight * (paid / jnp.maximum(pulls, 1) - prior_mean)
        sd = jnp.sqrt(variance * (1 - weight))
        return (mean + sd * jax.random.normal(key, pulls.shape)).argmax()

    return choose


def ucb1(c: float = 1.0, prior_pulls: float = 0.0, prior_mean: float = 0.0) -> Player:
    """Return the player UCB1: pulls the arm with the greatest mean + c √(2 ln t / n) at pull t.

    n is how often an arm was pulled before; arms that never were come first (Auer et al. 2002).
    Each arm can begin as if pulled ``prior_pulls`` times, at ``prior_mean``. Published are 457.6
    for 500 pulls of 50 Bernoulli arms (Duan et al. 2016), which ``ucb1(0.2, 2, 0.5)`` gets, and
    116.8 for the fixed arm (Norman and Clune 2023), which ``ucb1(1, 1, 0)`` gets.
    """

    def choose(key: jax.Array, pulls: jax.Array, paid: jax.Array) -> jax.Array:
        n = pulls + prior_pulls
        some = jnp.maximum(n, 1e-6)
        bonus = c * jnp.sqrt(2 * jnp.log(pulls.sum() + 1) / some)
        score = (paid + prior_pulls * prior_mean) / some + bonus
        return jnp.where(n == 0, jnp.inf, score).argmax()

    return choose


@partial(jax.jit, static_argnames=("env", "player", "num_trials"))
def play(
    env: Trial, player: Player, key: jax.Array, num_trials: int
) -> tuple[jax.Array, jax.Array]:
    """Play trials of a bandit whose inner episodes are single pulls, with the default parameters.

    Returns the rewards and the regrets, each float32 [num_trials, pulls]: by how much the mean of
    the best arm exceeds that of the arm that was pulled.
    """
    params = env.default_params
    num_arms, length = env.action_space(params).n, int(params.num_episodes)

    def pull(carry: Any, key: jax.Array) -> Any:
        state, pulls, paid = carry
        key_player, key_env = jax.random.split(key)
        arm = player(key_player, pulls, paid)
        means = state.task.means
        _, state, reward, *_ = env.step(key_env, state, arm, params)
        seen = jax.nn.one_hot(arm, num_arms)
        return (state, pulls + seen, paid + reward * seen), (reward, means.max() - means[arm])

    def trial(key: jax.Array) -> Any:
        key_reset, key = jax.random.split(key)
        nothing = jnp.zeros(num_arms)
        first = (env.reset(key_reset, params)[1], nothing, nothing)
        return jax.lax.scan(pull, first, jax.random.split(key, length))[1]

    return jax.vmap(trial)(jax.random.split(key, num_trials))
