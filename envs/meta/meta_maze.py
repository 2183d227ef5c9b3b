"""gymnax's MetaMaze: a maze whose goal is found again and again."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments.misc import meta_maze

from envs.meta.trial import Trial
from envs.spaces import Box


class MetaMaze(meta_maze.MetaMaze):
    """Find a goal in a maze, and find it again from wherever you are put then, for 200 steps.

    gymnax's MetaMaze-misc (after Miconi et al. 2019), whose episode is a whole trial already: the
    walls are always the same, the goal is drawn once, and whoever reaches it is put anywhere. So a
    trial is one inner episode here. Observation: float32 [15], walls of the 3 x 3 cells around,
    last action (one-hot), last reward, steps taken. Action: a step 0 up, 1 right, 2 down, 3 left.
    Reward: 10 at the goal, else 0. gymnax's ES-trained LSTM gets 32.

    Two things differ from gymnax. There the episode also ends where a player happens to be put on
    the goal, once in 65 times, which here it does not. And the space of observations holds the
    rewards that are seen.
    """

    @property
    def name(self) -> str:
        """The class, not gymnax's MetaMaze-misc."""
        return type(self).__name__

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, meta_maze.EnvState]:
        """Draw the goal; the player starts in the middle."""
        obs, state = super().reset_env(key, params)
        zero = jnp.float32(0)
        return obs, state.replace(last_action=jnp.int32(0), last_reward=zero, time=zero)

    def is_terminated(self, state: meta_maze.EnvState, params: Any) -> jax.Array:
        """Return false: only time ends an episode."""
        return jnp.zeros((), bool)

    def observation_space(self, params: Any) -> Box:
        """Return the Box [15] with the bounds of the rewards."""
        space = super().observation_space(params)
        seen = jnp.array([0.0, params.reward, params.punishment, params.reward + params.punishment])
        low, high = space.low.at[-2].set(seen.min()), space.high.at[-2].set(seen.max())
        return Box(low, high, space.shape, space.dtype)

    def optimal_return(self, params: Any) -> jax.Array:
        """Return the mean, over goals, of what a player that knows the goal expects: float32 []."""
        cells = np.asarray(self.coords)
        number = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
        moves = (cells[:, None] + np.asarray(self.directions)).tolist()
        to = np.array([[number.get(tuple(c), i) for c in row] for i, row in enumerate(moves)])
        is_goal = jax.nn.one_hot(to, len(cells), dtype=bool)  # [cell, action, goal]

        def earlier(_: Any, best: jax.Array) -> jax.Array:
            found = params.reward + best.mean(axis=0)  # [goal]: paid, and put anywhere
            return jnp.where(is_goal, found[None, None], best[to]).max(axis=1)

        never = jnp.zeros((len(cells), len(cells)))
        best = jax.lax.fori_loop(0, params.max_steps_in_episode, earlier, never)
        return best[number[tuple(np.asarray(self.center_position).tolist())]].mean()

    def render(self, state: meta_maze.EnvState, params: Any = None) -> str:
        """Return the maze: the player @, the goal $, walls #."""
        rows = [["." if free else "#" for free in row] for row in self.env_map.tolist()]
        for mark, (row, column) in (("$", state.goal.tolist()), ("@", state.pos.tolist())):
            rows[row][column] = mark
        return "\n".join("".join(row) for row in rows)


def maze() -> Trial:
    """Return trials of one inner episode in the ``MetaMaze``."""
    env = MetaMaze()
    return Trial(env, env.default_params, num_episodes=1)


FACTORIES: dict[str, Callable[..., Any]] = {"meta/MetaMaze": maze}
