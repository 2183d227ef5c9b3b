"""The T-maze: a cue at the start tells which way to turn at the far end of a corridor."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.recall.task import RecallTask
from envs.settings import check_range
from envs.spaces import Box

EAST, NORTH, WEST, SOUTH = range(4)


@struct.dataclass
class EnvState:
    """Where the player and the goal are."""

    x: jax.Array  # int32 []: 0 at the oracle, the junction at the other end
    y: jax.Array  # int32 []: 1 in the northern arm of the T, -1 in the southern, else 0
    goal: jax.Array  # int8 []: 1 or -1, the arm that pays
    has_asked: jax.Array  # bool []: the cue was seen, and is not shown again
    time: jax.Array  # int32 []: steps taken


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    corridor_length: int = 10  # steps from the start to the junction
    oracle_length: int = 0  # steps from the start back to the oracle
    lag_penalty: float = 1.0  # what standing still for corridor_length steps costs


class TMaze(RecallTask):
    """Walk down a corridor and turn into the arm that the cue at its start named.

    The maze of Bakker 2001 with the rules, observations and rewards of Ni et al. 2023 ("When do
    transformers shine in RL?"): passive with ``oracle_length=0``, where the player starts on the
    oracle and sees the cue at once; active with 1, where it must first step back to see it.

    Observation: float32 [2]; (0, cue) on the first visit to the oracle, with ±1 for the northern
    and the southern arm; (0, 0) in the corridor; (1, 0) at the junction; (1, ±1) in an arm.
    Action: a step 0 east, 1 north, 2 west, 3 south; against a wall nothing moves. Walking is an
    action: the corridor must be walked, and an episode is as long as that takes without a pause,
    L + 2 * oracle_length + 1 steps with L = ``corridor_length``.

    Reward: on the last step 1 in the right arm, else 0; before, -lag_penalty/L in each step t = 1,
    2, ... that leaves the player less than t - oracle_length steps east of the oracle, which never
    happens on the best way. The best return is 1; without memory 0.5, for walking and guessing; -1
    for never moving (passive). A ``lag_penalty`` of 0 leaves only the final reward, which is hard
    to find by chance.

    Args:
        corridor_length: L, at least 1.
        oracle_length: at least 0.
        lag_penalty: at least 0.

    Raises ``UsageError`` for anything less.
    """

    num_answers = 4

    def __init__(self, corridor_length: int = 10, oracle_length: int = 0, lag_penalty: float = 1.0):
        super().__init__()
        check_range(self.name, "corridor_length", corridor_length, 1)
        check_range(self.name, "oracle_length", oracle_length, 0)
        check_range(self.name, "lag_penalty", lag_penalty, 0)
        self._params = EnvParams(corridor_length, oracle_length, lag_penalty)

    @property
    def default_params(self) -> EnvParams:
        """The constructor's lengths and penalty."""
        return self._params

    def num_steps(self, params: EnvParams) -> int:
        """Return the way to the oracle, back, down the corridor, and the turn."""
        return params.corridor_length + 2 * params.oracle_length + 1

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Put the player at the start and draw the arm that pays."""
        state = EnvState(
            x=jnp.int32(params.oracle_length),
            y=jnp.int32(0),
            goal=jnp.where(jax.random.bernoulli(key), 1, -1).astype(jnp.int8),
            has_asked=jnp.zeros((), bool),
            time=jnp.int32(0),
        )
        return _look(state, params)

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Take a step; pay for the lag, and at the end for the arm."""
        junction = params.oracle_length + params.corridor_length
        x = state.x + jnp.int32(action == EAST) - jnp.int32(action == WEST)
        y = state.y + jnp.int32(action == NORTH) - jnp.int32(action == SOUTH)
        is_open = jnp.where(y == 0, (x >= 0) & (x <= junction), (x == junction) & (abs(y) == 1))
        state = dataclasses.replace(
            state,
            x=jnp.where(is_open, x, state.x),
            y=jnp.where(is_open, y, state.y),
            time=state.time + 1,
        )
        is_over = self.is_terminated(state, params)
        lags = state.x < state.time - params.oracle_length
        cost = jnp.where(lags, -params.lag_penalty / params.corridor_length, 0.0)
        reward = jnp.where(is_over, (state.y == state.goal).astype(jnp.float32), cost)
        obs, state = _look(state, params)
        return obs, state, reward, is_over, {}

    def observation_space(self, params: EnvParams) -> Box:
        """Return the Box of (at the far end, cue or arm)."""
        return Box(-1, 1, (2,), jnp.float32)

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return the maze: the player @, the arm that pays $, the other x, the oracle ?."""
        params = self.default_params if params is None else params
        width = int(params.corridor_length) + int(params.oracle_length) + 1
        rows = {y: [" "] * (width - 1) + ["$" if y == int(state.goal) else "x"] for y in (1, -1)}
        rows[0] = ["?", *"." * (width - 1)]
        rows[int(state.y)][int(state.x)] = "@"
        return "\n".join("".join(rows[y]) for y in (1, 0, -1))


def _look(state: EnvState, params: EnvParams) -> tuple[jax.Array, EnvState]:
    """Return what the player sees, and the state after it saw it."""
    is_at_oracle = state.x == 0
    is_at_end = state.x == params.oracle_length + params.corridor_length
    cue = jnp.where(is_at_oracle & ~state.has_asked, state.goal.astype(jnp.int32), 0)
    obs = jnp.stack([is_at_end, jnp.where(is_at_end, state.y, cue)]).astype(jnp.float32)
    return obs, dataclasses.replace(state, has_asked=state.has_asked | is_at_oracle)
