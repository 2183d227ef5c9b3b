"""What depends on what in a traced function, without running it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def depends(function: Callable[..., Any], value: Any, *others: Any) -> list[bool]:
    """Return for each leaf of ``function(value, *others)`` whether it depends on ``value``.

    ``value`` becomes a batch, the others do not: vmap then knows of each leaf whether it is one.
    Arguments are arrays, or their shapes; nothing is compiled. Dependence is that of the program:
    ``0 * value`` depends on ``value``.
    """
    found: dict[int, bool] = {}

    def watched(place: int, leaf: Any) -> jax.Array:
        found[place] = False
        same = custom_vmap(lambda x: x)

        @same.def_vmap
        def on_batch(size: int, batched: Any, x: jax.Array) -> tuple[jax.Array, bool]:
            found[place] = bool(batched[0])
            return x, found[place]

        return same(jnp.asarray(leaf))

    def leaves(*arguments: Any) -> list[jax.Array]:
        return [watched(*each) for each in enumerate(jax.tree.leaves(function(*arguments)))]

    batch = jax.eval_shape(lambda x: jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), x), value)
    jax.eval_shape(jax.vmap(leaves, in_axes=(0, *(None for _ in others))), batch, *others)
    return list(found.values())
