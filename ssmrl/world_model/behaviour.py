"""What actor and critic learn: from imagined moments, and the critic from replayed ones too.

Source: Hafner et al. 2023, equations 5 to 12.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ssmrl.rl.lambda_returns import lambda_returns
from ssmrl.rl.normalise import PercentileScale
from ssmrl.world_model.actor_critic import CRITIC
from ssmrl.world_model.model import Losses
from ssmrl.world_model.moments import Moment


def starts(moments: Moment, count: int, key: jax.Array) -> Moment:
    """Return ``count`` of moments [N, B], drawn with replacement, [K], without a gradient."""
    row, column = jnp.divmod(
        jax.random.randint(key, (count,), 0, moments.start.size), moments.start.shape[1]
    )
    return jax.lax.stop_gradient(jax.tree.map(lambda x: x[row, column], moments))


def behaviour_losses(
    network: Any,
    params: Any,
    slow: Any,
    scale: PercentileScale,
    imagined: tuple[Moment, jax.Array, jax.Array],
    gamma: float | jax.Array,
    lambda_: float | jax.Array,
    entropy_coefficient: float | jax.Array,
    slow_coefficient: float | jax.Array,
) -> tuple[PercentileScale, Losses]:
    """Return the scale of returns, and what actor and critic lose, [H, K] each.

    ``network`` is an :class:`ssmrl.world_model.actor_critic.ImaginingActorCritic`, ``slow`` are the
    slow critic's parameters; ``imagined`` are moments [H + 1, K] and actions [H, K], as drawn and
    encoded. With the model's reward r and its probability c that later ones count,

        G_h = r_h + gamma c_h ((1 - lambda) v_h+1 + lambda G_h+1), G_H = v_H
        policy_loss = - w ((G - v) / scale log pi(a) + entropy_coefficient H(pi))
        value_loss  = w (CE(G, v) + slow_coefficient CE(slow v, v))

    where w_h is the product of gamma c before h: what comes after an end counts for nothing. Only
    actor, critic and the gates before them learn of it, neither the model nor ``slow``.
    """
    moments, actions, encoded = jax.lax.stop_gradient(imagined)
    frozen, apply = jax.lax.stop_gradient(params), network.apply
    before = jax.tree.map(lambda x: x[:-1], moments)
    reward, goes_on = apply(frozen, before, encoded, moments.latent[1:], method="expect")
    discount = gamma * goes_on
    logits: Any = apply(params, moments, method="value")
    value = jax.lax.stop_gradient(network.bins.mean(logits))
    returns = lambda_returns(reward, discount, value[1:], lambda_)
    scale = scale.update(returns)
    weight = jnp.cumprod(jnp.concatenate([jnp.ones_like(discount[:1]), discount[:-1]]), axis=0)

    policy: Any = apply(params, before, method="policy")
    advantage, entropy = scale(returns - value[:-1]), policy.entropy()
    gain = advantage * policy.log_prob(actions) + entropy_coefficient * entropy
    slow_logits = apply(with_critic(params, slow), before, method="value")
    value_loss = _value_loss(network, logits[:-1], returns, slow_logits, slow_coefficient)
    return scale, {
        "policy_loss": -weight * gain,
        "value_loss": weight * value_loss,
        "entropy": entropy,
        "imagined_return": returns[0],
        "imagined_reward": reward,
    }


def replay_value(
    network: Any,
    params: Any,
    slow: Any,
    moments: Moment,
    reward: jax.Array,
    return_ends: jax.Array,
    truncated: jax.Array,
    gamma: float | jax.Array,
    lambda_: float | jax.Array,
    slow_coefficient: float | jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Return the critic's loss on replayed moments [T, B], and their returns: [T - 1, B] each.

    Arguments are as in ``behaviour_losses``; of rewards after ``return_ends`` none counts before.
    Nothing is learnt where a time limit cut an episode off, since what would have come is not
    known, and returns before it go no further than its value. The model learns nothing of it,
    other than in DreamerV3: with rewards of every step that gradient kept a memory from being
    learnt at all (RepeatFirstEasy: -0.5, without it 0.99).
    """
    moments = jax.lax.stop_gradient(moments)
    logits: Any = network.apply(params, moments, method="value")
    value = jax.lax.stop_gradient(network.bins.mean(logits))
    cut = (truncated & ~return_ends)[:-1]
    reward = jnp.where(cut, value[:-1], reward[:-1])
    discount = jnp.where(cut | return_ends[:-1], 0.0, gamma)
    returns = lambda_returns(reward, discount, value[1:], lambda_)
    slow_logits: Any = network.apply(with_critic(params, slow), moments, method="value")
    loss = _value_loss(network, logits[:-1], returns, slow_logits[:-1], slow_coefficient)
    return jnp.where(cut, 0.0, loss), returns


def critic_of(params: Any) -> Any:
    """Return the critic's parameters among those of the network."""
    return {name: params["params"][name] for name in CRITIC}


def with_critic(params: Any, critic: Any) -> Any:
    """Return the network's parameters with another critic's, all without a gradient."""
    return jax.lax.stop_gradient({"params": {**params["params"], **critic}})


def _value_loss(
    network: Any,
    logits: jax.Array,
    target: jax.Array,
    slow_logits: Any,
    slow_coefficient: float | jax.Array,
) -> jax.Array:
    bins = network.bins
    return bins.loss(logits, target) + slow_coefficient * bins.loss(logits, bins.mean(slow_logits))
