"""POPGym's RepeatPrevious: name the suit seen some steps ago."""

import jax
import jax.numpy as jnp

from envs.popgym.card_game import RepeatGame
from ssmrl.errors import UsageError


class RepeatPrevious(RepeatGame):
    """Name the suit of the k-th last card on the table, which was dealt k - 1 steps ago.

    Rules of popgym 1.0.7, whose code counts the card just seen as k = 1 (its docstring speaks of
    k steps ago). Reward: ±1/(N - k) once k cards lie on the table, before that 0; N - k steps
    pay, so the perfect return is 1. Lengths: 51, 103, 155 steps for 1, 2, 3 decks.

    Args:
        num_decks: decks of 52 cards; 1, 2, 3 on the levels Easy, Medium, Hard.
        k: 1 to N - 1 (``UsageError`` otherwise); 4, 32, 64 on the three levels.
    """

    def __init__(self, num_decks: int = 1, k: int = 4):
        super().__init__(num_decks)
        if not 1 <= k < self.num_cards:
            raise UsageError(
                f"environment {self.name!r}: k must be 1 to {self.num_cards - 1}, not {k}"
            )
        self.k = k

    def score(self, deck: jax.Array, dealt: jax.Array, action: jax.Array) -> jax.Array:
        """Return ±1/(N - k), or 0 where no card is old enough."""
        right = action == deck[jnp.maximum(dealt - self.k, 0)]
        reward = jnp.where(right, 1.0, -1.0) / (self.num_cards - self.k)
        return jnp.where(dealt >= self.k, reward, 0.0)
