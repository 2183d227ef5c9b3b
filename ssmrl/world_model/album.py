"""What of the latents was seen in an episode, whenever it was, and what of them is new.

A recurrent memory has to find out how to keep what was seen once: where each of 24 cards lay, an S5
had learnt little of after 4,000 gradient steps that was read off an album after 1,000. An album is
the running maximum of one-hots since the episode's start, [..., Z]: each is 1 once it was seen. It
has no parameters, and no gradient passes it.
"""

import jax
import jax.numpy as jnp

from ssmrl.scan import linear_scan


def put(album: jax.Array, one_hots: jax.Array, start: jax.Array) -> jax.Array:
    """Return an album [..., Z] with one more step's one-hots; at a ``start`` [...] with only them.

    It is float32, and may be given as bool.
    """
    kept = jnp.where(start[..., None], 0, album.astype(jnp.float32))
    return jax.lax.stop_gradient(jnp.maximum(kept, one_hots))


def put_all(album: jax.Array, one_hots_TxBxZ: jax.Array, start_TxB: jax.Array) -> jax.Array:
    """Return the albums after each of T steps, [T, B, Z], as ``put`` does."""
    first, shown = jax.lax.stop_gradient((album.astype(jnp.float32), one_hots_TxBxZ))
    once = jnp.ones(first.shape[-1:], first.dtype)
    return jnp.minimum(linear_scan(once, shown, start_TxB, initial_state=first), 1)


def news(one_hots: jax.Array, last: jax.Array) -> jax.Array:
    """Return which one-hots were not there at the step before, [..., Z]."""
    return jax.nn.relu(one_hots - last)
