"""POPGym's CountRecall: say how often a kind of card was dealt so far."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.popgym.card_game import CardGame, EnvState
from envs.popgym.deck import SYMBOLS
from envs.spaces import MultiDiscrete
from ssmrl.errors import UsageError


class CountRecall(CardGame):
    """Say how often the kind in question was dealt so far, the card in sight included.

    Rules of popgym 1.0.7, whose code has none of the partial reward that its docstring describes
    (``error_clamp``). Two piles of ``num_decks`` decks each are dealt side by side, values and
    queries. Observation: MultiDiscrete, (the value dealt last, the kind in question). Action: a
    count, 0 to N/num_kinds. Reward: ±1/(N - 1) in each of the N - 1 steps, so the perfect return
    is 1. Lengths: 51, 103, 207 steps on the levels Easy, Medium, Hard.

    With ``legacy`` there are only the actions 0 and 1 (so most questions have no right answer),
    the card in sight does not count yet, and N steps pay ±1/N.

    Args:
        num_decks: decks in each pile; 1, 2, 4 on the levels Easy, Medium, Hard.
        num_kinds: 2 colours, 4 suits or 13 ranks (``UsageError`` otherwise), in this order on the
            three levels.
        legacy: whether popjaxrl's rules hold.
    """

    def __init__(self, num_decks: int = 1, num_kinds: int = 2, legacy: bool = False):
        super().__init__(num_decks, legacy)
        if num_kinds not in SYMBOLS:
            raise UsageError(
                f"environment {self.name!r}: num_kinds must be 2 (colours), 4 (suits) or 13 "
                f"(ranks), not {num_kinds}"
            )
        self.num_kinds = num_kinds

    @property
    def reward_scale(self) -> float:
        """1 over the number of steps."""
        return 1 / self.num_steps

    def new_deck(self) -> jax.Array:
        """Return both piles: int8 [2, N], values and queries."""
        return jnp.stack([super().new_deck()] * 2)

    def deal(self, key: jax.Array, deck: jax.Array, dealt: jax.Array) -> jax.Array:
        """Deal from both piles."""
        return jax.vmap(super().deal, (0, 0, None))(jax.random.split(key), deck, dealt)

    def question(self, deck: jax.Array, dealt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the count of the kind in question; it always pays."""
        values, queries = deck
        counted = jnp.arange(self.num_cards) < dealt - int(self.legacy)
        count = jnp.sum(counted & (values == queries[dealt - 1]), dtype=jnp.int32)
        return count, jnp.bool_(True)

    def get_obs(self, state: EnvState, params: Any = None, key: Any = None) -> jax.Array:
        """Return the value in sight and the kind in question: int32 [2]."""
        return state.deck[:, jnp.minimum(state.time, self.num_cards - 1)].astype(jnp.int32)

    @property
    def num_actions(self) -> int:
        """All counts there can be."""
        return 2 if self.legacy else self.num_cards // self.num_kinds + 1

    def observation_space(self, params: Any) -> MultiDiscrete:
        """Return the two kinds in sight."""
        return MultiDiscrete([self.num_kinds] * 2)

    def caption(self, state: EnvState) -> str:
        """Return the count asked for."""
        count, _ = self.question(state.deck, state.time + 1)
        return f"values above, queries below; right answer: {int(count)}"
