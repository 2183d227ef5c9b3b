"""What POPGym's card games share: cards dealt one a step, and a question in every step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.fixed import FixedEnvironment, NoParams
from envs.popgym.deck import CARDS_PER_DECK, NUM_SUITS, SYMBOLS, draw, ordered_deck, show
from envs.settings import check_range
from envs.spaces import Discrete


@struct.dataclass
class EnvState:
    """The table of a game."""

    deck: jax.Array  # int8 [N], or [2, N]: kinds of cards, the dealt ones first and in order
    time: jax.Array  # int32 []: steps taken; time + 1 cards lie on the table, but at most N


class CardGame(FixedEnvironment):
    """Deals ``num_decks`` decks; subclasses say what is asked in a step and what it pays.

    Observation: the kind of the card dealt last, Discrete(num_kinds). Action: the answer, by
    default a kind. The first card is dealt by ``reset``, and one more by each step after the
    answer. With N = 52 * num_decks cards an episode has N - 1 steps, terminates with the last
    card (its step is rewarded as any other) and is never truncated. A right answer pays
    ``reward_scale``, a wrong one takes as much, and where nothing is asked the reward is 0.

    ``legacy=True`` plays by the rules of popjaxrl, the JAX port with which Lu et al. (2023) got
    their published numbers: an episode has N steps (the last deals nothing and shows the last
    card again); each game says what else differs.

    Args:
        num_decks: decks of 52 cards, at least 1 (``UsageError`` otherwise).
        legacy: whether popjaxrl's rules hold in place of popgym's.
    """

    num_kinds = NUM_SUITS

    def __init__(self, num_decks: int = 1, legacy: bool = False):
        super().__init__()
        check_range(self.name, "num_decks", num_decks, 1, 1_000_000)
        self.num_decks = num_decks
        self.num_cards = CARDS_PER_DECK * num_decks
        self.legacy = legacy

    @property
    def num_steps(self) -> int:
        """The length of every episode."""
        return self.num_cards if self.legacy else self.num_cards - 1

    @property
    def reward_scale(self) -> float:
        """What a right answer pays."""
        raise NotImplementedError

    def question(self, deck: jax.Array, dealt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the right action when ``dealt`` cards were on the table, and whether it pays.

        ``deck`` holds one more card than ``dealt``, unless it is empty: that of this step.
        """
        raise NotImplementedError

    def new_deck(self) -> jax.Array:
        """Return the cards before the first is dealt."""
        return ordered_deck(self.num_decks, self.num_kinds)

    def deal(self, key: jax.Array, deck: jax.Array, dealt: jax.Array) -> jax.Array:
        """Return the deck with one card dealt after the first ``dealt``."""
        return draw(key, deck, dealt)

    def get_obs(self, state: EnvState, params: Any = None, key: Any = None) -> Any:
        """Return what lies in sight."""
        return state.deck[jnp.minimum(state.time, self.num_cards - 1)].astype(jnp.int32)

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[Any, EnvState]:
        """Deal the first card."""
        time = jnp.int32(0)
        state = EnvState(deck=self.deal(key, self.new_deck(), time), time=time)
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[Any, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Deal the next card and score the answer, which was given before it."""
        dealt = state.time + 1
        state = EnvState(deck=self.deal(key, state.deck, dealt), time=dealt)
        right, pays = self.question(state.deck, dealt)
        reward = jnp.float32(self.reward_scale) * jnp.where(action == right, 1, -1)
        reward = jnp.where(pays, reward, 0.0)
        return self.get_obs(state), state, reward, self.is_terminated(state, params), {}

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether all is dealt and asked."""
        return state.time >= self.num_steps

    def is_truncated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return false: time never runs out."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """The kinds to name."""
        return self.num_kinds

    def action_space(self, params: NoParams | None = None) -> Discrete:
        """Return the space of answers."""
        return Discrete(self.num_actions)

    def observation_space(self, params: NoParams) -> Any:
        """Return the kind of the card dealt last."""
        return Discrete(self.num_kinds)

    def hand(self, time: int) -> tuple[int, bool]:
        """Return how many cards ``render`` shows, and whether the agent sees the last of them."""
        return min(time + 1, self.num_cards), True

    def caption(self, state: EnvState) -> str:
        """Return the last line of ``render``: what is asked."""
        right, pays = self.question(state.deck, state.time + 1)
        if not pays:
            return "nothing is asked"
        return f"right answer: {SYMBOLS[self.num_kinds][int(right)]}"

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return the cards on the table, the one in sight in brackets, and what is asked."""
        time = int(state.time)
        count, in_sight = self.hand(time)
        piles = np.atleast_2d(np.asarray(state.deck))[:, :count].tolist()
        rows = [show(cards, self.num_kinds, in_sight) for cards in piles]
        head = f"{self.name}, step {time} of {self.num_steps}"
        return "\n".join([head, *rows, self.caption(state)])
