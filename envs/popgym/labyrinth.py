"""POPGym's labyrinths: a new maze in every episode, seen three squares by three at a time."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.fixed import FixedEnvironment, NoParams
from envs.popgym import maze
from envs.settings import check_range
from envs.spaces import Discrete, MultiDiscrete
from ssmrl.errors import UsageError

FREE, OBSTACLE, START, GOAL = range(4)  # what a square of the view says; 4 never occurs
NUM_CELL_KINDS = 5
LEFT, RIGHT, UP, DOWN, NONE = range(5)  # NONE is the "previous action" of the first observation
DELTAS = ((0, -1), (0, 1), (-1, 0), (1, 0))  # (y, x) of LEFT, RIGHT, UP, DOWN


@struct.dataclass
class EnvState:
    """A maze with its player, and the maze of the next episode. Rows of squares are bits."""

    open: jax.Array  # uint32 [S]: bit x of row y is set where the square (y, x) may be entered
    explored: jax.Array  # uint32 [S]: where the player has been
    position: jax.Array  # int8 [2]: (y, x), from the top left corner
    start: jax.Array  # int8 [2]
    goal: jax.Array  # int8 [2]: part of the wall in LabyrinthExplore
    time: jax.Array  # int32 []: steps taken
    next: maze.Growth


class Labyrinth(FixedEnvironment):
    """What LabyrinthExplore and LabyrinthEscape share: everything but reward and end.

    Rules of popgym 1.0.7. The maze has S x S squares, S = ``size`` + 1, walls included (see
    ``envs.popgym.maze`` for its law). The player starts on a square in the outer wall. Action:
    Discrete(4), left, right, up, down; a move into a wall or out of the maze stays where it is.

    Observation: int32 [10], MultiDiscrete([5] * 10). First the view, 3 x 3 squares row by row (0
    free, 1 obstacle, 2 start, 3 goal), then the previous action, 4 in the first observation. The
    view's centre is the player, but in the top row or the leftmost column of the maze popgym does
    not pad where squares are missing: there the player stands in the view's top row or left
    column, and the far side is filled up with obstacles.

    An episode truncates in step T - 1, T = ``episode_length``.

    Args:
        size: S - 1, even and from 6 to 30; 10, 14, 18 on the levels Easy, Medium, Hard.
        episode_length: T, at least 2.

    Raises ``UsageError`` where ``size`` or ``episode_length`` is none of these.
    """

    goal_is_open = False

    def __init__(self, size: int = 10, episode_length: int = 1024):
        super().__init__()
        if size not in range(6, 31, 2):
            raise UsageError(
                f"environment {self.name!r}: size must be even and from 6 to 30, not {size}"
            )
        check_range(self.name, "episode_length", episode_length, 2)
        self.side = size + 1
        self.cells = size // 2
        self.episode_length = episode_length
        shortest = min(self.shortest_episode(), episode_length - 1)
        self.moves_per_step = -(-(self.cells**2 - 1) // shortest)

    def shortest_episode(self) -> int:
        """Return the least number of steps to a termination; the next maze is ready by then."""
        raise NotImplementedError

    def score(self, state: EnvState, is_new: jax.Array) -> jax.Array:
        """Return the reward of a step to ``state``; ``is_new``: to a square unexplored before."""
        raise NotImplementedError

    @functools.partial(jax.jit, static_argnames=("self",))
    def step(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams | None = None
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, jax.Array, dict[Any, Any]]:
        """Step; an ended episode is followed by one in the maze that has grown meanwhile."""
        params = self.default_params if params is None else params
        # All from one call of the generator of random numbers: each costs as much as a move.
        draws = jax.random.uniform(key, (2 + self.moves_per_step, 3))
        final_obs, last, reward, terminated, info = self._play(draws[2:], state, action, params)
        truncated = self.is_truncated(last, params)
        first_obs, first = self._begin(draws[:2], last.next.open)
        ended = terminated | truncated
        obs, state = jax.tree.map(
            lambda first, last: jnp.where(ended, first, last), (first_obs, first), (final_obs, last)
        )
        flags = {"terminated": terminated, "truncated": truncated}
        info = {**info, **flags, "final_observation": final_obs}
        return obs, state, reward, terminated, truncated, info

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[jax.Array, EnvState]:
        """Generate a whole maze, which is slow; the auto-reset takes the one that has grown."""
        draws = jax.random.uniform(key, (2 + self.cells**2, 3))
        return self._begin(draws[:2], maze.generate(draws[2:], self.cells))

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Move the player, and let the next maze grow."""
        return self._play(jax.random.uniform(key, (self.moves_per_step, 3)), state, action, params)

    def is_truncated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether time is up."""
        return state.time >= self.episode_length - 1

    @property
    def num_actions(self) -> int:
        """The four directions."""
        return len(DELTAS)

    def action_space(self, params: NoParams | None = None) -> Discrete:
        """Return the direction of the move."""
        return Discrete(len(DELTAS))

    def observation_space(self, params: NoParams) -> MultiDiscrete:
        """Return the nine squares in view and the previous action."""
        return MultiDiscrete([NUM_CELL_KINDS] * 9 + [len(DELTAS) + 1])

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return the maze as text: @ player, S start, G goal, · explored; walls in view are █."""
        y, x = np.asarray(state.position).tolist()
        marks = {tuple(np.asarray(state.goal).tolist()): "G"} if self.goal_is_open else {}
        marks |= {tuple(np.asarray(state.start).tolist()): "S", (y, x): "@"}
        rows = np.asarray(state.open).tolist()
        explored = np.asarray(state.explored).tolist()

        def symbol(i: int, j: int) -> str:
            if (i, j) in marks:
                return marks[i, j]
            if rows[i] >> j & 1:
                return "·" if explored[i] >> j & 1 else " "
            return "█" if abs(i - y) <= 1 and abs(j - x) <= 1 else "░"

        squares = range(self.side)
        return "\n".join("".join(symbol(i, j) for j in squares) for i in squares)

    def _play(
        self, draws: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        position = state.position.astype(jnp.int32)
        target = jnp.clip(position + jnp.array(DELTAS)[action], 0, self.side - 1)
        position = jnp.where(maze.is_set(state.open, *target), target, position)
        is_new = ~maze.is_set(state.explored, *position)
        state = state.replace(  # type: ignore[attr-defined]
            explored=state.explored | maze.square(position, self.side),
            position=position.astype(jnp.int8),
            time=state.time + 1,
            next=maze.grow_by(state.next, draws),
        )
        reward = self.score(state, is_new)
        return self._look(state, action), state, reward, self.is_terminated(state, params), {}

    def _begin(self, draws: jax.Array, open_rows: jax.Array) -> tuple[jax.Array, EnvState]:
        start, goal = maze.entrances(draws[0], self.cells)
        at_start = maze.square(start, self.side)
        ways = at_start | maze.square(goal, self.side) if self.goal_is_open else at_start
        state = EnvState(
            open=open_rows | ways,
            explored=at_start,
            position=start,
            start=start,
            goal=goal,
            time=jnp.int32(0),
            next=maze.begin_growth(draws[1, :2], self.cells),
        )
        return self._look(state, jnp.int32(NONE)), state

    def _look(self, state: EnvState, action: jax.Array) -> jax.Array:
        position = state.position.astype(jnp.int32)
        last = jnp.minimum(position + 1, self.side - 1)
        offsets = jnp.arange(3)
        ys, xs = (first + offsets for first in jnp.maximum(position - 1, 0))
        y, x = ys[:, None], xs[None, :]
        inside = (y <= last[0]) & (x <= last[1])
        view = jnp.where(maze.is_set(state.open, y, x), FREE, OBSTACLE)
        view = jnp.where((y == state.start[0]) & (x == state.start[1]), START, view)
        if self.goal_is_open:
            view = jnp.where((y == state.goal[0]) & (x == state.goal[1]), GOAL, view)
        view = jnp.where(inside, view, OBSTACLE).reshape(9)
        return jnp.append(view, action).astype(jnp.int32)


class LabyrinthExplore(Labyrinth):
    """Visit every square of a maze.

    Rules of popgym 1.0.7, on top of those of ``Labyrinth``. Reward: 1/F for a step to a square
    unexplored before, F the number of free squares without the start; -1/T for any other step.
    Terminates when all are explored, which an incomplete maze may make impossible. The goal that
    popgym draws stays a wall.

    The best return is 1 - (F - D)/T, D being the distance to the farthest square: all but the way
    there are walked twice. F is 49, 97, 161 in complete mazes on the levels Easy, Medium, Hard
    and an episode has at least F steps, at most T - 1 = 1023.
    """

    def shortest_episode(self) -> int:
        """Return F of a complete maze."""
        return 2 * self.cells**2 - 1

    def score(self, state: EnvState, is_new: jax.Array) -> jax.Array:
        """Return 1/F or -1/T."""
        return jnp.where(is_new, 1.0 / (maze.count(state.open) - 1), -1.0 / self.episode_length)

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether every square has been visited."""
        return (state.explored == state.open).all()


class LabyrinthEscape(Labyrinth):
    """Find the way out of a maze, on the side opposite the start.

    Rules of popgym 1.0.7, on top of those of ``Labyrinth``. Reward: -1/T in every step, and 1 more
    at the goal, which terminates; the goal's square is open and seen in the view. The best return
    is 1 - L/T with L the length of the way, at least ``size``; an incomplete maze may have none.
    """

    goal_is_open = True

    def shortest_episode(self) -> int:
        """Return the distance of opposite sides."""
        return self.side - 1

    def score(self, state: EnvState, is_new: jax.Array) -> jax.Array:
        """Return -1/T, with 1 more at the goal."""
        return jnp.where(self._at_goal(state), 1.0, 0.0) - 1.0 / self.episode_length

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether the goal is reached."""
        return self._at_goal(state)

    def _at_goal(self, state: EnvState) -> jax.Array:
        return (state.position == state.goal).all()
