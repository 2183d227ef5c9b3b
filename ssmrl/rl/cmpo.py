"""Clipped maximum a posteriori policy optimisation (Hessel et al. 2021), element by element.

The target is the prior policy, shifted towards actions of high advantage,

    pi_CMPO(a) = pi_prior(a) exp(clip(advantage(a), -c, c)) / z,

and the policy learns to be near it. Here the target is told by a weight for each of N actions,
on the last axis: all of them, or some that were drawn from the prior.
"""

import jax
import jax.numpy as jnp


def exact_weights(
    prior_log_prob: jax.Array, advantage: jax.Array, clip: float | jax.Array
) -> jax.Array:
    """Return pi_CMPO of all actions, [..., N]; equation 7."""
    return jax.nn.softmax(prior_log_prob + jnp.clip(advantage, -clip, clip))


def sampled_weights(advantage: jax.Array, clip: float | jax.Array) -> jax.Array:
    """Return exp(clip(advantage)) / z / N of N actions drawn from the prior, [..., N].

    z of each action is the mean of the others' exponentials and 1, z_init, so that an action's
    own exponential is not in what it is divided by; equation 12.
    """
    exponentials = jnp.exp(jnp.clip(advantage, -clip, clip))
    others = exponentials.sum(-1, keepdims=True) - exponentials
    return exponentials / (1.0 + others)


def cross_entropy(weights: jax.Array, log_prob: jax.Array) -> jax.Array:
    """Return -sum w log pi over the last axis: KL(pi_CMPO, pi) and what has no gradient."""
    return -jnp.sum(jax.lax.stop_gradient(weights) * log_prob, axis=-1)


def policy_gradient_loss(
    log_prob: jax.Array, behaviour_log_prob: jax.Array, advantage: jax.Array
) -> jax.Array:
    """Return the loss whose gradient is -min(1, pi / mu) advantage grad log pi."""
    weight = jnp.minimum(1.0, jnp.exp(log_prob - behaviour_log_prob))
    return -jax.lax.stop_gradient(weight * advantage) * log_prob
