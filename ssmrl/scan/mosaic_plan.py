"""How the kernel of the recurrence is laid out on a GPU."""

from typing import NamedTuple

LANES = 128  # threads of a block; each has one complex state
FLAGS = 32  # flags fetched with a tile: 128 bytes, to which shared memory is aligned
MIN_CHUNK = 64  # steps; shorter ones cost more in their start than they bring
FEW_BLOCKS = 32  # up to which time is cut up, into up to
ENOUGH_BLOCKS = 128  # about one for each multiprocessor


class Plan(NamedTuple):
    """How the steps of time are dealt to blocks, and how a block walks through its own."""

    chunks: int  # blocks side by side in time
    steps: int  # of time in a tile of shared memory, at most FLAGS
    stages: int  # tiles in a block's ring


def make_plan(num_steps: int, num_blocks: int, *, is_adjoint: bool) -> Plan:
    """Return what was fastest on an H100; benchmarks/LOG.md has the alternatives.

    ``num_blocks`` are those that sequences and states fill, each with all of time.
    """
    chunks = 1
    if num_blocks <= FEW_BLOCKS:
        chunks = max(1, min(ENOUGH_BLOCKS // num_blocks, num_steps // MIN_CHUNK))
    return Plan(chunks, steps=16, stages=3 if is_adjoint else 4)
