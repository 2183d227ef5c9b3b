"""A deck of cards that is shuffled while it is dealt.

An auto-reset computes a reset in every step, and a shuffle there would sort the deck every time.
Here each draw swaps one random card of the undealt rest to the front of it (Fisher-Yates), so a
reset costs nothing: from any arrangement, a full pass deals every order equally often. The cards
dealt so far stand at the front of the array in the order in which they were dealt.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

CARDS_PER_DECK = 52
NUM_COLOURS = 2
NUM_SUITS = 4
NUM_RANKS = 13

# How people write a kind, in popgym's order.
SYMBOLS: dict[int, Sequence[str]] = {
    NUM_COLOURS: ("black", "red"),
    NUM_SUITS: "♠♦♣♥",
    NUM_RANKS: ("A", *map(str, range(2, 11)), "J", "Q", "K"),
}
MOST_SHOWN = 26


def ordered_deck(num_decks: int, num_kinds: int) -> jax.Array:
    """Return ``num_decks`` unshuffled decks of 52 cards: int8 [52 * num_decks].

    A card is only its kind, 0 to ``num_kinds - 1``: a suit (4 kinds), a rank (13) or a colour
    (2). Each kind occurs equally often.
    """
    return (jnp.arange(CARDS_PER_DECK * num_decks) % num_kinds).astype(jnp.int8)


def draw(key: jax.Array, deck: jax.Array, dealt: jax.Array) -> jax.Array:
    """Return the deck with a random undealt card at position ``dealt``.

    Args:
        key: of the draw.
        deck: int8 [N], of which the first ``dealt`` cards are dealt.
        dealt: int []; from N on the deck is empty and stays as it is.
    """
    front = jnp.minimum(dealt, deck.size - 1)
    chosen = jax.random.randint(key, (), front, deck.size)
    place = jnp.arange(deck.size)
    # Selects, not scatters: XLA can fuse them with the selection of the auto-reset.
    deck_chosen = jnp.where(place == chosen, deck[front], deck)
    return jnp.where(place == dealt, deck[chosen], deck_chosen)


def show(cards: Sequence[int], num_kinds: int, in_sight: bool = True) -> str:
    """Return the last of ``cards`` in one line of text, the very last in brackets if in sight."""
    symbols = [SYMBOLS[num_kinds][card] for card in cards]
    if in_sight:
        symbols[-1] = f"[{symbols[-1]}]"
    return " ".join([*["…"] * (len(symbols) > MOST_SHOWN), *symbols[-MOST_SHOWN:]])
