"""POPGym's RepeatFirst: name the suit of the first card, again and again."""

import jax
import jax.numpy as jnp

from envs.popgym.card_game import RepeatGame


class RepeatFirst(RepeatGame):
    """Name the suit of the episode's first card in every step.

    Rules of popgym 1.0.7. Reward: ±1/(N - 1) in each of the N - 1 steps, so the perfect return
    is 1. Nothing but its place marks the first card. Lengths: 51, 415, 831 steps on the levels
    Easy, Medium, Hard (``num_decks`` 1, 8, 16).
    """

    def score(self, deck: jax.Array, dealt: jax.Array, action: jax.Array) -> jax.Array:
        """Return ±1/(N - 1)."""
        return jnp.where(action == deck[0], 1.0, -1.0) / (self.num_cards - 1)
