"""What of the latents was seen in an episode, whenever it was, and what of them is new.

A recurrent memory has to find out how to keep what was seen once: where each of 24 cards lay, an S5
had learnt little of after 4,000 gradient steps that was read off an album after 1,000. An album is
the running maximum of one-hots since the episode's start, [..., Z]: each is 1 once it was seen. It
has no parameters, and no gradient passes it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ssmrl.scan import linear_scan


class Album(NamedTuple):
    """What an episode has shown, [..., Z] each; of one that has not begun, zeros."""

    seen: jax.Array  # 1 where it was seen
    last: jax.Array  # the one-hots that were put in last


def empty(batch_shape: tuple[int, ...], size: int) -> Album:
    """Return an album of one-hots of ``size`` numbers side by side."""
    # One array each, since a program that may reuse its inputs may not be given one twice.
    return Album(*(jnp.zeros((*batch_shape, size), jnp.float32) for _ in Album._fields))


def put(album: Album, one_hots: jax.Array, start: jax.Array) -> tuple[Album, jax.Array]:
    """Return an album with the one-hots of one more step, and which of these are news, [..., Z].

    At a ``start`` [...] it is emptied before.
    """
    seen, last = (jnp.where(start[..., None], 0, x) for x in album)
    seen = jax.lax.stop_gradient(jnp.minimum(seen + one_hots, 1))
    return Album(seen, one_hots), news(one_hots, last)


def put_all(
    album: Album, one_hots_TxBxZ: jax.Array, start_TxB: jax.Array
) -> tuple[Album, jax.Array]:
    """Return the albums after each of T steps, [T, B, Z], and the news, as ``put`` does."""
    before = jnp.concatenate([album.last[None], one_hots_TxBxZ[:-1]])
    before = jnp.where(start_TxB[..., None], 0, before)
    seen, shown = jax.lax.stop_gradient((album.seen, one_hots_TxBxZ))
    once = jnp.ones(seen.shape[-1:], seen.dtype)
    counts = linear_scan(once, shown, start_TxB, initial_state=seen)
    albums = Album(jnp.minimum(counts, 1), one_hots_TxBxZ)
    return albums, news(one_hots_TxBxZ, before)


def news(one_hots: jax.Array, last: jax.Array) -> jax.Array:
    """Return which one-hots were not there at the step before, [..., Z]."""
    return jax.nn.relu(one_hots - last)
