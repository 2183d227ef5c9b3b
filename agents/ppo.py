"""Recurrent PPO, all of it inside jitted programs: acting, and learning from that.

Proximal policy optimisation (Schulman et al. 2017) with a memory that is scanned in parallel
over the roll-out (Lu et al. 2023). One update is: roll out ``num_steps`` in ``num_envs``
environments; estimate advantages; for ``num_epochs`` times go through ``num_minibatches``
minibatches, each of whole sequences of some environments, replayed from the memory state that
they had when the roll-out began. Run it with ``ssmrl train`` or ``python -m agents.ppo``.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from agents import on_policy
from agents.on_policy import OnPolicyAgent, OnPolicyConfig, OnPolicyState
from ssmrl.errors import UsageError
from ssmrl.rl import ppo as losses
from ssmrl.rl.descent import descend
from ssmrl.rl.gae import generalised_advantages
from ssmrl.rl.normalise import RewardScale
from ssmrl.rl.rollout import Trajectory
from ssmrl.train.config import (
    check_above_zero,
    check_not_negative,
    check_shares,
    check_unless_none,
)
from ssmrl.train.metrics import Mean, Metrics


@dataclass(frozen=True)
class Config(OnPolicyConfig):
    """Settings of PPO; those of the paper are in configs/paper."""

    gae_lambda: float = 0.95  # decay of the advantage estimator
    clip_epsilon: float = 0.2  # how far the probability ratio may go from 1
    value_clip_epsilon: float | None = 0.2  # how far values may move, in units of return; or none
    value_coefficient: float = 0.5  # weight of the value loss
    entropy_coefficient: float = 0.01  # weight of the entropy bonus
    target_kl: float | None = None  # end an update's epochs beyond this divergence; or never
    normalise_rewards: bool = False  # by the running deviation of discounted returns

    def __post_init__(self) -> None:
        self.check_on_policy("ppo.")
        check_above_zero("ppo.", self, "clip_epsilon")
        check_unless_none("ppo.", self, "value_clip_epsilon", "target_kl")
        check_not_negative("ppo.", self, "value_coefficient", "entropy_coefficient")
        check_shares("ppo.", self, "gae_lambda")
        if self.num_envs * self.num_steps == self.num_minibatches:
            raise UsageError(
                f"ppo.num_minibatches={self.num_minibatches} leaves one step in each, from which "
                "no advantage can be told; raise ppo.num_steps or ppo.num_envs"
            )


class Hyperparameters(on_policy.Hyperparameters):
    """What people sweep."""

    gae_lambda: jax.Array
    clip_epsilon: jax.Array
    entropy_coefficient: jax.Array


class TrainState(OnPolicyState):
    """Everything that is needed to go on."""

    reward_scale: RewardScale | None


class Batch(on_policy.Batch):
    """A roll-out with what is learnt from it, [T, B]."""

    advantage: jax.Array
    target: jax.Array  # of the values


class PPO(OnPolicyAgent):
    """The agent: pure functions of a :class:`TrainState`; seeds are ``jax.vmap`` of them."""

    Config = Config
    hyperparameters = staticmethod(Hyperparameters.of)

    def init(self, key: jax.Array, hyper: Hyperparameters | None = None) -> TrainState:
        """Return the state before the first update; ``hyper`` overrides the configured numbers."""
        c = self.config
        scale = RewardScale.init(c.num_envs) if c.normalise_rewards else None
        hyper = hyper or self.hyperparameters(c)
        return TrainState(**self.begin(key), hyper=hyper, reward_scale=scale)

    def collect(self, state: TrainState) -> tuple[TrainState, Batch]:
        """Roll out and estimate advantages."""
        key, key_rollout = jax.random.split(state.key)
        state, trajectory = self.rollout(state.replace(key=key), key_rollout)
        return self.estimate_advantages(state, trajectory)

    def estimate_advantages(
        self, state: TrainState, trajectory: Trajectory
    ) -> tuple[TrainState, Batch]:
        """Add advantages and value targets [T, B]."""
        t, hyper, reward = trajectory, state.hyper, trajectory.reward
        if state.reward_scale is not None:
            scale, reward = state.reward_scale(reward, t.ended, hyper.gamma)
            state = state.replace(reward_scale=scale)
        advantage = generalised_advantages(
            reward, t.terminated, t.truncated, t.value, t.next_value, hyper.gamma, hyper.gae_lambda
        )
        return state, Batch(t, advantage, advantage + t.value)

    def learn(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        """Go through the epochs; with a target divergence, end them once it is exceeded."""
        key, key_epochs = jax.random.split(state.key)
        params, opt_state, metrics = self.descend(state, batch, key_epochs)
        explained = losses.explained_variance(batch.trajectory.value, batch.target)
        metrics["explained_variance"] = Mean.of(explained)
        state = state.replace(params=params, opt_state=opt_state, key=key)
        return self.end_update(state, batch.trajectory, metrics)

    def descend(self, state: TrainState, batch: Batch, key: jax.Array) -> tuple[Any, Any, Metrics]:
        """Return parameters and optimiser's state after the epochs, and the metrics' sums."""
        params, unravel = ravel_pytree(state.params)
        sizes, target_kl = self.step_sizes(state), self.config.target_kl

        def step(carry: tuple, minibatch: Batch) -> tuple[tuple, Metrics]:
            loss = lambda p: self.loss(unravel(p), state, minibatch)  # noqa: E731
            params, opt_state = carry
            return descend(self.optimizer, loss, params, opt_state, sizes)

        def stop(metrics: Metrics) -> jax.Array:
            kl = metrics["approximate_kl"]
            return kl.total > target_kl * kl.count

        (params, opt_state), metrics = self.run_epochs(
            step, (params, state.opt_state), batch, key, None if target_kl is None else stop
        )
        return unravel(params), opt_state, metrics

    def loss(self, params: Any, state: TrainState, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Return the loss of a minibatch of whole sequences, and what went into it."""
        hyper, t = state.hyper, batch.trajectory
        _, policy, value = self.policy.apply(
            state.replace(params=params), "scan", t.memory_state, t.obs, t.start
        )
        log_ratio = policy.log_prob(t.action) - t.log_prob
        advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std() + 1e-8)
        policy_loss = losses.clipped_surrogate_loss(log_ratio, advantage, hyper.clip_epsilon)
        value_loss = losses.clipped_value_loss(
            value, t.value, batch.target, self.config.value_clip_epsilon
        )
        entropy = policy.entropy()
        loss = (
            policy_loss.mean()
            + self.config.value_coefficient * value_loss.mean()
            - hyper.entropy_coefficient * entropy.mean()
        )
        parts = {
            "loss": loss,
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "approximate_kl": losses.approximate_kl(log_ratio),
            "clip_fraction": jnp.abs(jnp.expm1(log_ratio)) > hyper.clip_epsilon,
        }
        return loss, {name: Mean.of(part) for name, part in parts.items()}

    def learnt(self, state: TrainState) -> Any:
        """Return what has to stay finite."""
        return state.params, state.obs_moments, state.reward_scale


if __name__ == "__main__":
    import sys

    from agents.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
