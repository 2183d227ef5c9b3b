"""What POPGym's repeat games share: a deck of suits, dealt one card a step until it is empty."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment

from envs.popgym.deck import CARDS_PER_DECK, NUM_SUITS, draw, ordered_deck
from envs.spaces import Discrete
from ssmrl.errors import UsageError


@struct.dataclass
class EnvState:
    """The table of a game."""

    deck: jax.Array  # int8 [N]: suits, the dealt ones first and in order
    time: jax.Array  # int32 []: steps taken; time + 1 cards lie on the table


@struct.dataclass
class EnvParams:
    """Nothing may vary: decks and lags determine shapes and are constructor arguments."""


class RepeatGame(environment.Environment):
    """Deals the suits of ``num_decks`` decks; subclasses say which suit is to be named.

    Observation: the suit dealt last, Discrete(4). Action: a suit, Discrete(4). The first card is
    dealt by ``reset``. With N = 52 * num_decks cards an episode has N - 1 steps, terminates with
    the last card (its step is rewarded as any other) and is never truncated.

    Raises ``UsageError`` where ``num_decks`` is less than 1.
    """

    def __init__(self, num_decks: int = 1):
        super().__init__()
        if num_decks < 1:
            raise UsageError(f"environment {self.name!r}: num_decks must be >= 1, not {num_decks}")
        self.num_decks = num_decks
        self.num_cards = CARDS_PER_DECK * num_decks

    @property
    def default_params(self) -> EnvParams:
        """No parameters."""
        return EnvParams()

    def score(self, deck: jax.Array, dealt: jax.Array, action: jax.Array) -> jax.Array:
        """Return the reward of ``action`` when ``dealt`` cards of ``deck`` are on the table."""
        raise NotImplementedError

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Deal the first card."""
        deck = draw(key, ordered_deck(self.num_decks, NUM_SUITS), jnp.int32(0))
        return deck[0].astype(jnp.int32), EnvState(deck=deck, time=jnp.int32(0))

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Score the answer about the cards on the table, then deal the next."""
        dealt = state.time + 1
        reward = self.score(state.deck, dealt, action)
        state = EnvState(deck=draw(key, state.deck, dealt), time=state.time + 1)
        obs = state.deck[dealt].astype(jnp.int32)
        return obs, state, reward, self.is_terminated(state, params), {}

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return whether all cards are dealt."""
        return state.time >= self.num_cards - 1

    def is_truncated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return false: time never runs out."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """The four suits."""
        return NUM_SUITS

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        """Return the suit to name."""
        return Discrete(NUM_SUITS)

    def observation_space(self, params: EnvParams) -> Discrete:
        """Return the suit of the card dealt last."""
        return Discrete(NUM_SUITS)
