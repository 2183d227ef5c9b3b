"""What a world model stands on: between steps, at one, and along a sequence."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ssmrl.world_model.album import news
from ssmrl.world_model.latents import Latents


class Carry(struct.PyTreeNode):
    """What stands between two steps; a start masks all of it."""

    memory_state: Any  # that of the memory, before it is told of the last step
    album: jax.Array  # of what was seen before the last step, bool [*, G * C]
    latent: jax.Array  # of the last step, compact: [*, G]
    changed: jax.Array  # which groups of it were another class before, bool [*, G]
    action: jax.Array  # of the last step, encoded: [*, A]
    start: jax.Array  # whether the last step began an episode, bool [*]


class Known(struct.PyTreeNode):
    """What is known of an episode before a step of it is seen; at its start zeros but for m."""

    album: jax.Array  # what was seen before, [*, G * C]
    news: jax.Array  # which one-hots of the last step were new, [*, G * C]
    recalled: jax.Array  # what the memory reads out, m [*, H]
    latent: jax.Array  # one-hots of the last step, [*, G * C]
    action: jax.Array  # of the last step, encoded: [*, A]

    def beside(self) -> jax.Array:
        """Return all of it side by side as layers take it, y [*, Y]: one-hots as of ``unit``."""
        seen = unit(self.album), unit(self.news), self.recalled, unit(self.latent), self.action
        return jnp.concatenate(seen, axis=-1)


class Moment(struct.PyTreeNode):
    """Where the model is after what was seen, or imagined to be seen."""

    memory_state: Any
    known: Known  # before it is seen
    latent: jax.Array  # one-hots, [*, G * C]
    start: jax.Array  # whether an episode begins here, bool [*]

    def shown(self) -> jax.Array:
        """Return the latent, and what of it is new, side by side as of ``unit``: [*, 2 G * C]."""
        return jnp.concatenate([unit(self.latent), unit(self.news())], axis=-1)

    def seen(self) -> jax.Array:
        """Return all that is known once the latent is seen, side by side, [*, Y + 2 G * C]."""
        return jnp.concatenate([self.known.beside(), self.shown()], axis=-1)

    def news(self) -> jax.Array:
        """Return which one-hots were not there at the step before, [*, G * C]."""
        return news(self.latent, self.known.latent)


class Observed(struct.PyTreeNode):
    """What is made of a sequence: T steps, of each a moment, and its memory's state of some."""

    log_posterior: jax.Array  # [T, B, G, C]
    moments: Moment  # [T, B, ...]; latents drawn straight through, states [T / every, B, ...]


def with_states(moments: Moment, every: int) -> Moment:
    """Return those of T moments [T, ...] that have the memory's state, every ``every``-th."""
    rest = every_nth(moments.replace(memory_state=()), every)
    return rest.replace(memory_state=moments.memory_state)


def every_nth(tree: Any, n: int) -> Any:
    """Return the last of each ``n`` rows."""
    return jax.tree.map(lambda x: x[n - 1 :: n], tree)


def carry_after(latents: Latents, moment: Moment, action: jax.Array) -> Carry:
    """Return what stands after a moment and what was done there, [*, A]."""
    return Carry(
        memory_state=moment.memory_state,
        album=moment.known.album > 0,
        latent=latents.compact(moment.latent),
        changed=latents.changed(moment.news()),
        action=action,
        start=moment.start,
    )


def unit(x: jax.Array) -> jax.Array:
    """Return x [..., N] at a root mean square of 1, or zeros.

    What is new are a few ones among many zeros, and a layer that is given these takes long to find
    out what hangs on them: 12 cards came to 0.69 after 0.18 million steps, without it after 0.29.
    """
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(square + 1e-6).astype(x.dtype)
