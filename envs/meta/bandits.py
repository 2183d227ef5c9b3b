"""Bandits: arms of unknown worth, pulled many times in a trial."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment

from envs.fixed import narrow_int
from envs.meta.trial import Trial
from envs.settings import check_range
from envs.spaces import Box, Discrete


@struct.dataclass
class NoState:
    """An inner episode is one pull: there is nothing to remember of it."""


@struct.dataclass
class BernoulliParams:
    """The task."""

    means: jax.Array  # float32 [num_arms]: each arm's probability to pay 1


@struct.dataclass
class GaussianParams:
    """The task, and how noisy its arms are."""

    means: jax.Array  # float32 [num_arms]: what each arm pays on average
    noise_sd: jax.Array  # float32 [num_arms]: standard deviation of what it pays


@struct.dataclass
class WalkState:
    """Where the arms' means have walked to."""

    means: jax.Array  # float32 [num_arms]
    time: jax.Array  # integer [], the narrowest type: pulls so far


@struct.dataclass
class WalkParams:
    """What may vary without a new compilation."""

    stay: float = 0.98  # share of a mean that is left after a pull
    noise_sd: float = 1.0  # standard deviation of what an arm pays
    max_steps_in_episode: int = 200  # pulls


class _Bandit(environment.Environment):
    """Arms to choose from; the player sees a constant, and has to be shown its last reward."""

    def __init__(self, num_arms: int):
        super().__init__()
        check_range(self.name, "num_arms", num_arms, 1)
        self.num_arms = num_arms

    @property
    def num_actions(self) -> int:
        """The number of arms."""
        return self.num_arms

    def action_space(self, params: Any = None) -> Discrete:
        """Return the arm to pull."""
        return Discrete(self.num_arms)

    def observation_space(self, params: Any) -> Box:
        """Return the Box [1] of the constant 0."""
        return Box(0.0, 1.0, (1,), jnp.float32)


class _OnePull(_Bandit):
    """An inner episode is one pull, so that nothing but the task lasts from pull to pull."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, NoState]:
        """Show the constant."""
        return jnp.zeros(1), NoState()

    def step_env(
        self, key: jax.Array, state: NoState, action: jax.Array, params: Any
    ) -> tuple[jax.Array, NoState, jax.Array, jax.Array, dict[Any, Any]]:
        """Pull one arm, which ends the inner episode."""
        return jnp.zeros(1), state, self.pay(key, action, params), jnp.ones((), bool), {}

    def pay(self, key: jax.Array, arm: jax.Array, params: Any) -> jax.Array:
        """Return what a pull of ``arm`` pays: float32 []."""
        raise NotImplementedError

    def is_truncated(self, state: NoState, params: Any) -> jax.Array:
        """Return false: a pull is whole."""
        return jnp.zeros((), bool)

    def optimal_return(self, params: Any) -> jax.Array:
        """Return the best arm's mean: float32 []."""
        return params.means.max()

    def render(self, state: Any, params: Any = None) -> str:
        """Return one line per arm with its mean, of which the agent sees nothing."""
        return _drawn((self.default_params if params is None else params).means)


class BernoulliBandit(_OnePull):
    """Arms that pay 1 or nothing, with probabilities that a trial has to find out.

    The bandits of Duan et al. 2016 ("RL²"): probabilities uniform in [0, 1), drawn for each trial.
    Observation: float32 [1], always 0; what the last pull was and paid comes from the previous
    action and reward, which a config appends (``previous_action``, ``previous_reward``). Action: an
    arm. Reward: 1 with the arm's probability, else 0. An inner episode is one pull. Who knows the
    task pulls the best arm, which pays K / (K + 1) on average for K arms; a random player 0.5.

    Args:
        num_arms: K, at least 1.

    Raises ``UsageError`` for less.
    """

    def __init__(self, num_arms: int = 10):
        super().__init__(num_arms)

    @property
    def default_params(self) -> BernoulliParams:
        """Arms that pay with probabilities from 0 to 1."""
        return BernoulliParams(jnp.linspace(0.0, 1.0, self.num_arms))

    def draw_task(self, key: jax.Array, params: BernoulliParams) -> BernoulliParams:
        """Draw every arm's probability."""
        return BernoulliParams(jax.random.uniform(key, (self.num_arms,)))

    def pay(self, key: jax.Array, arm: jax.Array, params: BernoulliParams) -> jax.Array:
        """Return 1 with the arm's probability, else 0."""
        return (jax.random.uniform(key) < params.means[arm]).astype(jnp.float32)


class GaussianBandit(_OnePull):
    """Arms that pay normally distributed numbers, with means that a trial has to find out.

    The ten-armed test bed of Sutton and Barto (2018, section 2.3): means from N(0, 1), drawn for
    each trial, noise of variance 1. Observation, action and inner episodes are those of
    ``BernoulliBandit``. Reward: N(mean, noise_sd²). The best of ten arms pays 1.54 on average, a
    random player 0.

    Args:
        num_arms: at least 1.
        noise_sd: standard deviation of the noise, at least 0.

    Raises ``UsageError`` for less.
    """

    def __init__(self, num_arms: int = 10, noise_sd: float = 1.0):
        super().__init__(num_arms)
        check_range(self.name, "noise_sd", noise_sd, 0)
        self._noise_sd = noise_sd

    @property
    def default_params(self) -> GaussianParams:
        """Arms with means from -1 to 1."""
        noise_sd = jnp.full(self.num_arms, self._noise_sd, jnp.float32)
        return GaussianParams(jnp.linspace(-1.0, 1.0, self.num_arms), noise_sd)

    def draw_task(self, key: jax.Array, params: GaussianParams) -> GaussianParams:
        """Draw every arm's mean."""
        return dataclasses.replace(params, means=jax.random.normal(key, (self.num_arms,)))

    def pay(self, key: jax.Array, arm: jax.Array, params: GaussianParams) -> jax.Array:
        """Return the arm's mean with noise."""
        return params.means[arm] + params.noise_sd[arm] * jax.random.normal(key)


class FixedArmBandit(GaussianBandit):
    """A ``GaussianBandit`` whose first arm always pays the same, so that looking elsewhere costs.

    The bandits with one fixed arm of Norman and Clune 2023 ("First-Explore"): arm 0 pays exactly
    ``fixed_mean``; the means of the other arms are from N(0, 1), their noise has variance 1/2 (the
    paper's; its code has a standard deviation of 0.5). With a fixed mean of 0.5 a player that
    cannot yet make use of what it finds does best by never leaving arm 0, and learns nothing there;
    0 is the case without this trap. In 100 pulls of 10 arms, a fixed mean of 0.5 / 0: published are
    127.7 / 128.4 (First-Explore), 123.3 / 122.7 (Thompson sampling), 116.8 / 116.1 (UCB1), 56.1 /
    117.9 (RL²); who knows the task gets 149 / 149.

    Args:
        num_arms: at least 1.
        fixed_mean: what arm 0 pays.
        noise_sd: standard deviation of the other arms' noise, at least 0.

    Raises ``UsageError`` for less, and for a ``fixed_mean`` that is not finite.
    """

    def __init__(self, num_arms: int = 10, fixed_mean: float = 0.5, noise_sd: float = 0.5**0.5):
        super().__init__(num_arms, noise_sd)
        check_range(self.name, "fixed_mean", fixed_mean, -math.inf, math.inf)
        self._fixed_mean = fixed_mean

    @property
    def default_params(self) -> GaussianParams:
        """The fixed arm, and others with means from -1 to 1."""
        params = super().default_params
        return GaussianParams(
            params.means.at[0].set(self._fixed_mean), params.noise_sd.at[0].set(0.0)
        )

    def draw_task(self, key: jax.Array, params: GaussianParams) -> GaussianParams:
        """Draw the mean of every arm but the first."""
        drawn = super().draw_task(key, params)
        return dataclasses.replace(drawn, means=drawn.means.at[0].set(params.means[0]))


class RestlessBandit(_Bandit):
    """A bandit whose means walk while it is played, so that no arm stays the best for long.

    Before each pull but the first every mean moves from μ to ρ μ + (1 - ρ²)^½ ε, where ε is from
    N(0, 1) and ρ = ``stay``: the decaying random walk of Daw et al. 2006, scaled so that means are
    from N(0, 1) at every pull. A ρ of 1 is ``GaussianBandit``; after -1 / ln ρ pulls, 50 by
    default, the arms have forgotten most of what they were. All arms walk, pulled or not.

    Since the walk must last from pull to pull, an inner episode is the whole trial: curves are by
    step. Observation: float32 [1], always 0. Action: an arm. Reward: N(mean, noise_sd²). Who sees
    the means gets 1.54 a pull from ten arms, a random player 0.

    Args:
        num_arms: at least 1.
        stay: ρ, from 0 to 1.
        noise_sd: standard deviation of the noise, at least 0.
        num_pulls: at least 1.

    Raises ``UsageError`` for other values.
    """

    def __init__(
        self,
        num_arms: int = 10,
        stay: float = 0.98,
        noise_sd: float = 1.0,
        num_pulls: int = 200,
    ):
        super().__init__(num_arms)
        check_range(self.name, "stay", stay, 0, 1)
        check_range(self.name, "noise_sd", noise_sd, 0)
        check_range(self.name, "num_pulls", num_pulls, 1)
        self._params = WalkParams(stay, noise_sd, num_pulls)

    @property
    def default_params(self) -> WalkParams:
        """The constructor's walk, noise and pulls."""
        return self._params

    def reset_env(self, key: jax.Array, params: WalkParams) -> tuple[jax.Array, WalkState]:
        """Draw the means at the first pull."""
        time = jnp.zeros((), narrow_int(self._params.max_steps_in_episode))
        return jnp.zeros(1), WalkState(jax.random.normal(key, (self.num_arms,)), time)

    def step_env(
        self, key: jax.Array, state: WalkState, action: jax.Array, params: WalkParams
    ) -> tuple[jax.Array, WalkState, jax.Array, jax.Array, dict[Any, Any]]:
        """Pull one arm; then all of them walk."""
        key_pay, key_walk = jax.random.split(key)
        reward = state.means[action] + params.noise_sd * jax.random.normal(key_pay)
        move = jnp.sqrt(1 - jnp.square(params.stay)) * jax.random.normal(key_walk, (self.num_arms,))
        state = WalkState(params.stay * state.means + move, state.time + 1)
        return jnp.zeros(1), state, reward, state.time >= params.max_steps_in_episode, {}

    def is_truncated(self, state: WalkState, params: WalkParams) -> jax.Array:
        """Return false: the last pull ends the episode."""
        return jnp.zeros((), bool)

    def optimal_return(self, params: WalkParams) -> jax.Array:
        """Return what a player that sees the means can expect: float32 []."""
        return jnp.float32(expected_best(self.num_arms) * params.max_steps_in_episode)

    def render(self, state: WalkState, params: WalkParams | None = None) -> str:
        """Return one line per arm with its mean at this pull."""
        return _drawn(state.means)


def expected_best(num_arms: int) -> float:
    """Return the mean of the greatest of ``num_arms`` independent numbers from N(0, 1)."""
    x = np.linspace(-10.0, 10.0, 20_001)
    below = np.array([0.5 * math.erfc(-v / 2**0.5) for v in x]) ** num_arms
    return float(x[-1] - np.trapezoid(below, x))


def _drawn(means: jax.Array) -> str:
    best = int(means.argmax())
    rows = [f"{arm:3d}  {mean:6.3f}" for arm, mean in enumerate(means.tolist())]
    return "\n".join(row + " best" * (arm == best) for arm, row in enumerate(rows))


def bernoulli_bandit(num_arms: int = 10, num_episodes: int = 200) -> Trial:
    """Return trials of ``num_episodes`` pulls of a ``BernoulliBandit``."""
    return _trial(BernoulliBandit(num_arms), num_episodes)


def gaussian_bandit(num_arms: int = 10, noise_sd: float = 1.0, num_episodes: int = 200) -> Trial:
    """Return trials of ``num_episodes`` pulls of a ``GaussianBandit``."""
    return _trial(GaussianBandit(num_arms, noise_sd), num_episodes)


def fixed_arm_bandit(
    num_arms: int = 10,
    fixed_mean: float = 0.5,
    noise_sd: float = 0.5**0.5,
    num_episodes: int = 100,
) -> Trial:
    """Return trials of ``num_episodes`` pulls of a ``FixedArmBandit``."""
    return _trial(FixedArmBandit(num_arms, fixed_mean, noise_sd), num_episodes)


def restless_bandit(
    num_arms: int = 10, stay: float = 0.98, noise_sd: float = 1.0, num_pulls: int = 200
) -> Trial:
    """Return trials of one inner episode of a ``RestlessBandit``."""
    return _trial(RestlessBandit(num_arms, stay, noise_sd, num_pulls), 1)


def _trial(env: Any, num_episodes: int) -> Trial:
    return Trial(env, env.default_params, num_episodes)


FACTORIES: dict[str, Callable[..., Any]] = {
    "meta/BernoulliBandit": bernoulli_bandit,
    "meta/FixedArmBandit": fixed_arm_bandit,
    "meta/GaussianBandit": gaussian_bandit,
    "meta/RestlessBandit": restless_bandit,
}
