"""Auto-reset that computes resets only for the environments of a batch that need one."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

T = TypeVar("T")

SHARE = 16  # a batch is reset in parts of a 16th, as few of its episodes end in the same step
LEAST = 8  # environments of a part


def reset_where(
    reset: Callable[[jax.Array, Any], T],
    ended: jax.Array,
    key: jax.Array,
    params: Any,
    current: T,
) -> T:
    """Return ``reset(key, params)`` where ``ended`` (bool []), ``current`` otherwise.

    The ordinary way, to reset in every step and select, runs every reset of a batch under vmap.
    Here vmap collects the environments that ended and resets them alone, ``SHARE``-th by
    ``SHARE``-th of the batch until none is left, so that a step in which no episode ends resets
    nothing. Every environment uses its own key: the result is the same as by the ordinary way,
    whatever the batch, and no state is used twice.

    ``reset`` returns arrays of the same shapes and dtypes as ``current``. Under a second vmap the
    parts of the outer batch go on until the slowest is through. Derivatives do not pass.
    """

    @custom_vmap
    def select(ended: jax.Array, key: jax.Array, params: Any, current: T) -> T:
        return jax.lax.cond(ended, lambda: reset(key, params), lambda: current)

    @select.def_vmap
    def select_in_batch(
        size: int, batched: Any, ended: jax.Array, key: jax.Array, params: Any, current: T
    ) -> tuple[T, Any]:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, batched)
        batch = jax.vmap(lambda *args: args, in_axes=(axes[0], axes[1], axes[3]), axis_size=size)
        waiting, keys, states = batch(ended, key, current)
        part = min(size, max(LEAST, size // SHARE))
        resets = jax.vmap(reset, in_axes=(0, axes[2]))

        def reset_part(carry: tuple[jax.Array, T]) -> tuple[jax.Array, T]:
            waiting, states = carry
            # Where fewer wait than a part holds, the rest are rows beyond the end: they repeat
            # the last environment's reset, and what they give is dropped.
            rows = jnp.nonzero(waiting, size=part, fill_value=size)[0]
            take = lambda leaf: leaf.at[rows].get(mode="clip")  # noqa: E731
            own = jax.tree.map(
                lambda p, is_batched: take(p) if is_batched else p, params, batched[2]
            )
            put = lambda old, new: old.at[rows].set(new, mode="drop")  # noqa: E731
            states = jax.tree.map(put, states, resets(take(keys), own))
            return waiting.at[rows].set(False, mode="drop"), states

        _, states = jax.lax.while_loop(lambda c: c[0].any(), reset_part, (waiting, states))
        return states, jax.tree.map(lambda _: True, states)

    return select(ended, key, params, current)
