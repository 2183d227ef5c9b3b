"""Replay on the device: rings of whole streams of experience, and windows drawn from them.

A *stream* is what one environment gave, episode after episode. It is written in *pieces*, the
roll-outs, each with its *carry*: what acting stood at before the piece's first step, such as a
memory's state, a latent and the previous action. A window is some consecutive pieces of a stream.
It may begin inside an episode, since its carry tells what came before, and may run over ends.

flashbax, the field's library, keeps such rings too, but no state per piece and no way to write one
back; here carries are refreshed, so that they are as old as the last visit and not as the data.
"""

from typing import Any, Self

import chex
import jax
import jax.numpy as jnp
from flax import struct

from ssmrl.errors import UsageError
from ssmrl.train.config import check_multiple, check_within


class Window(struct.PyTreeNode):
    """B windows of L steps, and where they came from."""

    data: Any  # [L, B, ...]
    carry: Any  # [B, ...], before the first step
    stream: jax.Array  # int32 [B]
    first: jax.Array  # int32 [B], number of the first piece, counted from the first ever written


class Replay(struct.PyTreeNode):
    """The latest pieces of N streams, as a ring: piece q lies in slot q mod P.

    It is part of a train state: all methods are pure, run inside jit, and may be vmapped over
    seeds. Under donation, and in loops, ``add`` and ``refresh`` write in place; ``lax.cond``
    would copy the ring. What is written has the shapes and dtypes of the ring, or is refused with
    an ``AssertionError`` in tracing.
    """

    data: Any  # [P * piece, N, ...]
    carry: Any  # [P, N, ...], before each piece
    written: jax.Array  # int32, pieces in all
    piece: int = struct.field(pytree_node=False)  # steps

    @classmethod
    def empty(cls, rollout: Any, carry: Any, capacity: int) -> Self:
        """Return a ring for the latest ``capacity`` steps of each stream.

        ``rollout`` [piece, N, ...] and ``carry`` [N, ...] are trees of arrays or of their shapes
        (``jax.eval_shape``), of any dtypes. Raises ``UsageError`` as ``check_sizes`` does.
        """
        piece, num_streams = jax.tree.leaves(rollout)[0].shape[:2]
        check_sizes(piece, piece, capacity)
        chex.assert_tree_shape_prefix(rollout, (piece, num_streams))
        chex.assert_tree_shape_prefix(carry, (num_streams,))
        zeros = lambda size, tree: jax.tree.map(  # noqa: E731
            lambda x: jnp.zeros((size, *x.shape), x.dtype), tree
        )
        step = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), rollout)
        return cls(zeros(capacity, step), zeros(capacity // piece, carry), jnp.int32(0), piece)

    def add(self, rollout: Any, carry: Any) -> Self:
        """Write a roll-out [piece, N, ...] and its carry [N, ...], over the oldest if need be."""
        _check_leaves(rollout, self.data, self.piece, self._num_streams)
        _check_leaves(carry, self.carry, self._num_streams)
        slot = self.written % self._num_pieces
        put = jax.lax.dynamic_update_slice_in_dim
        return self.replace(
            data=jax.tree.map(lambda x, new: put(x, new, slot * self.piece, 0), self.data, rollout),
            carry=jax.tree.map(lambda x, new: put(x, new[None], slot, 0), self.carry, carry),
            written=self.written + 1,
        )

    def num_windows(self, length: int) -> jax.Array:
        """Return how many windows of ``length`` steps there are in each stream.

        The first is there once ``length / piece`` pieces have been added.
        """
        held = jnp.minimum(self.written, self._num_pieces)
        return jnp.maximum(held - length // self.piece + 1, 0)

    def sample(self, key: jax.Array, batch: int, length: int) -> Window:
        """Draw ``batch`` windows of ``length`` steps, each uniformly of all that there are.

        They begin at pieces and hold no step that was not added: where there is no such window,
        what is returned means nothing. Raises ``UsageError`` as ``check_sizes`` does.
        """
        check_sizes(self.piece, length, self._num_pieces * self.piece)
        oldest = jnp.maximum(self.written - self._num_pieces, 0)
        key_first, key_stream = jax.random.split(key)
        first_B = oldest + jax.random.randint(key_first, (batch,), 0, self.num_windows(length))
        stream_B = jax.random.randint(key_stream, (batch,), 0, self._num_streams)

        slot_B = first_B % self._num_pieces
        row_LxB = _count_from(slot_B * self.piece, length) % (self._num_pieces * self.piece)
        return Window(
            data=jax.tree.map(lambda x: _take(x, row_LxB, stream_B[None]), self.data),
            carry=jax.tree.map(lambda x: _take(x, slot_B, stream_B), self.carry),
            stream=stream_B,
            first=first_B,
        )

    def newest(self) -> Any:
        """Return the roll-out that was written last, [piece, N, ...]."""
        first = (self.written - 1) % self._num_pieces * self.piece
        return jax.tree.map(
            lambda x: jax.lax.dynamic_slice_in_dim(x, first, self.piece, 0), self.data
        )

    def age(self, window: Window) -> jax.Array:
        """Return how many steps each stream went on after the window's last, int32 [B]."""
        return (self.written - window.first - self._pieces_of(window)) * self.piece

    def refresh(self, window: Window, carries: Any) -> Self:
        """Write back what a model of now stands at after each piece of the windows.

        ``carries`` [L / piece, B, ...] become the carries before the pieces that follow, where
        these are in the ring: the newest piece has none yet, and its neighbour in the ring is the
        oldest, which did not follow it. Where windows overlap, that which began first is taken
        (of equal ones the first of the batch): its carry has come the longest way with the model
        of now.
        """
        num_pieces = self._pieces_of(window)
        _check_leaves(carries, self.carry, num_pieces, *window.stream.shape)
        next_KxB = _count_from(window.first + 1, num_pieces)
        held_KxB = (next_KxB < self.written) & (next_KxB >= self.written - self._num_pieces)
        use_KxB = held_KxB & ~_overruled(window, num_pieces)
        # Numbers outside the ring are dropped. All differ, which spares a GPU its atomics.
        nowhere_KxB = self._num_pieces + jnp.arange(use_KxB.size).reshape(use_KxB.shape)
        slot_KxB = jnp.where(use_KxB, next_KxB % self._num_pieces, nowhere_KxB)

        def put(ring: jax.Array, new: jax.Array) -> jax.Array:
            at = ring.at[slot_KxB, window.stream[None]]
            return at.set(new, mode="drop", unique_indices=True)

        return self.replace(carry=jax.tree.map(put, self.carry, carries))

    @property
    def _num_pieces(self) -> int:
        """The ring's slots, P."""
        return len(jax.tree.leaves(self.data)[0]) // self.piece

    @property
    def _num_streams(self) -> int:
        return jax.tree.leaves(self.data)[0].shape[1]

    def _pieces_of(self, window: Window) -> int:
        return len(jax.tree.leaves(window.data)[0]) // self.piece


def check_sizes(
    piece: int,
    length: int,
    capacity: int,
    names: tuple[str, str, str] = ("piece", "length", "capacity"),
) -> None:
    """Raise ``UsageError`` where windows of ``length`` steps don't fit pieces, or not the ring.

    That is where ``length`` or ``capacity`` are no multiples of ``piece``, or the window is the
    longer. ``names`` are what the user calls the three.
    """
    piece_name, length_name, capacity_name = names
    check_within(piece_name, piece, 1, 2**30)
    for name, steps in ((length_name, length), (capacity_name, capacity)):
        check_within(name, steps, 1, 2**30)  # so that the sum of two is an int32
        check_multiple(name, steps, piece_name, piece)
    if length > capacity:
        raise UsageError(
            f"{length_name}={length} is longer than the replay, whose {capacity_name} is "
            f"{capacity} steps of each environment; lower the one or raise the other"
        )


def _overruled(window: Window, num_pieces: int) -> jax.Array:
    """Return where another window writes the same carry and goes first, [K, B].

    Of windows of one stream, that which began ``lead`` pieces before reaches the first K - lead
    pieces that follow in the other.
    """
    index = jnp.arange(window.first.size)
    lead_BxB = window.first[:, None] - window.first[None]  # [this, other]
    goes_first = (lead_BxB > 0) | ((lead_BxB == 0) & (index[:, None] > index[None]))
    goes_first &= window.stream[:, None] == window.stream[None]
    least_lead_B = jnp.min(jnp.where(goes_first, lead_BxB, num_pieces), axis=1)
    return _count_from(least_lead_B, num_pieces) < num_pieces


def _take(x: jax.Array, slot: jax.Array, stream: jax.Array) -> jax.Array:
    return x.at[slot, stream].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _count_from(first_B: jax.Array, count: int) -> jax.Array:
    return first_B[None] + jnp.arange(count)[:, None]


def _check_leaves(tree: Any, ring: Any, *front: int) -> None:
    """Hold leaves [*front, ...] against a ring's: a smaller one would be written in part."""
    expected = jax.tree.map(lambda x: jax.ShapeDtypeStruct((*front, *x.shape[2:]), x.dtype), ring)
    chex.assert_trees_all_equal_shapes_and_dtypes(tree, expected)
