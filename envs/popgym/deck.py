"""A deck of cards that is shuffled while it is dealt.

An auto-reset computes a reset in every step, and a shuffle there would sort the deck every time.
Here each draw swaps one random card of the undealt rest to the front of it (Fisher-Yates), so a
reset costs nothing: from any arrangement, a full pass deals every order equally often. The cards
dealt so far stand at the front of the array in the order in which they were dealt.
"""

import jax
import jax.numpy as jnp

CARDS_PER_DECK = 52
NUM_SUITS = 4


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
        dealt: int [], 0 to N - 1.
    """
    chosen = jax.random.randint(key, (), dealt, deck.size)
    place = jnp.arange(deck.size)
    # Selects, not scatters: XLA can fuse them with the selection of the auto-reset.
    deck_chosen = jnp.where(place == chosen, deck[dealt], deck)
    return jnp.where(place == dealt, deck[chosen], deck_chosen)
