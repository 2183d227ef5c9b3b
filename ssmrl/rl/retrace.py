"""Retrace: off-policy returns that are cut where the policies part, and at episodes' ends."""

import chex
import jax
import jax.numpy as jnp

from ssmrl.rl.backward import backward_sums


def retrace_returns(
    r_t: jax.Array,
    terminated_t: jax.Array,
    truncated_t: jax.Array,
    q_tm1: jax.Array,
    v_t: jax.Array,
    log_ratio_tm1: jax.Array,
    gamma: float | jax.Array,
    lambda_: float | jax.Array,
) -> jax.Array:
    """Return the estimates G_t of the values of the actions taken at t-1; all arrays are [T, ...].

        G_t = r_t + gamma (1 - terminated_t) (v_t + c_t (G_{t+1} - q_t))
        c_t = lambda min(1, pi / mu), or 0 where the episode ended

    ``q_tm1`` are the values of the actions taken, ``v_t`` the expected values of what was seen
    after them under the policy pi (where the episode ended, of its final observation), and
    ``log_ratio_tm1`` is log pi - log mu of the actions, which mu took. Of q and v that disagree
    (v is not the mean of q under pi), the difference is added up over 1 / (1 - gamma lambda)
    steps. Behind the last step nothing is known but v.

    Source: Munos et al. 2016, equation 4.
    """
    chex.assert_equal_shape([r_t, terminated_t, truncated_t, q_tm1, v_t, log_ratio_tm1])
    error_t = r_t + gamma * jnp.where(terminated_t, 0.0, v_t) - q_tm1
    # c_t belongs to the action taken at t, which is in the next row; the last meets no error.
    trace_tm1 = lambda_ * jnp.minimum(1.0, jnp.exp(log_ratio_tm1))
    trace_t = jnp.roll(trace_tm1, -1, axis=0)
    decay_t = (gamma * trace_t).astype(error_t.dtype)
    return q_tm1 + backward_sums(decay_t, error_t, terminated_t | truncated_t)
