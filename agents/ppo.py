"""Recurrent PPO, all of it inside one jitted update.

Proximal policy optimisation (Schulman et al. 2017) with a memory that is scanned in parallel
over the roll-out (Lu et al. 2023). One update is: roll out ``num_steps`` in ``num_envs``
environments; estimate advantages; for ``num_epochs`` times go through ``num_minibatches``
minibatches, each of whole sequences of some environments, replayed from the memory state that
they had when the roll-out began. Run it with ``ssmrl train`` or ``python -m agents.ppo``.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.flatten_util import ravel_pytree

from agents.experiment import Experiment
from agents.parts import action_head, make_environment
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.nets.actor_critic import ActorCritic
from ssmrl.rl import ppo as losses
from ssmrl.rl.epochs import run_epochs
from ssmrl.rl.gae import generalised_advantages
from ssmrl.rl.normalise import Moments, RewardScale, normalise
from ssmrl.rl.rollout import ActorState, Trajectory, rollout
from ssmrl.train.config import check_above_zero, check_divides, check_unless_none
from ssmrl.train.metrics import Mean, Metrics


@dataclass(frozen=True)
class Config:
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
    normalise_observations: bool = False  # by running mean and deviation
    normalise_rewards: bool = False  # by the running deviation of discounted returns
    encoder_sizes: tuple[int, ...] = (128, 256)  # layers before the memory
    head_sizes: tuple[int, ...] = (128, 128)  # layers of each head after the memory
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of all layers but GRU's and MLP's

    def __post_init__(self) -> None:
        sizes = ("num_envs", "num_steps", "num_epochs", "num_minibatches")
        check_above_zero("ppo.", self, *sizes, "learning_rate", "clip_epsilon", "max_grad_norm")
        optional = ("ssm_learning_rate", "value_clip_epsilon", "target_kl")
        check_unless_none("ppo.", self, *optional)
        for name in ("encoder_sizes", "head_sizes"):
            if not all(size > 0 for size in getattr(self, name)):
                raise UsageError(f"ppo.{name} must be above 0, not {getattr(self, name)}")
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

    def __init__(self, experiment: Experiment):
        self.config: Config = experiment.ppo  # type: ignore[attr-defined]
        self.steps_per_update = self.config.num_envs * self.config.num_steps
        self.num_updates = experiment.num_updates(self.steps_per_update)
        self.env = make_environment(experiment.env).with_num(self.config.num_envs)
        self.network = ActorCritic(
            memory.make(**vars(experiment.memory)),
            action_head(self.env.action_space),
            self.config.encoder_sizes,
            self.config.head_sizes,
            jnp.dtype(self.config.compute_dtype),
        )
        self.optimizer = optax.chain(
            optax.clip_by_global_norm(self.config.max_grad_norm), optax.scale_by_adam(eps=1e-5)
        )

    def init(self, key: jax.Array, hyper: Hyperparameters | None = None) -> TrainState:
        """Return the state before the first update; ``hyper`` overrides the configured numbers."""
        c = self.config
        key, key_params, key_env = jax.random.split(key, 3)
        obs, env_state = self.env.reset(key_env)
        memory_state = self.initial_memory(c.num_envs)
        actor = ActorState(env_state, obs, jnp.ones(c.num_envs, bool), memory_state)
        params = self.network.init(key_params, memory_state, obs, actor.start, method="step")
        return TrainState(
            params=params,
            opt_state=self.optimizer.init(ravel_pytree(params)[0]),
            key=key,
            update=jnp.int32(0),
            actor=actor,
            obs_moments=Moments.of_shape(obs.shape[1:]) if c.normalise_observations else None,
            reward_scale=RewardScale.init(c.num_envs) if c.normalise_rewards else None,
            hyper=hyper or self.hyperparameters(),
        )

    def initial_memory(self, num_envs: int) -> Any:
        """Return the memory state of environments that have not begun."""
        return self.network.memory.initial_state((num_envs,))

    def learnt(self, state: TrainState) -> Any:
        """Return what has to stay finite."""
        return state.params, state.obs_moments, state.reward_scale

    def describe_minibatches(self) -> str:
        """Return what a gradient step sees, in words."""
        c = self.config
        shape = f"{c.num_steps} steps x {c.num_envs // c.num_minibatches} environments"
        return f"{shape}, {c.num_minibatches} of them in each of {c.num_epochs} epochs"

    def hyperparameters(self) -> Hyperparameters:
        """Return the configured numbers as arrays."""
        c = self.config
        ssm = c.learning_rate if c.ssm_learning_rate is None else c.ssm_learning_rate
        numbers = (c.learning_rate, ssm, c.gamma, c.gae_lambda, c.clip_epsilon)
        return Hyperparameters(*map(jnp.float32, (*numbers, c.entropy_coefficient)))

    def act(
        self, state: TrainState, memory_state: Any, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Any, jax.Array]:
        """Return the next memory state and actions [B]: the likeliest, or drawn with ``key``."""
        memory_state, policy, _ = self._apply(state, "step", memory_state, obs, start)
        return memory_state, jnp.where(greedy, policy.mode(), policy.sample(seed=key))

    def _apply(
        self,
        state: TrainState,
        method: str,
        memory_state: Any,
        obs: Any,
        start: Any,
        **prepared: Any,
    ) -> Any:
        obs = normalise(state.obs_moments, obs)
        inputs = (memory_state, obs, start)
        return self.network.apply(state.params, *inputs, method=method, **prepared)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Roll out, estimate advantages, learn; return the new state and the metrics' sums."""
        key, key_rollout, key_learn = jax.random.split(state.key, 3)
        state, trajectory = self.rollout(state, key_rollout)
        state, batch = self.estimate_advantages(state, trajectory)
        state, metrics = self.learn(state, batch, key_learn)
        if state.obs_moments is not None:  # last, since the replay must see what acting saw
            state = state.replace(obs_moments=state.obs_moments.update(trajectory.obs))
        metrics["episode_return"] = Mean.of(trajectory.episode_return, trajectory.ended)
        metrics["episode_length"] = Mean.of(trajectory.episode_length, trajectory.ended)
        return state.replace(key=key, update=state.update + 1), metrics

    def rollout(self, state: TrainState, key: jax.Array) -> tuple[TrainState, Trajectory]:
        """Act for ``num_steps``."""
        prepared: Any = self.network.apply(state.params, method="prepare")
        actor, trajectory = rollout(
            step=partial(self._apply, state, "step", **prepared),
            value=partial(self._apply, state, "value", **prepared),
            env_step=self.env.step,
            actor=state.actor,
            keys=jax.random.split(key, self.config.num_steps),
        )
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

    def learn(self, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        """Go through the epochs; with a target divergence, end them once it is exceeded."""
        c = self.config
        # One vector of all parameters: clipping and Adam are then a few kernels, not a few a leaf.
        params, unravel = ravel_pytree(state.params)
        rates = self.learning_rates(state)

        def step(carry: tuple, minibatch: Batch) -> tuple[tuple, Metrics]:
            params, opt_state = carry
            loss = jax.value_and_grad(
                lambda p: self.loss(unravel(p), state, minibatch), has_aux=True
            )
            (_, metrics), grads = loss(params)
            # Made once: XLA would gather the leaves again in each kernel that reads them.
            grads = jax.lax.optimization_barrier(grads)
            metrics["grad_norm"] = Mean.of(optax.global_norm(grads))
            updates, opt_state = self.optimizer.update(grads, opt_state, params)
            return (params - rates * updates, opt_state), metrics

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
        metrics = {k: Mean(m.total.sum(), m.count.sum()) for k, m in metrics.items()}
        explained = losses.explained_variance(batch.trajectory.value, batch.target)
        metrics["explained_variance"] = Mean.of(explained)
        return state.replace(params=unravel(params), opt_state=opt_state), metrics

    def loss(self, params: Any, state: TrainState, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Return the loss of a minibatch of whole sequences, and what went into it."""
        hyper, t = state.hyper, batch.trajectory
        _, policy, value = self._apply(
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

    def learning_rates(self, state: TrainState) -> Any:
        """Return the step size of every parameter, [P]: SSM parameters may have their own."""
        hyper = state.hyper
        anneal = self.config.anneal_learning_rate
        left = 1.0 - state.update / self.num_updates if anneal else jnp.float32(1)
        own = getattr(self.network.memory, "ssm_parameters", ())

        def rate(path: tuple, leaf: jax.Array) -> jax.Array:
            is_ssm = path[-1].key in own and any(p.key == "memory" for p in path[:-1])
            rate = hyper.ssm_learning_rate if is_ssm else hyper.learning_rate
            return jnp.full_like(leaf, left * rate)

        return ravel_pytree(jax.tree_util.tree_map_with_path(rate, state.params))[0]


Agent = PPO

if __name__ == "__main__":
    import sys

    from agents.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
