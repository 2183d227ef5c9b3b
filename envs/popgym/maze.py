"""POPGym's mazes, grown a little in every step, so that one is ready when an episode ends.

popgym 1.0.7 takes its mazes from mazelib's HuntAndKill, on m x m cells with walls between them, S =
2 m + 1 squares a side. A walk goes from cell to random unvisited neighbour and opens the wall
between, until it is stuck. Then it hunts: a cell is drawn from all m², again and again, until one
comes up that is visited and has an unvisited neighbour; the walk goes on from there. mazelib gives
up after S² hunts, so of 100,000 mazes about 3, 5, 5 on the levels Easy, Medium, Hard are
incomplete: they have cells that nobody can enter, and where the start leads to one the agent is
walled in.

The law here is exactly that, incomplete mazes included, but in few moves: one geometric draw says
how many hunts fail before one succeeds, one uniform draw which cell it finds, another which
neighbour is opened. Every move opens a cell until none can be, so m² - 1 moves (24, 48, 80) finish
any maze, where mazelib takes up to m² - 1 + S² (145, 273, 441). Each is a few dozen operations on m
integers, as a row of squares is the bits of one uint32: a maze has 4 S bytes (44, 60, 76), not S².

An auto-reset computes a reset in every step; with all the moves there, a step would take 4 to 20
times as long (on a CPU). Instead the state carries the maze of the next episode while it grows, out
of the agent's sight and independent of what the agent does, so fast that it is finished when the
episode can end at the earliest. In LabyrinthEscape start and goal lie on opposite sides, at least
2 m steps apart: 3, 4, 5 moves a step suffice for any player and maze. In LabyrinthExplore every
square must be visited, 2 m² - 1 of a complete maze: one move a step suffices. (Not where the maze
has less than half of its cells and the player visits them without a detour; the next maze is then
used as far as it grew. Such mazes have a probability of 1e-8, below the spacing of float32's
uniform numbers, 1.2e-7.)
"""

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Growth:
    """A maze that grows. Cell (r, c) is the square (2 r + 1, 2 c + 1)."""

    open: jax.Array  # uint32 [S]: bit x of row y is set where the square (y, x) is no wall
    cell: jax.Array  # int8 [2]: row and column of the cell where the walk stands
    hunts: jax.Array  # int16 []: how many more cells may be drawn


def begin_growth(draws: jax.Array, cells: int) -> Growth:
    """Return a maze of ``cells`` x ``cells`` with one random cell open.

    Args:
        draws: float32 [2], uniform in [0, 1).
        cells: m.
    """
    side = 2 * cells + 1
    cell = _below(cells, draws)
    return Growth(
        open=square(2 * cell + 1, side),
        cell=cell.astype(jnp.int8),
        hunts=jnp.int16(side * side),
    )


def grow(growth: Growth, draws: jax.Array) -> Growth:
    """Open one more cell and the wall to it, or nothing where the maze is finished.

    Args:
        growth: the maze so far.
        draws: float32 [3], uniform in [0, 1): for the failing hunts, the cell, the neighbour.
    """
    side = growth.open.size
    num_cells = (side // 2) ** 2
    all_cells = jnp.full(side // 2, _odd_bits(side), jnp.uint32)
    visited = growth.open[1::2] & all_cells
    unvisited = all_cells & ~visited
    useful = visited & _beside(unvisited)
    here = useful & _cell_bit(growth.cell, side // 2)
    walks = here.any()

    num_useful = jax.lax.population_count(useful).astype(jnp.int32).sum()
    chance = jnp.maximum(num_useful, 1) / num_cells  # below 1 while a cell is unvisited
    failures = jnp.floor(jnp.log1p(-draws[0]) / jnp.log1p(-chance))
    left = growth.hunts.astype(jnp.int32) - 1 - failures.astype(jnp.int32)
    goes_on = walks | ((num_useful > 0) & (left >= 0))

    cell = _choose(jnp.where(walks, here, useful), draws[1])
    neighbour = _choose(_beside(_cell_bit(cell, side // 2)) & unvisited, draws[2])
    opened = square(2 * neighbour + 1, side) | square(cell + neighbour + 1, side)
    return Growth(
        open=jnp.where(goes_on, growth.open | opened, growth.open),
        cell=jnp.where(goes_on, neighbour, growth.cell).astype(jnp.int8),
        hunts=jnp.where(walks, growth.hunts, jnp.maximum(left, 0)).astype(jnp.int16),
    )


def grow_by(growth: Growth, draws: jax.Array) -> Growth:
    """Make one move for each row of ``draws`` [moves, 3], without a loop when compiled."""
    for row in draws:
        growth = grow(growth, row)
    return growth


def generate(draws: jax.Array, cells: int) -> jax.Array:
    """Return a finished maze: uint32 [S] as in ``Growth.open``. A loop of m² - 1 moves.

    Args:
        draws: float32 [m², 3], uniform in [0, 1).
        cells: m.
    """
    growth = begin_growth(draws[0, :2], cells)
    return jax.lax.scan(lambda growth, x: (grow(growth, x), None), growth, draws[1:])[0].open


def entrances(draws: jax.Array, cells: int) -> tuple[jax.Array, jax.Array]:
    """Return start and goal in the walls of a random pair of opposite sides, int8 [2] each.

    Args:
        draws: float32 [3], uniform in [0, 1).
        cells: m.
    """
    side = _below(4, draws[0])  # of the start: north, south, west, east
    place = 2 * _below(cells, draws[1:]) + 1
    depth = jnp.where(side % 2 == 0, jnp.array([0, 2 * cells]), jnp.array([2 * cells, 0]))
    on_rows = jnp.stack([depth, place], axis=1)  # (start, goal) x (y, x)
    start, goal = jnp.where(side < 2, on_rows, on_rows[:, ::-1]).astype(jnp.int8)
    return start, goal


def square(position: jax.Array, num_rows: int) -> jax.Array:
    """Return rows of bits, uint32 [``num_rows``], where only that of ``position`` (y, x) is set."""
    y, x = position.astype(jnp.int32)
    return jnp.where(jnp.arange(num_rows) == y, _bit(x), jnp.uint32(0))


def is_set(rows: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Return whether bit ``x`` of row ``y`` is set: bool, in the shape of ``y`` and ``x``."""
    return (rows[y] >> x.astype(jnp.uint32)) & 1 == 1


def count(rows: jax.Array) -> jax.Array:
    """Return how many bits are set: int32 []."""
    return jax.lax.population_count(rows).astype(jnp.int32).sum()


def _below(bound: jax.Array | int, draw: jax.Array) -> jax.Array:
    """Turn draws from [0, 1) into integers from 0 to ``bound`` - 1, all equally likely."""
    return jnp.floor(draw * bound).astype(jnp.int32)


def _bit(x: jax.Array) -> jax.Array:
    return jnp.uint32(1) << x.astype(jnp.uint32)


def _odd_bits(side: int) -> int:
    return sum(1 << x for x in range(1, side, 2))


def _cell_bit(cell: jax.Array, cells: int) -> jax.Array:
    """Return rows of cells, uint32 [m]: column c is bit 2 c + 1, as in the rows of squares."""
    return square(cell.astype(jnp.int32) * jnp.array([1, 2]) + jnp.array([0, 1]), cells)


def _beside(rows: jax.Array) -> jax.Array:
    """Return the cells next to those set in ``rows`` (and bits beyond the edges)."""
    edge = jnp.zeros(1, jnp.uint32)
    above, below = jnp.concatenate([rows[1:], edge]), jnp.concatenate([edge, rows[:-1]])
    return rows << 2 | rows >> 2 | above | below


def _choose(rows: jax.Array, draw: jax.Array) -> jax.Array:
    """Return row and column of one of the cells set in ``rows``, all equally likely: int32 [2]."""
    per_row = jax.lax.population_count(rows).astype(jnp.int32)
    places = jnp.arange(rows.size)
    up_to_row = jnp.cumsum(per_row)
    rank = _below(up_to_row[-1], draw)
    row = (up_to_row <= rank).sum()
    # Selects and sums, not gathers: XLA fuses them.
    word = jnp.where(places == row, rows, jnp.uint32(0)).sum(dtype=jnp.uint32)
    rank = rank - jnp.where(places < row, per_row, 0).sum()
    up_to_column = jax.lax.population_count(word & (_bit(2 * places + 2) - jnp.uint32(1)))
    column = (up_to_column.astype(jnp.int32) <= rank).sum()
    return jnp.stack([row, column])
