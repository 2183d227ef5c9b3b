"""The recurrence as a parallel prefix over time: log T levels instead of T steps."""

import jax
import jax.numpy as jnp
from jax import lax

from ssmrl.scan import planar as pl


def associative(
    a: jax.Array,
    b: jax.Array,
    start: jax.Array | None,
    initial_state: jax.Array,
    *,
    planar: bool,
    reverse: bool,
) -> jax.Array:
    """Run x_t = a_t x_{t-1} + b_t as ``lax.associative_scan``; see ``implementations.Scan``.

    Resets are folded into the coefficients (a_t = 0), which gives the states of the three-element
    operator of Lu et al. 2023 (section 3.1) with an operator of two. The price: it multiplies
    where a reset should select, so **it does not isolate non-finite states**; after an infinity
    all later states of its chain are NaN. ``sequential`` isolates them.

    Planar values become complex64 inside: with resets folded that was as fast or up to 12 %
    faster than pairs on an H100, and compiled in a fifth of the time.
    """
    if planar:
        x = associative(
            *(pl.to_complex(a), pl.to_complex(b), start, pl.to_complex(initial_state)),
            planar=False,
            reverse=reverse,
        )
        return pl.from_complex(x).astype(b.dtype)

    num_steps = b.shape[0]
    if a.ndim < b.ndim:
        a = jnp.broadcast_to(a, (num_steps, *a.shape))  # no batch axes unless a reset adds them
    if start is not None:
        a = jnp.where(start[..., None], 0, a)

    first = num_steps - 1 if reverse else 0
    b = b.at[first].add(a[first] * initial_state)

    def combine(earlier, later):
        a_earlier, b_earlier = earlier
        a_later, b_later = later
        return a_later * a_earlier, a_later * b_earlier + b_later

    return lax.associative_scan(combine, (a, b), reverse=reverse)[1]
