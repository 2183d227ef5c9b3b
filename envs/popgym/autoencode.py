"""POPGym's Autoencode: watch all cards, then recite them backwards."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.popgym.card_game import CardGame, EnvState
from envs.popgym.deck import NUM_SUITS
from envs.spaces import Box, Discrete, Tuple

PLAY, WATCH = 0, 1


class Autoencode(CardGame):
    """Watch the suits of all cards, then name them from the last back to the first.

    Rules of popgym 1.0.7. N - 1 steps of WATCH deal the cards and pay nothing; then N steps of
    PLAY pay ±1/N each, so the perfect return is 1. Observation: Tuple of the mode, Discrete(2),
    and a suit, Discrete(4): the card dealt last, and after the first answer always 0. The last
    card shows together with the mode PLAY, so that its own suit is the first answer. The action,
    a suit, is ignored while watching. Lengths: 103, 207, 311 steps on the levels Easy, Medium,
    Hard (``num_decks`` 1, 2, 3).

    With ``legacy`` no card but the last is ever seen: the observation is a Box [4], zeros while
    watching and the last card's one-hot code in all of PLAY. There are N steps of WATCH and N + 1
    of PLAY, of which the last two both ask for the first card: lengths 105, 209, 313, and the
    highest return is (N + 1)/N.
    """

    @property
    def num_steps(self) -> int:
        """The length of every episode."""
        return 2 * self.num_cards + (1 if self.legacy else -1)

    @property
    def reward_scale(self) -> float:
        """1/N."""
        return 1 / self.num_cards

    @property
    def _watch_steps(self) -> int:
        return self.num_cards if self.legacy else self.num_cards - 1

    def question(self, deck: jax.Array, dealt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the suit to recite, which pays in PLAY."""
        recited = dealt - 1 - self._watch_steps
        place = jnp.clip(self.num_cards - 1 - recited, 0, self.num_cards - 1)
        return deck[place], recited >= 0

    def get_obs(self, state: EnvState, params: Any = None, key: Any = None) -> Any:
        """Return mode and suit, or popjaxrl's one vector."""
        suit = super().get_obs(state)
        plays = state.time >= self._watch_steps
        if self.legacy:
            return jnp.where(plays, jax.nn.one_hot(suit, NUM_SUITS, dtype=jnp.float32), 0.0)
        mode = jnp.where(plays, PLAY, WATCH).astype(jnp.int32)
        return mode, jnp.where(state.time < self.num_cards, suit, 0)

    def observation_space(self, params: Any) -> Any:
        """Return mode and suit, or popjaxrl's one vector."""
        if self.legacy:
            return Box(0.0, 1.0, (NUM_SUITS,), jnp.float32)
        return Tuple((Discrete(2), Discrete(NUM_SUITS)))

    def hand(self, time: int) -> tuple[int, bool]:
        """Return how many cards are dealt or left to recite, and whether the last is in sight."""
        if self.legacy:
            return min(time + 1, self.num_cards), time >= self.num_cards
        return min(time + 1, max(self.num_steps - time, 1)), time < self.num_cards
