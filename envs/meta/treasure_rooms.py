"""Dark treasure rooms: treasures and traps in a room in which nothing can be seen."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.meta.room import MOVES, Room, same
from envs.meta.trial import Trial
from envs.settings import check_range

SIZE, NUM_OBJECTS, NUM_STEPS = 9, 8, 9
MOST = 2.0  # what an object can be worth


@struct.dataclass
class EnvState:
    """Where the player is, and what is gone."""

    position: jax.Array  # int8 [2]: row and column
    is_taken: jax.Array  # bool [8]
    time: jax.Array  # int16 []: steps taken


@struct.dataclass
class EnvParams:
    """The task, and what it is drawn from."""

    cells: jax.Array  # int8 [8, 2]: where the objects are
    values: jax.Array  # float32 [8]: what they pay
    least: float = -4.0  # what an object can be worth
    max_steps_in_episode: int = NUM_STEPS


class DarkTreasureRoom(Room):
    """Look for treasures among traps, then collect the treasures alone.

    Norman and Clune 2023 ("First-Explore"): 9 x 9 cells, 9 steps, 8 objects in cells drawn
    uniformly (several may share one), each worth a number drawn uniformly from ``least`` to 2. The
    player starts in the middle. Observation: MultiDiscrete([9, 9]), its row and column. Action: 0
    stay, 1 up, 2 down, 3 left, 4 right; walls stop it. Reward: what the objects are worth in the
    cell where a step ends (staying is a step), once in an inner episode; they are back in the next
    one. As in the published code an object in the middle is taken by staying there or returning.

    With a ``least`` of -4 two objects in three are traps, and looking pays only for players that
    come back to what they found more than three times; with 0 there are no traps. Published returns
    of ten inner episodes with -4 / 0: 2.0 / 11.1 (First-Explore), 0.2 / 9.6 (VariBAD), 0.2 / 7.2
    (RL²), -5.5 for a random player.

    Args:
        least: the smallest worth, from -100 to 2.

    Raises ``UsageError`` for other values.
    """

    def __init__(self, least: float = -4.0):
        super().__init__(SIZE, NUM_STEPS)
        check_range(self.name, "least", least, -100, MOST)
        self._least = least

    @property
    def default_params(self) -> EnvParams:
        """A room with nothing in it but worthless objects in a corner, from which tasks come."""
        cells = jnp.zeros((NUM_OBJECTS, 2), jnp.int8)
        return EnvParams(cells, jnp.zeros(NUM_OBJECTS), self._least)

    def draw_task(self, key: jax.Array, params: EnvParams) -> EnvParams:
        """Draw where the objects are and what they are worth."""
        key_cells, key_values = jax.random.split(key)
        cells = jax.random.randint(key_cells, (NUM_OBJECTS, 2), 0, SIZE, jnp.int8)
        values = jax.random.uniform(key_values, (NUM_OBJECTS,), minval=params.least, maxval=MOST)
        return dataclasses.replace(params, cells=cells, values=values)

    def optimal_return(self, params: EnvParams) -> jax.Array:
        """Return what the best way of 9 steps collects: float32 []."""
        start = self.centre().astype(jnp.int32) @ jnp.array([SIZE, 1])
        return self.best_returns(params, NUM_STEPS)[start, 0]

    def best_returns(self, params: EnvParams, num_steps: jax.Array | int) -> jax.Array:
        """Return what the best way of so many steps collects: float32 [cell, set of what is taken].

        Cells are in row-major order; in a set, object i is the bit 2^i. By dynamic programming over
        the 81 x 256 states.
        """
        cells = jnp.stack(jnp.divmod(jnp.arange(SIZE**2), SIZE), axis=-1)
        is_here = same(cells[:, None], params.cells[None].astype(jnp.int32))  # [cell, object]
        bits = 2 ** jnp.arange(NUM_OBJECTS)
        sets = jnp.arange(2**NUM_OBJECTS)
        is_there = (sets[:, None] & bits[None]) == 0  # [set, object]
        pay = jnp.matmul(is_here * params.values[None], is_there.T, precision="highest")
        then = sets[None] | (is_here @ bits)[:, None]  # [cell, set]: the set after a step to it
        steps = jax.vmap(self.moved, (None, 0))
        to = jax.vmap(steps, (0, None))(cells, jnp.arange(len(MOVES))) @ jnp.array([SIZE, 1])

        def earlier(_: Any, best: jax.Array) -> jax.Array:
            entered = pay + jnp.take_along_axis(best, then, axis=1)
            return entered[to].max(axis=1)

        first = jnp.zeros((SIZE**2, 2**NUM_OBJECTS))
        return jax.lax.fori_loop(0, num_steps, earlier, first)

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Put the player in the middle, and all objects back."""
        nothing = jnp.zeros(NUM_OBJECTS, bool)
        return self.seen(self.centre()), EnvState(self.centre(), nothing, jnp.int16(0))

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Take a step, and what lies there."""
        position = self.moved(state.position, action)
        finds = same(position[None], params.cells) & ~state.is_taken
        reward = jnp.where(finds, params.values, 0.0).sum()
        state = EnvState(position, state.is_taken | finds, state.time + 1)
        return self.seen(position), state, reward, jnp.zeros((), bool), {}

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return the room: the player @, and the worth of what is left as + or - in each cell."""
        params = self.default_params if params is None else params
        left = [i for i, taken in enumerate(state.is_taken.tolist()) if not taken]
        worth: dict[tuple[int, ...], float] = {}
        for i in left:
            cell = tuple(params.cells[i].tolist())
            worth[cell] = worth.get(cell, 0.0) + float(params.values[i])
        marks = [("+" if value > 0 else "-", cell) for cell, value in worth.items()]
        values = "  ".join(f"{cell}: {value:.2f}" for cell, value in sorted(worth.items()))
        return self.drawn([*marks, ("@", state.position)]) + "\n" + values


def dark_treasure_rooms(least: float = -4.0, num_episodes: int = 10) -> Trial:
    """Return trials of ``num_episodes`` inner episodes in a ``DarkTreasureRoom``."""
    env = DarkTreasureRoom(least)
    return Trial(env, env.default_params, num_episodes)


FACTORIES: dict[str, Callable[..., Any]] = {"meta/DarkTreasureRooms": dark_treasure_rooms}
