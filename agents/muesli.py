"""Muesli on fresh roll-outs, with a model of one step (Hessel et al. 2021; Lu et al. 2023).

Two networks of one shape: ``params``, the prior, acts; ``online`` learns; after each gradient step
the prior goes a part ``target_rate`` of the way to it. One update of both, by the prior alone:

    roll out a_t ~ prior(s_t); q(s, a) = r(s, a) + gamma v(s, a) by the model, for all actions or
    for ``num_samples`` drawn from the prior; v(s) = sum_a prior(a | s) q(s, a)
    G_t = Retrace(lambda) of q and v: the target of values

and then, in each gradient step on whole sequences of some environments:

    sigma^2 = fading mean of (G - v)^2, free of bias
    pi_CMPO(a | s) = prior(a | s) exp(clip((q - v) / sigma, -c, c)) / z
    loss = - min(1, pi / prior) (G - v) / sigma log pi(a_t | s_t)          policy gradient
           + cmpo_coefficient KL(pi_CMPO(s_t), pi(s_t))                    regulariser
           + auxiliary_coefficient KL(pi_CMPO(s_t+1), pi_model(s_t, a_t))  the model's policy
           + value_coefficient (CE(G_t, v(s_t)) + CE(G_t+1, v_model(s_t, a_t)))
           + reward_coefficient CE(r_t, r_model(s_t, a_t))

Values and rewards are distributions over bins of their signed root. After a termination the
model's value is 0; where an episode was cut off, or the roll-out ends, it is the prior's value of
what was seen last. Since the prior acts, Retrace cuts nothing but episodes.

Of Hessel et al. there is no replay, no unrolling beyond one step and no beta-leave-one-out term;
prior, q and G are those of the moment of acting in all epochs on a roll-out.
Run it with ``ssmrl train --agent muesli`` or ``python -m agents.muesli``.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from agents import on_policy
from agents.on_policy import OnPolicyAgent, OnPolicyConfig, OnPolicyState
from envs import spaces
from ssmrl.errors import UsageError
from ssmrl.nets.muesli import MuesliNetwork
from ssmrl.rl import cmpo, two_hot
from ssmrl.rl.descent import descend
from ssmrl.rl.normalise import FadingScale
from ssmrl.rl.ppo import approximate_kl, explained_variance
from ssmrl.rl.retrace import retrace_returns
from ssmrl.rl.rollout import Trajectory
from ssmrl.train.config import check_above_zero, check_not_negative, check_shares
from ssmrl.train.metrics import Mean, Metrics


@dataclass(frozen=True)
class Config(OnPolicyConfig):
    """Settings of Muesli; weights and rates are those of Lu et al. 2023, or else of Muesli's."""

    num_epochs: int = 1  # passes over a roll-out
    gamma: float = 0.995  # discount
    retrace_lambda: float = 0.95  # decay of the value targets' traces
    target_rate: float = 0.1  # how far the prior follows in a gradient step
    cmpo_clip: float = 1.0  # most that an advantage counts, in deviations
    cmpo_coefficient: float = 1.0  # weight of the divergence from CMPO's policy
    auxiliary_coefficient: float = 3.0  # weight of the model's policy
    value_coefficient: float = 1.0  # weight of each of both values; Hessel et al. have 0.25
    reward_coefficient: float = 1.0  # weight of the model's reward
    num_samples: int = 16  # actions drawn where there are not one of a few
    num_bins: int = 601  # of values and of rewards
    largest_bin: float = 300.0  # centre of the last, a signed root: 300 stands for 58,000

    def __post_init__(self) -> None:
        self.check_on_policy("muesli.")
        check_above_zero("muesli.", self, "cmpo_clip", "largest_bin", "num_samples")
        check_shares("muesli.", self, "retrace_lambda", "target_rate")
        if self.num_bins % 2 == 0 or self.num_bins < 3:  # the middle one is 0
            raise UsageError(
                f"muesli.num_bins must be odd and at least 3, but is {self.num_bins}; "
                f"{max(3, self.num_bins + 1)} is"
            )
        weights = ("cmpo", "auxiliary", "value", "reward")
        check_not_negative("muesli.", self, *(f"{name}_coefficient" for name in weights))

    def make_network(self, action_size: int, **parts: Any) -> MuesliNetwork:
        """Return a network with a model."""
        bins: dict[str, Any] = {"num_bins": self.num_bins, "largest_bin": self.largest_bin}
        return MuesliNetwork(action_size=action_size, **bins, **parts)


class Hyperparameters(on_policy.Hyperparameters):
    """What people sweep."""

    retrace_lambda: jax.Array
    target_rate: jax.Array
    cmpo_clip: jax.Array
    cmpo_coefficient: jax.Array
    auxiliary_coefficient: jax.Array
    value_coefficient: jax.Array
    reward_coefficient: jax.Array


class TrainState(OnPolicyState):
    """Everything that is needed to go on; ``params`` are the prior's."""

    online: Any  # parameters that learn
    scale: FadingScale  # of advantages


class Batch(on_policy.Batch):
    """A roll-out with what the prior tells of it, [T, B]; N actions are looked at in each state."""

    target: jax.Array  # of the values
    target_after: jax.Array  # of the values after the actions
    advantage: jax.Array  # of the actions, by the targets
    actions: jax.Array | None  # [T, B, N, ...], drawn from the prior; or None: all there are
    prior_log_prob: jax.Array | None  # of all actions, [T, B, N]; or None: they were drawn
    model_advantage: jax.Array  # of the actions looked at, by the model: [T, B, N]


class Muesli(OnPolicyAgent):
    """The agent: pure functions of a :class:`TrainState`; seeds are ``jax.vmap`` of them."""

    Config = Config
    hyperparameters = staticmethod(Hyperparameters.of)

    def init(self, key: jax.Array, hyper: Hyperparameters | None = None) -> TrainState:
        """Return the state before the first update; ``hyper`` overrides the configured numbers."""
        shared = self.begin(key)
        online = jax.tree.map(jnp.copy, shared["params"])
        hyper = hyper or self.hyperparameters(self.config)
        return TrainState(**shared, hyper=hyper, online=online, scale=FadingScale.init())

    def collect(self, state: TrainState) -> tuple[TrainState, Batch]:
        """Roll out by the prior, and let it tell what the actions were worth."""
        key, key_rollout, key_actions = jax.random.split(state.key, 3)
        state, trajectory = self.rollout(state.replace(key=key), key_rollout)
        return state, self.appraise(state, trajectory, key_actions)

    def appraise(self, state: TrainState, t: Trajectory, key: jax.Array) -> Batch:
        """Return the roll-out with targets and advantages, all by the prior."""
        hyper = state.hyper
        latent = self.policy.apply(state, "remember", t.memory_state, t.obs, t.start)
        prior, _ = self.network.apply(state.params, latent, method="predict")
        actions, log_prob, weights = self.look_at(prior, key)
        q_all = self.action_values(state, latent, actions)
        v = jnp.sum(weights * q_all, axis=-1)
        q = self.action_values(state, latent, t.action[:, :, None])[..., 0]
        v_after = jnp.where(t.ended, t.next_value, jnp.roll(v, -1, axis=0))
        v_after = v_after.at[-1].set(t.next_value[-1])
        target = retrace_returns(
            *(t.reward, t.return_ends, t.truncated, q, v_after, jnp.zeros_like(q)),
            *(hyper.gamma, hyper.retrace_lambda),
        )
        known = ~t.ended.at[-1].set(True)
        target_after = jnp.where(known, jnp.roll(target, -1, axis=0), t.next_value)
        target_after = jnp.where(t.return_ends, 0.0, target_after)
        return Batch(t, target, target_after, target - v, actions, log_prob, q_all - v[..., None])

    def look_at(self, prior: Any, key: jax.Array) -> tuple[Any, Any, jax.Array]:
        """Return actions, log-probabilities and weights of the prior's mean, as in a batch."""
        if isinstance(self.env.action_space, spaces.Discrete):
            return None, prior.logits, jnp.exp(prior.logits)
        count = self.config.num_samples
        drawn = jnp.moveaxis(prior.sample(seed=key, sample_shape=(count,)), 0, 2)
        return drawn, None, jnp.full((1, 1, count), 1 / count)

    def action_values(self, state: TrainState, latent: jax.Array, actions: Any) -> jax.Array:
        """Return the model's q of actions [T, B, N, ...], or of all if None: [T, B, N]."""
        if actions is None:
            size, num_steps = self.network.action_size, len(latent)
            vectors = jnp.broadcast_to(jnp.eye(size), (num_steps, 1, size, size))
        else:
            vectors = self.env.encode_actions(actions)

        def at_one_time(moment: tuple[jax.Array, jax.Array]) -> jax.Array:
            latent_BxH, vectors_BxNxA = moment
            seen = latent_BxH[:, None], vectors_BxNxA
            reward, value = self.network.apply(state.params, *seen, method="look_ahead")
            return reward + state.hyper.gamma * value

        # So many times together that activations need no more room than those of a roll-out do.
        together = max(1, len(latent) // vectors.shape[-2])
        return jax.lax.map(at_one_time, (latent, vectors), batch_size=together)

    def learn(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        """Go through the epochs; the prior follows."""
        key, key_epochs = jax.random.split(state.key)
        prior, unravel = ravel_pytree(state.params)
        online = ravel_pytree(state.online)[0]
        sizes, rate = self.step_sizes(state), state.hyper.target_rate

        def step(carry: tuple, minibatch: Batch) -> tuple[tuple, Metrics]:
            online, opt_state, prior, scale = carry
            scale = scale.update(minibatch.advantage)
            now = state.replace(scale=scale)
            loss = lambda p: self.loss(unravel(p), now, minibatch)  # noqa: E731
            (online, opt_state), metrics = descend(self.optimizer, loss, online, opt_state, sizes)
            prior = optax.incremental_update(online, prior, rate)
            return (online, opt_state, prior, scale), metrics

        carry = (online, state.opt_state, prior, state.scale)
        (online, opt_state, prior, scale), metrics = self.run_epochs(step, carry, batch, key_epochs)
        v = batch.target - batch.advantage
        metrics["explained_variance"] = Mean.of(explained_variance(v, batch.target))
        state = state.replace(params=unravel(prior), online=unravel(online))
        state = state.replace(opt_state=opt_state, scale=scale, key=key)
        return self.end_update(state, batch.trajectory, metrics)

    def loss(self, online: Any, state: TrainState, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Return the loss of a minibatch of whole sequences, and what went into it."""
        c, t, network = state.hyper, batch.trajectory, self.network
        now = state.replace(params=online)
        latent = self.policy.apply(now, "remember", t.memory_state, t.obs, t.start)
        policy, value = network.apply(online, latent, method="predict")
        reward, after = network.apply(
            online, latent, self.env.encode_actions(t.action), method="imagine"
        )
        policy_after, value_after = network.apply(online, after, method="predict")

        log_prob = policy.log_prob(t.action)
        policy_loss = cmpo.policy_gradient_loss(log_prob, t.log_prob, state.scale(batch.advantage))
        weights = self.cmpo_weights(state, batch)
        cmpo_loss = cmpo.cross_entropy(weights, log_probs(policy, batch.actions))
        following = jax.tree.map(lambda x: jnp.roll(x, -1, axis=0), (weights, batch.actions))
        known = ~t.ended.at[-1].set(True)  # the state after is the next of the roll-out
        auxiliary = cmpo.cross_entropy(following[0], log_probs(policy_after, following[1]))
        auxiliary = jnp.where(known, auxiliary, 0.0)

        distance = lambda logits, x: two_hot.cross_entropy(logits, network.encode(x))  # noqa: E731
        value_loss = distance(value, batch.target)
        value_after_loss = distance(value_after, batch.target_after)
        reward_loss = distance(reward, t.reward)
        loss = (
            policy_loss.mean()
            + c.cmpo_coefficient * cmpo_loss.mean()
            + c.auxiliary_coefficient * auxiliary.mean()
            + c.value_coefficient * (value_loss.mean() + value_after_loss.mean())
            + c.reward_coefficient * reward_loss.mean()
        )
        parts = {
            "loss": loss,
            "policy_loss": policy_loss,
            "cmpo_loss": cmpo_loss,
            "value_loss": value_loss,
            "model_value_loss": value_after_loss,
            "model_reward_loss": reward_loss,
            "approximate_kl": approximate_kl(log_prob - t.log_prob),
            "entropy": policy.entropy(),
        }
        metrics = {name: Mean.of(part) for name, part in parts.items()}
        return loss, metrics | {"model_policy_loss": Mean.of(auxiliary, known)}

    def cmpo_weights(self, state: TrainState, batch: Batch) -> jax.Array:
        """Return the weights of the actions looked at, [T, B, N]."""
        advantage, clip = state.scale(batch.model_advantage), state.hyper.cmpo_clip
        if batch.prior_log_prob is None:
            return cmpo.sampled_weights(advantage, clip)
        return cmpo.exact_weights(batch.prior_log_prob, advantage, clip)

    def learnt(self, state: TrainState) -> Any:
        """Return what has to stay finite."""
        return state.params, state.online, state.obs_moments, state.scale


def log_probs(policy: Any, actions: jax.Array | None) -> jax.Array:
    """Return those of actions [T, B, N, ...], or of all that a categorical has: [T, B, N]."""
    if actions is None:
        return policy.logits
    return jax.vmap(policy.log_prob, in_axes=2, out_axes=2)(actions)


if __name__ == "__main__":
    import sys

    from agents.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
