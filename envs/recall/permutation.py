"""Cups and ball: follow a ball through the permutations of the cups above it."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.recall.task import RecallTask, score
from envs.settings import check_range
from envs.spaces import Discrete
from ssmrl.errors import UsageError

MOVES = ("permutations", "swaps")
MAX_CUPS = 6  # 720 permutations


@struct.dataclass
class EnvState:
    """The table."""

    ball: jax.Array  # int8 []: the cup that hides the ball
    shown: jax.Array  # int16 []: the observation on the screen
    time: jax.Array  # int32 []: steps taken


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    length: int = 64  # moves in an episode


class Permutation(RecallTask):
    """Name the cup under which the ball lies while the cups are moved about: the word problem.

    The first observation shows the ball; its answer does not count. Every later one shows a move,
    drawn uniformly, and asks where the ball lies after it. Observation: Discrete(n + M); the
    number k < n shows the ball under cup k, n + m the m-th of M moves. Action: a cup, Discrete(n).
    Reward: ±1/length for each of ``length`` answers, so the perfect return is 1; without memory
    every cup is equally likely, and the best is 2/n - 1. Episodes have ``length + 1`` steps.

    Moves of "permutations" are all n! of them, in the order of ``itertools.permutations``, whose
    entry i is the place to which cup i goes. Moves of "swaps" exchange two cups, in the order of
    ``itertools.combinations``. With 3 cups the group is S3; from 5 on it is not solvable, and
    following it is as hard as any task of state tracking (Merrill et al. 2024, "The illusion of
    state in state-space models").

    Args:
        num_cups: n, 2 to 6.
        moves: "permutations" or "swaps".
        length: moves in an episode, at least 1.

    Raises ``UsageError`` for anything else.
    """

    def __init__(self, num_cups: int = 5, moves: str = "permutations", length: int = 64):
        super().__init__()
        check_range(self.name, "num_cups", num_cups, 2, MAX_CUPS)
        check_range(self.name, "length", length, 1)
        if moves not in MOVES:
            raise UsageError(
                f"environment {self.name!r}: moves must be 'permutations' or 'swaps', not {moves!r}"
            )
        self.num_answers = num_cups
        self._length = length
        self.moves = _permutations(num_cups) if moves == "permutations" else _swaps(num_cups)

    @property
    def default_params(self) -> EnvParams:
        """The constructor's length."""
        return EnvParams(length=self._length)

    def num_steps(self, params: EnvParams) -> int:
        """Return a look and the moves."""
        return params.length + 1

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Put the ball under a random cup and show it."""
        cup = jax.random.randint(key, (), 0, self.num_answers)
        state = EnvState(cup.astype(jnp.int8), shown=cup.astype(jnp.int16), time=jnp.int32(0))
        return cup, state

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Score the answer about the cups on the table, then move them."""
        reward = score(action == state.ball, params.length, state.time > 0)
        move = jax.random.randint(key, (), 0, len(self.moves))
        # One flat look-up: a gather of a row would copy all of it first.
        ball = jnp.asarray(self.moves.ravel())[move * self.num_answers + state.ball]
        obs = self.num_answers + move
        state = EnvState(ball, shown=obs.astype(jnp.int16), time=state.time + 1)
        return obs, state, reward, self.is_terminated(state, params), {}

    def observation_space(self, params: EnvParams) -> Discrete:
        """Return the cup that is lifted, or the move."""
        return Discrete(self.num_answers + len(self.moves))

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return the cups with the ball, and the move that brought it there."""
        cups = " ".join("(o)" if c == int(state.ball) else "( )" for c in range(self.num_answers))
        move = int(state.shown) - self.num_answers
        if move < 0:
            return f"{cups}   the player sees the ball"
        goes = ", ".join(f"{a}→{b}" for a, b in enumerate(self.moves[move].tolist()) if a != b)
        return f"{cups}   the player sees {goes or 'no cup move'}"


def _permutations(num_cups: int) -> np.ndarray:
    """Return the place to which each cup goes in each permutation: int8 [n!, n]."""
    return np.array(list(itertools.permutations(range(num_cups))), np.int8)


def _swaps(num_cups: int) -> np.ndarray:
    """Return the place to which each cup goes when two change places: int8 [n(n-1)/2, n]."""
    pairs = list(itertools.combinations(range(num_cups), 2))
    moves = np.tile(np.arange(num_cups, dtype=np.int8), (len(pairs), 1))
    for move, (a, b) in zip(moves, pairs, strict=True):
        move[[a, b]] = b, a
    return moves
