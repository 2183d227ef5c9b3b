"""Lambda-returns of sequences that are on-policy, as imagined ones are."""

import chex
import jax
import jax.numpy as jnp

from ssmrl.rl.backward import backward_sums


def lambda_returns(
    r_t: jax.Array, discount_t: jax.Array, v_t: jax.Array, lambda_: float | jax.Array
) -> jax.Array:
    """Return the returns G_t of the actions taken at t-1; all arrays are [T, ...].

        G_t = r_t + discount_t ((1 - lambda) v_t + lambda G_{t+1})
        G_T = r_T + discount_T v_T

    ``r_t`` and ``v_t`` are the reward for the action and the value of what was seen after it,
    ``discount_t`` is 0 where the episode terminated there. ``lambda_`` is a number, or [T, ...]: 0
    cuts the sum where the next step belongs to another episode, and leaves the value.

    Source: Sutton & Barto 2018, equation 12.20; Hafner et al. 2023, equation 7.
    """
    lambda_t = jnp.broadcast_to(jnp.asarray(lambda_, v_t.dtype), v_t.shape)
    chex.assert_equal_shape([r_t, discount_t, v_t, lambda_t])
    one_step = r_t + discount_t * (1 - lambda_t) * v_t
    return backward_sums(discount_t * lambda_t, one_step, beyond=v_t[-1])
