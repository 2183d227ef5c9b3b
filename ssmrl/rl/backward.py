"""Sums over what is still to come: the recurrence that returns and advantages have in common."""

import jax

from ssmrl.scan import linear_scan


def backward_sums(
    decay_t: jax.Array,
    x_t: jax.Array,
    ended_t: jax.Array | None = None,
    beyond: jax.Array | None = None,
) -> jax.Array:
    """Return all y_t = x_t + decay_t y_{t+1}, without the future where ``ended_t``: [T, ...].

    Read backwards in time this is the resettable recurrence. ``decay_t`` is [T, ...], or [1] where
    it is always the same; ``beyond`` is y_T, zeros if None.
    """
    decay = decay_t if decay_t.shape == (1,) else decay_t[::-1, ..., None]
    ended = None if ended_t is None else ended_t[::-1]
    beyond = None if beyond is None else beyond[..., None]
    sums = linear_scan(decay, x_t[::-1, ..., None], ended, initial_state=beyond)
    return sums[::-1, ..., 0]
