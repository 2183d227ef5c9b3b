"""What a world model stands on: between steps, at one, and along a sequence."""

from typing import Any

import jax
from flax import struct

from ssmrl.world_model.latents import Latents


class Carry(struct.PyTreeNode):
    """What stands between two steps; a start masks all of it."""

    memory_state: Any  # that of the memory, and the album
    latent: jax.Array  # of the last step, compact: [*, G]
    action: jax.Array  # of the last step, encoded: [*, A]
    start: jax.Array  # whether the last step began an episode, bool [*]


class Moment(struct.PyTreeNode):
    """Where the model is after what was seen, or imagined to be seen."""

    memory_state: Any  # that of the memory, and the album
    y: jax.Array  # what is known before it is seen, [*, Y]
    latent: jax.Array  # one-hots, [*, G * C]
    start: jax.Array  # whether an episode begins here, bool [*]


class Observed(struct.PyTreeNode):
    """What is made of a sequence, [T, B]."""

    log_posterior: jax.Array  # [T, B, G, C]
    latent: jax.Array  # one-hots, drawn straight through, [T, B, G * C]
    y: jax.Array  # [T, B, Y]
    states: Any  # of memory and album after every so many steps, [T / every, B, ...]


def carries_after(
    latents: Latents,
    observed: Observed,
    action_TxBxA: jax.Array,
    start_TxB: jax.Array,
    every: int,
    piece: int,
) -> Carry:
    """Return the carries after every ``piece``-th step, [T / piece, B, ...].

    ``every`` is that of the states observed, and divides ``piece``.
    """
    stride = piece // every
    return Carry(
        jax.tree.map(lambda x: x[stride - 1 :: stride], observed.states),
        latents.compact(observed.latent[piece - 1 :: piece]),
        action_TxBxA[piece - 1 :: piece],
        start_TxB[piece - 1 :: piece],
    )
