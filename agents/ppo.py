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
from flax import struct
from jax.flatten_util import ravel_pytree

from agents.experiment import Experiment
from agents.parts import NetworkConfig, make_environment, make_policy
from ssmrl.errors import UsageError
from ssmrl.rl import ppo as losses
from ssmrl.rl.descent import clipped_adam, descend, step_sizes
from ssmrl.rl.epochs import run_epochs
from ssmrl.rl.gae import generalised_advantages
from ssmrl.rl.normalise import Moments, RewardScale
from ssmrl.rl.rollout import ActorState, Trajectory
from ssmrl.train.config import check_above_zero, check_divides, check_unless_none
from ssmrl.train.metrics import Mean, Metrics


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Settings of PPO; those of the paper are in configs/paper."""

    learning_rate: float = 3e-4  # step size of Adam
    ssm_learning_rate: float | None = None  # own step size of the memory's SSM parameters
    anneal_learning_rate: bool = False  # linearly to zero over the run
    num_envs: int = 64  # parallel environments
    num_steps: int = 128  # steps of each environment in a roll-out
    num_epochs: int = 4  # passes over a roll-out
    num_minibatches: int = 4  # parts of the environments in a pass
    gamma: float = 0.99  # discount
    gae_lambda: float = 0.95  # decay of the advantage estimator
    clip_epsilon: float = 0.2  # how far the probability ratio may go from 1
    value_clip_epsilon: float | None = 0.2  # how far values may move, in units of return; or none
    value_coefficient: float = 0.5  # weight of the value loss
    entropy_coefficient: float = 0.01  # weight of the entropy bonus
    max_grad_norm: float = 0.5  # gradients are scaled down to this global norm
    target_kl: float | None = None  # end an update's epochs beyond this divergence; or never
    normalise_rewards: bool = False  # by the running deviation of discounted returns

    def __post_init__(self) -> None:
        self.check_network("ppo.")
        sizes = ("num_envs", "num_steps", "num_epochs", "num_minibatches")
        check_above_zero("ppo.", self, *sizes, "learning_rate", "clip_epsilon", "max_grad_norm")
        optional = ("ssm_learning_rate", "value_clip_epsilon", "target_kl")
        check_unless_none("ppo.", self, *optional)
        for name in ("value_coefficient", "entropy_coefficient"):
            if getattr(self, name) < 0:
                raise UsageError(f"ppo.{name} must not be below 0, but is {getattr(self, name)}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"ppo.{name} must lie in 0..1, not {getattr(self, name)}")
        check_divides("ppo.num_minibatches", self.num_minibatches, "ppo.num_envs", self.num_envs)
        if self.num_envs * self.num_steps == self.num_minibatches:
            raise UsageError(
                f"ppo.num_minibatches={self.num_minibatches} leaves one step in each, from which "
                "no advantage can be told; raise ppo.num_steps or ppo.num_envs"
            )


class Hyperparameters(struct.PyTreeNode):
    """What people sweep: traced numbers, so that a batch of them can be vmapped."""

    learning_rate: jax.Array
    ssm_learning_rate: jax.Array
    gamma: jax.Array
    gae_lambda: jax.Array
    clip_epsilon: jax.Array
    entropy_coefficient: jax.Array


def hyperparameters(c: Config) -> Hyperparameters:
    """Return the numbers of a section of options that can be swept, as arrays."""
    ssm = c.learning_rate if c.ssm_learning_rate is None else c.ssm_learning_rate
    numbers = (c.learning_rate, ssm, c.gamma, c.gae_lambda, c.clip_epsilon)
    return Hyperparameters(*map(jnp.float32, (*numbers, c.entropy_coefficient)))


class TrainState(struct.PyTreeNode):
    """Everything that is needed to go on; saving it is saving the run."""

    params: Any
    opt_state: Any  # of one vector of all parameters
    key: jax.Array
    update: jax.Array  # updates so far
    actor: ActorState
    obs_moments: Moments | None
    reward_scale: RewardScale | None
    hyper: Hyperparameters


class Batch(struct.PyTreeNode):
    """A roll-out with what is learnt from it, [T, B]."""

    trajectory: Trajectory
    advantage: jax.Array
    target: jax.Array  # of the values

    def select(self, indices: jax.Array) -> "Batch":
        """Return the whole sequences of some of the environments."""
        numbers = (jnp.take(x, indices, axis=1) for x in (self.advantage, self.target))
        return Batch(self.trajectory.select(indices), *numbers)


class PPO:
    """The agent: pure functions of a :class:`TrainState`; seeds are ``jax.vmap`` of them."""

    Config = Config
    hyperparameters = staticmethod(hyperparameters)

    def __init__(self, experiment: Experiment):
        c: Config = experiment.agent_config
        self.config = c
        self.steps_per_update = c.num_envs * c.num_steps
        self.num_updates = experiment.num_updates(self.steps_per_update)
        self.env = make_environment(experiment.env).with_num(c.num_envs)
        self.policy = make_policy(experiment, self.env)
        self.network = self.policy.network
        self.optimizer = clipped_adam(c.max_grad_norm)

    def init(self, key: jax.Array, hyper: Hyperparameters | None = None) -> TrainState:
        """Return the state before the first update; ``hyper`` overrides the configured numbers."""
        c = self.config
        key, key_params, key_env = jax.random.split(key, 3)
        actor = self.policy.begin(self.env, key_env)
        params, moments = self.policy.init(key_params, actor)
        return TrainState(
            params=params,
            opt_state=self.optimizer.init(ravel_pytree(params)[0]),
            key=key,
            update=jnp.int32(0),
            actor=actor,
            obs_moments=moments,
            reward_scale=RewardScale.init(c.num_envs) if c.normalise_rewards else None,
            hyper=hyper or self.hyperparameters(c),
        )

    def initial_memory(self, num_envs: int) -> Any:
        """Return the memory state of environments that have not begun."""
        return self.policy.initial_memory(num_envs)

    def act(
        self, state: TrainState, memory_state: Any, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Any, jax.Array]:
        """Return the next memory state and actions [B]: the likeliest, or drawn with ``key``."""
        return self.policy.act(state, memory_state, obs, start, key, greedy)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Roll out, estimate advantages, learn; return the new state and the metrics' sums."""
        return self.learn(*self.collect(state))

    def collect(self, state: TrainState) -> tuple[TrainState, Batch]:
        """Roll out and estimate advantages."""
        key, key_rollout = jax.random.split(state.key)
        state, trajectory = self.rollout(state.replace(key=key), key_rollout)
        return self.estimate_advantages(state, trajectory)

    def rollout(self, state: TrainState, key: jax.Array) -> tuple[TrainState, Trajectory]:
        """Act for ``num_steps``."""
        keys = jax.random.split(key, self.config.num_steps)
        actor, trajectory = self.policy.rollout(state, self.env, state.actor, keys)
        return state.replace(actor=actor), trajectory

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
        moments, t = state.obs_moments, batch.trajectory
        if moments is not None:  # last, since the replay must see what acting saw
            moments = moments.update(t.obs)
        explained = losses.explained_variance(t.value, batch.target)
        metrics["explained_variance"] = Mean.of(explained)
        metrics["episode_return"] = Mean.of(t.episode_return, t.ended)
        metrics["episode_length"] = Mean.of(t.episode_length, t.ended)
        state = state.replace(params=params, opt_state=opt_state, obs_moments=moments, key=key)
        return state.replace(update=state.update + 1), metrics

    def descend(self, state: TrainState, batch: Batch, key: jax.Array) -> tuple[Any, Any, Metrics]:
        """Return parameters and optimiser's state after the epochs, and the metrics' sums."""
        c = self.config
        params, unravel = ravel_pytree(state.params)
        sizes = self.step_sizes(state)

        def step(carry: tuple, minibatch: Batch) -> tuple[tuple, Metrics]:
            loss = lambda p: self.loss(unravel(p), state, minibatch)  # noqa: E731
            params, opt_state = carry
            return descend(self.optimizer, loss, params, opt_state, sizes)

        def stop(metrics: Metrics) -> jax.Array:
            kl = metrics["approximate_kl"]
            return kl.total > c.target_kl * kl.count  # type: ignore[operator]

        (params, opt_state), metrics = run_epochs(
            step,
            (params, state.opt_state),
            batch.select,
            key,
            size=c.num_envs,
            num_epochs=c.num_epochs,
            num_minibatches=c.num_minibatches,
            stop=None if c.target_kl is None else stop,
        )
        sums = {name: Mean(m.total.sum(), m.count.sum()) for name, m in metrics.items()}
        return unravel(params), opt_state, sums

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

    def step_sizes(self, state: TrainState) -> jax.Array:
        """Return the step size of every parameter, [P]: SSM parameters may have their own."""
        hyper, anneal = state.hyper, self.config.anneal_learning_rate
        left = 1.0 - state.update / self.num_updates if anneal else jnp.float32(1)
        own = getattr(self.network.memory, "ssm_parameters", ())
        rates = left * hyper.learning_rate, left * hyper.ssm_learning_rate
        return step_sizes(state.params, *rates, own)

    def learnt(self, state: TrainState) -> Any:
        """Return what has to stay finite."""
        return state.params, state.obs_moments, state.reward_scale

    def describe_minibatches(self) -> str:
        """Return what a gradient step sees, in words."""
        c = self.config
        shape = f"{c.num_steps} steps x {c.num_envs // c.num_minibatches} environments"
        return f"{shape}, {c.num_minibatches} of them in each of {c.num_epochs} epochs"


if __name__ == "__main__":
    import sys

    from agents.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
