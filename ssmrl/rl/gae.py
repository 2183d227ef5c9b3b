"""Generalised advantage estimation with termination and truncation kept apart."""

import chex
import jax
import jax.numpy as jnp

from ssmrl.rl.backward import backward_sums


def generalised_advantages(
    r_t: jax.Array,
    terminated_t: jax.Array,
    truncated_t: jax.Array,
    v_tm1: jax.Array,
    v_t: jax.Array,
    gamma: float | jax.Array,
    lambda_: float | jax.Array,
) -> jax.Array:
    """Return the advantages A_t of the actions taken at t-1; all arrays are [T, ...].

        delta_t = r_t + gamma (1 - terminated_t) v_t - v_tm1
        A_t     = delta_t + gamma lambda (1 - terminated_t) (1 - truncated_t) A_{t+1}

    ``v_tm1`` is the value of what the agent saw before it acted, ``v_t`` the value of what it saw
    after: where the episode ended, that of the final observation under the memory state of that
    moment, never that of the next episode's first observation. A termination has no future; a
    truncation has one, but the sum of errors stops there, since the next step belongs to another
    episode. Where both happen at once the episode has terminated.

    Source: Schulman et al. 2016, equation 16; Pardo et al. 2018 for time limits.
    """
    chex.assert_equal_shape([r_t, terminated_t, truncated_t, v_tm1, v_t])
    delta_t = r_t + gamma * jnp.where(terminated_t, 0.0, v_t) - v_tm1
    decay = jnp.reshape(jnp.asarray(gamma * lambda_, delta_t.dtype), (1,))
    return backward_sums(decay, delta_t, terminated_t | truncated_t)
