"""What a world model dreams up: with a policy to act, or with actions that are given."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ssmrl.world_model.moments import Moment

Lead = Callable[[Moment, jax.Array, jax.Array], Moment]  # (moment, action, key) -> the next


def imagine(
    lead: Lead,
    act: Callable[[Moment, jax.Array], jax.Array],
    encode: Callable[[jax.Array], jax.Array],
    first: Moment,
    keys: jax.Array,
) -> tuple[Moment, jax.Array, jax.Array]:
    """Act once per key, [T], from moments [B, ...] on; no episode begins on the way.

    ``act(moment, key)`` returns the action as the environment has it, [B, ...], and ``encode``
    makes of any batch of them the vectors [..., A] that ``lead`` is given. Returns the moments
    [T + 1, B, ...] with the first, and both forms of the actions [T, B, ...].
    """

    def step(moment: Moment, keys: jax.Array) -> tuple[Moment, Any]:
        action = act(moment, keys[0])
        after = lead(moment, encode(action), keys[1])
        return after, (after.replace(start=()), action)

    # What can be told of all steps at once is left out of the loop: each kernel counts there.
    _, (later, actions) = jax.lax.scan(step, first, jax.vmap(jax.random.split)(keys))
    later = later.replace(start=jnp.zeros((len(keys), *first.start.shape), bool))
    moments = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)
    return moments, actions, encode(actions)


def open_loop(lead: Lead, first: Moment, action_TxBxA: jax.Array, key: jax.Array) -> Moment:
    """Return the moments that given actions lead to, [T, B, ...], nothing being seen after them."""

    def step(moment: Moment, inputs: tuple[jax.Array, jax.Array]) -> tuple[Moment, Moment]:
        after = lead(moment, *inputs)
        return after, after

    keys = jax.random.split(key, len(action_TxBxA))
    return jax.lax.scan(step, first, (action_TxBxA, keys))[1]
