"""The states that a memory passes through in a scan, at regular steps."""

from typing import Any

import jax
from flax import linen as nn

from ssmrl.errors import UsageError
from ssmrl.memory.base import State, check_positive


def scan_states(
    memory: Any, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array, every: int
) -> tuple[State, jax.Array, State]:
    """Take in T steps; return what ``scan`` does, and the states after every ``every``-th step.

    Equal to scans of ``every`` steps each with the state carried, in value and gradient. A memory
    that has a method ``scan_states`` does it in one scan, others in a loop over such scans.

    Args:
      memory: a bound flax module, inside another module or as ``memory.apply(variables, ...,
        method=scan_states)``; its parameters are made here if they are not there yet.
      state: the state before the first step.
      x_TxBxF: the inputs.
      start_TxB: where an input is the first of an episode.
      every: how many steps apart the states are; T is a multiple of it.

    Returns:
      The last state, y_TxBxH, and the states after step every - 1, 2 every - 1, ..., T - 1, each
      leaf [T / every, B, ...]; the last of them is the last state.

    Raises:
      UsageError: where ``every`` is below one or does not divide T.
    """
    check_positive(every=every)
    if len(start_TxB) % every:
        raise UsageError(f"every must divide the {len(start_TxB)} steps of a scan, but is {every}")
    own = getattr(memory, "scan_states", None)
    if own is not None:
        return own(state, x_TxBxF, start_TxB, every)
    return scan_pieces(memory, state, x_TxBxF, start_TxB, every)


def scan_pieces(
    memory: Any, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array, every: int
) -> tuple[State, jax.Array, State]:
    """Do what :func:`scan_states` does in a loop over pieces of ``every`` steps."""

    def piece(memory, state, inputs):
        state, y = memory.scan(state, *inputs)
        return state, (y, state)

    pieces = [v.reshape(-1, every, *v.shape[1:]) for v in (x_TxBxF, start_TxB)]
    # flax's, since inside jax's own a bound module would make parameters that leak.
    loop = nn.scan(piece, variable_broadcast="params", split_rngs={"params": False})
    state, (y, states) = loop(memory, state, pieces)
    return state, y.reshape(-1, *y.shape[2:]), states
