"""POPGym's RepeatFirst: name the suit of the first card, again and again."""

import jax
import jax.numpy as jnp

from envs.popgym.card_game import CardGame


class RepeatFirst(CardGame):
    """Name the suit of the episode's first card in every step.

    Rules of popgym 1.0.7. Reward: ±1/(N - 1) in each of the N - 1 steps, so the perfect return
    is 1. Nothing but its place marks the first card. Lengths: 51, 415, 831 steps on the levels
    Easy, Medium, Hard (``num_decks`` 1, 8, 16).

    With ``legacy`` the additional step pays ±1/(N - 1) too: the perfect return is N/(N - 1).
    popjaxrl shows the first card after that step, not the last, to no effect: it terminates.
    """

    @property
    def reward_scale(self) -> float:
        """1/(N - 1)."""
        return 1 / (self.num_cards - 1)

    def question(self, deck: jax.Array, dealt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the first suit; it always pays."""
        return deck[0], jnp.bool_(True)
