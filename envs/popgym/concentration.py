"""POPGym's Concentration: find the pairs among cards that lie face down."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.fixed import FixedEnvironment, NoParams, narrow_int
from envs.popgym.deck import CARDS_PER_DECK, SYMBOLS
from envs.settings import check_range
from envs.spaces import Discrete, MultiDiscrete
from ssmrl.errors import UsageError

UNDRAWN = -1
NO_CARD = -1
CARDS_PER_ROW = 13  # of the picture


@struct.dataclass
class EnvState:
    """The table. A card's kind is drawn when it is turned for the first time."""

    cards: jax.Array  # int8 [N]: kinds; UNDRAWN where never turned
    left: jax.Array  # integers [num_kinds]: undrawn cards of each kind
    face_up: jax.Array  # bool [N]: cards of the pairs found
    first: jax.Array  # int32 []: the card turned in the step before, NO_CARD if a turn begins
    num_pairs: jax.Array  # int32 []: pairs found
    time: jax.Array  # int32 []: steps taken


class Concentration(FixedEnvironment):
    """Turn cards one a step; two of one kind in a row are a pair and stay face up.

    Rules of popgym 1.0.7. Action: a card, Discrete(N), with N = 52 * num_decks. Observation:
    MultiDiscrete [N], each card's kind if it lies face up or was turned in this turn, else
    ``num_kinds`` (face down). Reward, with T = 2 N (popgym's ceil(2 N - N / (2 N - 1))):

    * the first card of a turn: 0;
    * the second: 2/N for a pair, -2/T for no pair or the same card again;
    * a card that lies face up already: -1/T as first and -2/T as second of a turn, which ends.

    The perfect return is 1, for who knows the cards. The last pair terminates; step T truncates,
    and a last pair in step T does both.

    A ``reset`` has no cards to shuffle: a card is drawn from those left when it is first turned,
    which deals every arrangement equally often whatever the order of turning.

    Args:
        num_decks: decks of 52 cards, at least 1; 1, 2, 1 on the levels Easy, Medium, Hard.
        num_kinds: 2 (colours) or 13 (ranks); 2, 2, 13 on the three levels.
        legacy: as in popjaxrl, the port of Lu et al. 2023, step T terminates, so that agents do
            not bootstrap there.

    Raises ``UsageError`` where ``num_decks`` is less than 1 or ``num_kinds`` is another.
    """

    def __init__(self, num_decks: int = 1, num_kinds: int = 13, legacy: bool = False):
        super().__init__()
        check_range(self.name, "num_decks", num_decks, 1, 1_000_000)
        if num_kinds not in (2, 13):
            raise UsageError(
                f"environment {self.name!r}: num_kinds must be 2 (colours) or 13 (ranks), "
                f"not {num_kinds}"
            )
        self.num_cards = CARDS_PER_DECK * num_decks
        self.num_kinds = num_kinds
        self.max_steps = 2 * self.num_cards
        self.legacy = legacy
        self._dtype = narrow_int(self.num_cards)

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[jax.Array, EnvState]:
        """Lay all cards face down."""
        none = jnp.zeros(self.num_cards, bool)
        state = EnvState(
            cards=jnp.full(self.num_cards, UNDRAWN, jnp.int8),
            left=jnp.full(self.num_kinds, self.num_cards // self.num_kinds, self._dtype),
            face_up=none,
            first=jnp.int32(NO_CARD),
            num_pairs=jnp.int32(0),
            time=jnp.int32(0),
        )
        return self._observe(state.cards, none), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Turn one card."""
        drawn = _draw_kind(key, state.left)
        is_new = state.cards[action] == UNDRAWN
        kind = jnp.where(is_new, drawn, state.cards[action])
        left = state.left - (is_new & (jnp.arange(self.num_kinds) == drawn))
        place = jnp.arange(self.num_cards)
        cards = jnp.where(place == action, kind, state.cards)
        in_play = (place == action) | (place == state.first)

        is_second = state.first != NO_CARD
        is_up = state.face_up[action]
        # Where there is no first card the index NO_CARD reads some card, to no effect.
        is_pair = is_second & ~is_up & (action != state.first) & (kind == state.cards[state.first])
        ends_turn = is_second | is_up
        loss = -(1 + is_second.astype(jnp.float32)) / self.max_steps
        reward = jnp.where(is_pair, 2 / self.num_cards, jnp.where(ends_turn, loss, 0.0))

        obs = self._observe(cards, state.face_up | in_play)
        state = EnvState(
            cards=cards,
            left=left,
            face_up=state.face_up | (is_pair & in_play),
            first=jnp.where(ends_turn, NO_CARD, action).astype(jnp.int32),
            num_pairs=state.num_pairs + is_pair,
            time=state.time + 1,
        )
        return obs, state, reward, self.is_terminated(state, params), {}

    def _observe(self, cards: jax.Array, visible: jax.Array) -> jax.Array:
        return jnp.where(visible, cards, self.num_kinds).astype(jnp.int32)

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether all pairs are found."""
        solved = state.num_pairs == self.num_cards // 2
        return solved | self._is_out_of_time(state) if self.legacy else solved

    def is_truncated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether T steps are over."""
        return jnp.zeros((), bool) if self.legacy else self._is_out_of_time(state)

    def _is_out_of_time(self, state: EnvState) -> jax.Array:
        return state.time >= self.max_steps

    @property
    def num_actions(self) -> int:
        """The number of cards."""
        return self.num_cards

    def action_space(self, params: NoParams | None = None) -> Discrete:
        """Return the card to turn."""
        return Discrete(self.num_cards)

    def observation_space(self, params: NoParams) -> MultiDiscrete:
        """Return what shows of each card."""
        return MultiDiscrete([self.num_kinds + 1] * self.num_cards)

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return the table: K lies face up, [K] was turned in the step before, (K) was seen and
        lies face down, · was never turned. One concrete state, outside jit.
        """
        formats = np.where(np.asarray(state.face_up), " {} ", "({})")
        formats[np.asarray(state.cards) == UNDRAWN] = " · "
        if state.first != NO_CARD:
            formats[int(state.first)] = "[{}]"
        names = [SYMBOLS[self.num_kinds][kind][:2] for kind in state.cards.tolist()]
        cells = [form.format(name).rjust(4) for form, name in zip(formats, names, strict=True)]
        starts = range(0, self.num_cards, CARDS_PER_ROW)
        rows = ["".join(cells[start : start + CARDS_PER_ROW]) for start in starts]
        pairs = f"{int(state.num_pairs)} of {self.num_cards // 2} pairs"
        return "\n".join([*rows, f"step {int(state.time)} of {self.max_steps}, {pairs}"])


def _draw_kind(key: jax.Array, left: jax.Array) -> jax.Array:
    """Return the kind of one of the cards left, each equally likely; with none left, anything."""
    ends = jnp.cumsum(left, dtype=jnp.int32)
    number = jax.random.randint(key, (), 0, ends[-1])
    return (ends <= number).sum().astype(jnp.int8)
