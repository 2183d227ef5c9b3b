"""POPGym's MineSweeper: clear a field of mines, told only the count of mines around a cell."""

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

MOST_SEEN = 9  # mines in and around a cell


@struct.dataclass
class EnvState:
    """The minefield. Cells are numbered row by row."""

    mines: jax.Array  # integers [num_mines]: cells, all different, in no order
    viewed: jax.Array  # bool [rows * columns]: cells that the agent has looked at
    num_cleared: jax.Array  # int32 []: those without a mine
    exploded: jax.Array  # bool []: whether one had a mine
    time: jax.Array  # int32 []: steps taken


class MineSweeper(FixedEnvironment):
    """View every cell of a field but those with mines.

    Rules of popgym 1.0.7. Action: (row, column), MultiDiscrete. Observation: the number of mines
    in the cell and its up to eight neighbours, Discrete; 0 after ``reset``. With c cells free of
    mines, a new free cell pays 1/c; one viewed before -0.5/(c - 2); a mine -0.5 - 1/c, and it
    terminates. The perfect return is 1. The last free cell terminates; step c truncates unless
    it terminates, so a single repeat makes a win impossible. The cell is not in the observation:
    it must be remembered or appended (``PreviousAction``).

    Args:
        dims: rows and columns; 4×4, 6×6, 8×8 on the levels Easy, Medium, Hard.
        num_mines: at least 1, and at most rows * columns - 3 (``UsageError`` otherwise); 2, 6,
            10 on the three levels.
        legacy: as in popjaxrl, the port of Lu et al. 2023, the action is columns * row + column,
            Discrete. The observation is float32 [num_mines], one-hot, so that a count equal to
            ``num_mines`` (and what ``reset`` gives) is all zeros. A cleared field does not end
            an episode: step c + 1 terminates, as a mine does, and nothing truncates.
    """

    def __init__(self, dims: Sequence[int] = (4, 4), num_mines: int = 2, legacy: bool = False):
        super().__init__()
        self.dims = whole_numbers(self.name, "dims", dims, 1)
        if len(self.dims) != 2:
            raise UsageError(
                f"environment {self.name!r}: dims must be rows and columns, not {dims}"
            )
        self.num_cells = self.dims[0] * self.dims[1]
        if not 1 <= num_mines <= self.num_cells - 3:
            raise UsageError(
                f"environment {self.name!r}: num_mines must be 1 to {self.num_cells - 3} on "
                f"{self.num_cells} cells, not {num_mines}"
            )
        self.num_mines = num_mines
        self.num_free = self.num_cells - num_mines
        self.legacy = legacy

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[jax.Array, EnvState]:
        """Lay the mines."""
        state = EnvState(
            mines=self._lay_mines(key),
            viewed=jnp.zeros(self.num_cells, bool),
            num_cleared=jnp.int32(0),
            exploded=jnp.zeros((), bool),
            time=jnp.int32(0),
        )
        return jnp.zeros(self.num_mines) if self.legacy else jnp.int32(0), state

    def _lay_mines(self, key: jax.Array) -> jax.Array:
        """Return ``num_mines`` different cells, every set equally likely: [num_mines].

        By Floyd's algorithm (Bentley, CACM 30(9), 1987): the i-th draw is from one cell more than
        the one before, and that cell takes the place of what was drawn before. No sort, and no
        random number for each cell, as an auto-reset comes here in every step.
        """
        newest = range(self.num_free, self.num_cells)
        drawn = jax.random.randint(key, (self.num_mines,), 0, jnp.array(newest) + 1)
        mines: list[jax.Array] = []
        for i, cell in enumerate(newest):
            taken = jnp.zeros((), bool)
            for mine in mines:
                taken |= mine == drawn[i]
            mines.append(jnp.where(taken, cell, drawn[i]))
        return jnp.stack(mines).astype(narrow_int(self.num_cells))

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """View one cell."""
        columns = self.dims[1]
        row, column = divmod(action, columns) if self.legacy else (action[0], action[1])
        cell = row * columns + column
        mine_row, mine_column = divmod(state.mines, columns)
        near = (jnp.abs(mine_row - row) <= 1) & (jnp.abs(mine_column - column) <= 1)
        is_mine = (state.mines == cell).any()
        seen_before = state.viewed[cell]
        reward = jnp.where(seen_before, jnp.float32(-0.5 / (self.num_free - 2)), 1 / self.num_free)
        reward = jnp.where(is_mine, -0.5 - 1 / self.num_free, reward)

        state = EnvState(
            mines=state.mines,
            viewed=state.viewed | (jnp.arange(self.num_cells) == cell),
            num_cleared=state.num_cleared + (~is_mine & ~seen_before),
            exploded=is_mine,
            time=state.time + 1,
        )
        obs = self._observe(near.sum(dtype=jnp.int32))
        return obs, state, reward, self.is_terminated(state, params), {}

    def _observe(self, count: jax.Array) -> jax.Array:
        if not self.legacy:
            return count
        return (jnp.arange(self.num_mines) == count).astype(jnp.float32)

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether a mine went off or all other cells are viewed."""
        if self.legacy:
            return state.exploded | (state.time > self.num_free)
        return state.exploded | (state.num_cleared == self.num_free)

    def is_truncated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether there were as many steps as cells without a mine, in vain."""
        if self.legacy:
            return jnp.zeros((), bool)
        return (state.time >= self.num_free) & ~self.is_terminated(state, params)

    @property
    def num_actions(self) -> int:
        """The number of cells."""
        return self.num_cells

    def action_space(self, params: NoParams | None = None) -> MultiDiscrete | Discrete:
        """Return the cell to view."""
        return Discrete(self.num_cells) if self.legacy else MultiDiscrete(self.dims)

    def observation_space(self, params: NoParams) -> Discrete | Box:
        """Return the number of mines in and around the cell viewed last."""
        if self.legacy:
            return Box(0.0, 1.0, (self.num_mines,), jnp.float32)
        return Discrete(min(self.num_mines, MOST_SEEN) + 1)

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return the field: mines *, the one that went off X, counts where the agent has viewed
        (all that it knows), · elsewhere. One concrete state, outside jit.
        """
        rows, columns = self.dims
        padded = np.zeros((rows + 2, columns + 2), int)
        for mine in np.asarray(state.mines):
            row, column = divmod(int(mine), columns)
            padded[row : row + 3, column : column + 3] += 1
        counts = padded[1:-1, 1:-1].ravel()
        viewed = np.asarray(state.viewed)
        cells = np.where(viewed, counts.astype(str), "·")
        cells[np.asarray(state.mines)] = np.where(viewed[np.asarray(state.mines)], "X", "*")
        lines = [" ".join(line) for line in cells.reshape(rows, columns)]
        time = f"step {int(state.time)} of {self.num_free + self.legacy}"
        return "\n".join([*lines, f"{time}, {int(state.num_cleared)} of {self.num_free} cleared"])
