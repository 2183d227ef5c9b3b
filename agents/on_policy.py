"""What agents share that learn from each roll-out of a recurrent policy, and then forget it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
from flax import struct
from jax.flatten_util import ravel_pytree

from agents.experiment import Experiment
from agents.parts import NetworkConfig, make_environment, make_policy
from ssmrl.rl.acting import HasLearnt
from ssmrl.rl.descent import clipped_adam, step_sizes
from ssmrl.rl.epochs import run_epochs
from ssmrl.rl.normalise import Moments
from ssmrl.rl.rollout import ActorState, Trajectory
from ssmrl.train.config import (
    check_above_zero,
    check_divides,
    check_shares,
    check_unless_none,
)
from ssmrl.train.metrics import Mean, Metrics


@dataclass(frozen=True)
class OnPolicyConfig(NetworkConfig):
    """Roll-outs and gradient steps: a section of options that agents derive theirs from."""

    learning_rate: float = 3e-4  # step size of Adam
    ssm_learning_rate: float | None = None  # own step size of the memory's SSM parameters
    anneal_learning_rate: bool = False  # linearly to zero over the run
    num_envs: int = 64  # parallel environments
    num_steps: int = 128  # steps of each environment in a roll-out
    num_epochs: int = 4  # passes over a roll-out
    num_minibatches: int = 4  # parts of the environments in a pass
    gamma: float = 0.99  # discount
    max_grad_norm: float = 0.5  # gradients are scaled down to this global norm

    def check_on_policy(self, prefix: str) -> None:
        """Raise ``UsageError`` for what does not fit; ``prefix`` is the section's, "ppo."."""
        self.check_network(prefix)
        sizes = ("num_envs", "num_steps", "num_epochs", "num_minibatches")
        check_above_zero(prefix, self, *sizes, "learning_rate", "max_grad_norm")
        check_unless_none(prefix, self, "ssm_learning_rate")
        check_shares(prefix, self, "gamma")
        names = (f"{prefix}num_minibatches", f"{prefix}num_envs")
        check_divides(names[0], self.num_minibatches, names[1], self.num_envs)


class Hyperparameters(struct.PyTreeNode):
    """What people sweep: traced numbers, so that a batch of them can be vmapped."""

    learning_rate: jax.Array
    ssm_learning_rate: jax.Array
    gamma: jax.Array

    @classmethod
    def of(cls, config: OnPolicyConfig) -> Self:
        """Return the numbers of a section of options that has all of them, as arrays."""
        numbers = {f.name: getattr(config, f.name) for f in dataclasses.fields(cls)}
        if numbers["ssm_learning_rate"] is None:
            numbers["ssm_learning_rate"] = config.learning_rate
        return cls(**{name: jnp.float32(number) for name, number in numbers.items()})


class OnPolicyState(struct.PyTreeNode):
    """Everything that is needed to go on; saving it is saving the run."""

    params: Any  # what acts
    opt_state: Any  # of one vector of all parameters
    key: jax.Array
    update: jax.Array  # updates so far
    actor: ActorState
    obs_moments: Moments | None
    hyper: Any  # Hyperparameters


class Batch(struct.PyTreeNode):
    """A roll-out with what is learnt from it; leaves are [T, B, ...]."""

    trajectory: Trajectory

    def select(self, indices: jax.Array) -> Self:
        """Return the whole sequences of some of the environments."""
        rest = self.replace(trajectory=None)
        rest = jax.tree.map(lambda x: jnp.take(x, indices, axis=1), rest)
        return rest.replace(trajectory=self.trajectory.select(indices))


class OnPolicyAgent:
    """Acting by a recurrent policy, and minibatches of whole sequences.

    An agent derived from it has ``init``, which is to return an :class:`OnPolicyState` with
    numbers of its own, ``collect(state) -> state, batch``, and ``learn(state, batch) -> state,
    metrics``. All are pure functions of the state; seeds are ``jax.vmap`` of them.
    """

    collect: Callable
    learn: Callable
    make_policy = staticmethod(make_policy)

    def __init__(self, experiment: Experiment):
        c: Any = experiment.agent_config
        self.config = c
        self.steps_per_update = c.num_envs * c.num_steps
        self.num_updates = experiment.num_updates(self.steps_per_update)
        self.env = make_environment(experiment.env).with_num(c.num_envs)
        self.policy = self.make_policy(experiment, self.env)
        self.network: Any = self.policy.network
        self.optimizer = clipped_adam(c.max_grad_norm)

    def begin(self, key: jax.Array) -> dict[str, Any]:
        """Return the fields of the first state, but ``hyper``."""
        key, key_params, key_env = jax.random.split(key, 3)
        actor = self.policy.begin(self.env, key_env)
        params, moments = self.policy.init(key_params, actor)
        return {
            "params": params,
            "opt_state": self.optimizer.init(ravel_pytree(params)[0]),
            "key": key,
            "update": jnp.int32(0),
            "actor": actor,
            "obs_moments": moments,
        }

    def initial_memory(self, num_envs: int) -> Any:
        """Return the memory state of environments that have not begun."""
        return self.policy.initial_memory(num_envs)

    def act(
        self, state: HasLearnt, memory_state: Any, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Any, jax.Array]:
        """Return the next memory state and actions [B]: the likeliest, or drawn with ``key``."""
        return self.policy.act(state, memory_state, obs, start, key, greedy)

    def update(self, state: Any) -> tuple[Any, Metrics]:
        """Roll out, prepare what is learnt from, learn; return the new state and metrics' sums."""
        return self.learn(*self.collect(state))

    def rollout(self, state: Any, key: jax.Array) -> tuple[Any, Trajectory]:
        """Act for ``num_steps``."""
        keys = jax.random.split(key, self.config.num_steps)
        actor, trajectory = self.policy.rollout(state, self.env, state.actor, keys)
        return state.replace(actor=actor), trajectory

    def run_epochs(
        self, step: Callable, carry: Any, batch: Batch, key: jax.Array, stop: Callable | None = None
    ) -> tuple[Any, Metrics]:
        """Return the carry after the steps of all epochs, and the sums of their metrics."""
        c = self.config
        carry, metrics = run_epochs(
            step,
            carry,
            batch.select,
            key,
            size=c.num_envs,
            num_epochs=c.num_epochs,
            num_minibatches=c.num_minibatches,
            stop=stop,
        )
        return carry, {name: Mean(m.total.sum(), m.count.sum()) for name, m in metrics.items()}

    def end_update(self, state: Any, t: Trajectory, metrics: Metrics) -> tuple[Any, Metrics]:
        """Count the update, tell of episodes that ended, and learn the scale of observations."""
        metrics["episode_return"] = Mean.of(t.episode_return, t.ended)
        metrics["episode_length"] = Mean.of(t.episode_length, t.ended)
        if state.obs_moments is not None:  # last, since the replay must see what acting saw
            state = state.replace(obs_moments=state.obs_moments.update(t.obs))
        return state.replace(update=state.update + 1), metrics

    def step_sizes(self, state: Any) -> jax.Array:
        """Return the step size of every parameter, [P]: SSM parameters may have their own."""
        hyper, anneal = state.hyper, self.config.anneal_learning_rate
        left = 1.0 - state.update / self.num_updates if anneal else jnp.float32(1)
        own = getattr(self.network.memory, "ssm_parameters", ())
        rates = left * hyper.learning_rate, left * hyper.ssm_learning_rate
        return step_sizes(state.params, *rates, own)

    def describe_minibatches(self) -> str:
        """Return what a gradient step sees, in words."""
        c = self.config
        shape = f"{c.num_steps} steps x {c.num_envs // c.num_minibatches} environments"
        return f"{shape}, {c.num_minibatches} of them in each of {c.num_epochs} epochs"
