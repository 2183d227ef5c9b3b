"""POPGym's Battleship: sink a hidden fleet, told only of hits and misses."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.fixed import FixedEnvironment, NoParams, narrow_int
from envs.settings import whole_numbers
from envs.spaces import Box, Discrete, MultiDiscrete
from ssmrl.errors import UsageError

Ship = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # top, left, bottom, right; all inclusive


@struct.dataclass
class EnvState:
    """The fleet, and where the agent has shot."""

    ships: jax.Array  # integers [S, 4]: each ship's first and last row and column, as in Ship
    guessed: jax.Array  # bool [board_size, board_size]: cells shot at
    hits: jax.Array  # int32 []: cells of ships shot at
    time: jax.Array  # int32 []: steps taken


class Battleship(FixedEnvironment):
    """Shoot at the cells of a square board on which straight ships lie.

    Rules of popgym 1.0.7. Action: (row, column), MultiDiscrete. Observation: Discrete(2), 1 for
    a hit; 0 after ``reset``, for water, and for a cell shot at before, be it a ship's or not.
    With n = ``board_size`` and c cells of ships, a hit pays 1/c and all else -1/(n² - c), so the
    perfect return is 1 and a shot at every cell gives 0. The last hit terminates, step n²
    truncates, and a last hit in step n² does both. The cell is not in the observation: it must
    be remembered or appended (``PreviousAction``).

    The ships are placed one after the other, each uniformly among the places that the earlier
    ones leave free. That is popgym's law: it draws one end and one of four directions until the
    ship fits, and every place has two ends, so all that fit are equally likely.

    Args:
        board_size: n; 8, 10, 12 on the levels Easy, Medium, Hard.
        ship_sizes: lengths in the order of placement, each at least 1. ``UsageError`` where an
            unlucky order could leave no place: c must be less than n * floor(n / longest).
        legacy: as in popjaxrl, the port of Lu et al. 2023, the action is n * row + column,
            Discrete; the observation is one float, 0 or 1; and step n² terminates, so that
            agents do not bootstrap there.
    """

    def __init__(
        self, board_size: int = 10, ship_sizes: Sequence[int] = (2, 3, 3, 4), legacy: bool = False
    ):
        super().__init__()
        ship_sizes = whole_numbers(self.name, "ship_sizes", ship_sizes, 1)
        self.num_ship_cells = sum(ship_sizes)
        # A line without room for the longest ship has a cell taken in each of its n // longest
        # parts; with fewer cells than that in all rows together, some row has room.
        if self.num_ship_cells >= board_size * (board_size // max(ship_sizes)):
            raise UsageError(
                f"environment {self.name!r}: ships of {list(ship_sizes)} cells may not fit on a "
                f"board of board_size {board_size}; take a larger board_size or fewer cells"
            )
        self.board_size = board_size
        self.ship_sizes = ship_sizes
        self.legacy = legacy

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[jax.Array, EnvState]:
        """Place the fleet."""
        ships: list[Ship] = []
        keys = jax.random.split(key, len(self.ship_sizes))
        for size, key_ship in zip(self.ship_sizes, keys, strict=True):
            ships.append(_place(key_ship, self.board_size, size, ships))
        state = EnvState(
            ships=jnp.array(ships).astype(narrow_int(self.board_size)),
            guessed=jnp.zeros((self.board_size, self.board_size), bool),
            hits=jnp.int32(0),
            time=jnp.int32(0),
        )
        return self._observe(jnp.zeros((), bool)), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Shoot at one cell."""
        row, column = divmod(action, self.board_size) if self.legacy else (action[0], action[1])
        top, left, bottom, right = state.ships.T
        is_ship = (top <= row) & (row <= bottom) & (left <= column) & (column <= right)
        hit = is_ship.any() & ~state.guessed[row, column]
        num_water = self.board_size**2 - self.num_ship_cells
        reward = jnp.where(hit, jnp.float32(1 / self.num_ship_cells), -1 / num_water)

        place = jnp.arange(self.board_size)
        state = EnvState(
            ships=state.ships,
            guessed=state.guessed | ((place == row)[:, None] & (place == column)[None]),
            hits=state.hits + hit,
            time=state.time + 1,
        )
        return self._observe(hit), state, reward, self.is_terminated(state, params), {}

    def _observe(self, hit: jax.Array) -> jax.Array:
        return hit.astype(jnp.float32).reshape(1) if self.legacy else hit.astype(jnp.int32)

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether the fleet is sunk."""
        sunk = state.hits == self.num_ship_cells
        return sunk | self._is_out_of_time(state) if self.legacy else sunk

    def is_truncated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether there were as many shots as cells."""
        return jnp.zeros((), bool) if self.legacy else self._is_out_of_time(state)

    def _is_out_of_time(self, state: EnvState) -> jax.Array:
        return state.time >= self.board_size**2

    @property
    def num_actions(self) -> int:
        """The number of cells."""
        return self.board_size**2

    def action_space(self, params: NoParams | None = None) -> MultiDiscrete | Discrete:
        """Return the cell to shoot at."""
        return Discrete(self.num_actions) if self.legacy else MultiDiscrete([self.board_size] * 2)

    def observation_space(self, params: NoParams) -> Discrete | Box:
        """Return whether the last shot hit."""
        return Box(0.0, 1.0, (1,), jnp.float32) if self.legacy else Discrete(2)

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return the board: ships ☐, hits ☒, misses ⚬, water ·; the agent knows only ☒ and ⚬.

        One concrete state, outside jit.
        """
        is_ship = np.zeros((self.board_size, self.board_size), int)
        for top, left, bottom, right in np.asarray(state.ships):
            is_ship[top : bottom + 1, left : right + 1] = 1
        picture = np.array(["·☐", "⚬☒"]).view("U1").reshape(2, 2)
        rows = picture[np.asarray(state.guessed).astype(int), is_ship]
        hits = f"{int(state.hits)} of {self.num_ship_cells} hit"
        time = f"step {int(state.time)} of {self.board_size**2}"
        return "\n".join([*(" ".join(row) for row in rows), f"{time}, {hits}"])


def _place(key: jax.Array, board_size: int, size: int, ships: list[Ship]) -> Ship:
    """Return a ship of ``size`` cells, uniform among the places that ``ships`` leave free.

    Places are numbered by line (rows, then columns) and by offset in the line. A random number
    below the count of free places is looked up first among the lines and then in one line:
    a few thousand comparisons, where popgym's rejection has no bound.
    """
    line, offset = np.indices((2 * board_size, board_size - size + 1))
    is_row = line < board_size
    top, left, bottom, right = _cells_of(is_row, line % board_size, offset, size)
    free = jnp.ones(line.shape, bool)
    for ship_top, ship_left, ship_bottom, ship_right in ships:
        is_apart = (bottom < ship_top) | (top > ship_bottom)
        free &= is_apart | (right < ship_left) | (left > ship_right)

    ends = jnp.cumsum(free.sum(axis=1))
    number = jax.random.randint(key, (), 0, ends[-1])
    is_before = ends <= number
    chosen = is_before.sum()
    number -= jnp.where(is_before, ends, 0).max()
    offset_chosen = (jnp.cumsum(free[chosen]) <= number).sum()
    return _cells_of(chosen < board_size, chosen % board_size, offset_chosen, size)


def _cells_of(is_row: Any, across: Any, along: Any, size: int) -> Ship:
    """Return the ends of a ship that begins at offset ``along`` of row or column ``across``."""
    top, left = jnp.where(is_row, across, along), jnp.where(is_row, along, across)
    return top, left, top + jnp.where(is_row, 0, size - 1), left + jnp.where(is_row, size - 1, 0)
