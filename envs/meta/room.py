"""What dark rooms share: a square of cells in which the player sees nothing but where it is."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment

from envs.settings import check_range
from envs.spaces import Discrete, MultiDiscrete

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # stay, up, down, left, right
MOST_CELLS, MOST_STEPS = 2**7 - 1, 2**15 - 1  # what the states' int8 and int16 hold


class Room(environment.Environment):
    """A square room whose walls stop the player.

    Observation: MultiDiscrete([size, size]), the player's row and column. Action: 0 stay, 1 up
    (to row 0), 2 down, 3 left, 4 right. Subclasses have states with ``position``, int8 [2], and
    ``time``, int16 [], and params with ``max_steps_in_episode``.
    """

    def __init__(self, size: int, max_steps: int):
        super().__init__()
        check_range(self.name, "size", size, 2, MOST_CELLS)
        check_range(self.name, "max_steps", max_steps, 1, MOST_STEPS)
        self.size = size

    def centre(self) -> jax.Array:
        """Return the middle cell: int8 [2]."""
        return jnp.full(2, self.size // 2, jnp.int8)

    def any_cell(self, key: jax.Array) -> jax.Array:
        """Return a cell drawn uniformly: int8 [2]."""
        return jax.random.randint(key, (2,), 0, self.size, jnp.int8)

    def moved(self, position: jax.Array, action: jax.Array) -> jax.Array:
        """Return where the player stands after its action: int8 [2]."""
        return jnp.clip(position + jnp.asarray(MOVES, jnp.int8)[action], 0, self.size - 1)

    def seen(self, position: jax.Array) -> jax.Array:
        """Return the observation: int32 [2]."""
        return position.astype(jnp.int32)

    @property
    def num_actions(self) -> int:
        """Staying and four moves."""
        return len(MOVES)

    def action_space(self, params: Any = None) -> Discrete:
        """Return the five actions."""
        return Discrete(len(MOVES))

    def observation_space(self, params: Any) -> MultiDiscrete:
        """Return row and column."""
        return MultiDiscrete([self.size, self.size])

    def drawn(self, marks: Iterable[tuple[str, Any]]) -> str:
        """Return the room as text, each mark at its position; the last one covers the others."""
        rows = [["."] * self.size for _ in range(self.size)]
        for mark, (row, column) in marks:
            rows[int(row)][int(column)] = mark
        return "\n".join(" ".join(row) for row in rows)


def same(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return whether two positions [..., 2] are the same: bool [...]."""
    return (a == b).all(axis=-1)


def steps_between(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return how many steps it takes from a to b, [..., 2], and 1 to stay: int32 [...]."""
    apart = abs(a.astype(jnp.int32) - b.astype(jnp.int32)).sum(axis=-1)
    return jnp.maximum(apart, 1)
