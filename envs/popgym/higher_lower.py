"""POPGym's HigherLower: guess whether the next card is higher or lower."""

import jax
import jax.numpy as jnp
import numpy as np

from envs.popgym.card_game import CardGame, EnvState
from envs.popgym.deck import NUM_RANKS


class HigherLower(CardGame):
    """Guess whether the next card ranks higher or lower than the one in sight.

    Rules of popgym 1.0.7. Observation: the rank of the card dealt last, Discrete(13), from 0 (ace)
    to 12 (king). Action: 0 says higher, 1 lower. Reward: ±1/N, or 0 where both cards are of one
    rank. Whoever foresees every card gets (N - 1 - pairs)/N, with ``pairs`` the neighbours of one
    rank: 12/13 on average at any number of decks, and less for whoever can only count cards.
    Lengths: 51, 103, 155 steps on the levels Easy, Medium, Hard (``num_decks`` 1, 2, 3).

    With ``legacy`` the additional step compares the last card with itself and pays 0.
    """

    num_kinds = NUM_RANKS

    @property
    def reward_scale(self) -> float:
        """1/N."""
        return 1 / self.num_cards

    def question(self, deck: jax.Array, dealt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return 0 where the next card is higher, else 1; a pair pays nothing."""
        seen, coming = deck[dealt - 1], deck[jnp.minimum(dealt, self.num_cards - 1)]
        return (coming < seen).astype(jnp.int32), coming != seen

    @property
    def num_actions(self) -> int:
        """Higher and lower."""
        return 2

    def caption(self, state: EnvState) -> str:
        """Return what the undealt cards are, as the next is not yet drawn."""
        count = self.hand(int(state.time))[0]
        deck = np.asarray(state.deck)
        seen, left = deck[count - 1], deck[count:]
        higher, lower = (left > seen).sum(), (left < seen).sum()
        return f"left: {higher} higher, {lower} lower, {left.size - higher - lower} of this rank"
