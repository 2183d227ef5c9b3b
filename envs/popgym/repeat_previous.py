"""POPGym's RepeatPrevious: name the suit seen some steps ago."""

import jax
import jax.numpy as jnp

from envs.popgym.card_game import CardGame
from envs.settings import check_range


class RepeatPrevious(CardGame):
    """Name the suit of the k-th last card on the table, which was dealt k - 1 steps ago.

    Rules of popgym 1.0.7, whose code counts the card just seen as k = 1 (its docstring speaks of
    k steps ago). Reward: ±1/(N - k) once k cards lie on the table, before that 0; N - k steps
    pay, so the perfect return is 1. Lengths: 51, 103, 155 steps for 1, 2, 3 decks.

    With ``legacy`` the card was dealt k steps ago and is asked for once k + 1 cards lie on the
    table. As there is one more step, again N - k steps pay ±1/(N - k).

    Args:
        num_decks: decks of 52 cards; 1, 2, 3 on the levels Easy, Medium, Hard.
        k: 1 to N - 1 (``UsageError`` otherwise); 4, 32, 64 on the three levels.
        legacy: whether popjaxrl's rules hold.
    """

    def __init__(self, num_decks: int = 1, k: int = 4, legacy: bool = False):
        super().__init__(num_decks, legacy)
        check_range(self.name, "k", k, 1, self.num_cards - 1)
        self.k = k

    @property
    def reward_scale(self) -> float:
        """1/(N - k)."""
        return 1 / (self.num_cards - self.k)

    def question(self, deck: jax.Array, dealt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the k-th last suit on the table, which pays where k cards lie there."""
        place = dealt - self.k - int(self.legacy)
        return deck[jnp.maximum(place, 0)], place >= 0
