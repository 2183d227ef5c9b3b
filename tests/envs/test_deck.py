"""The online shuffle deals every order equally often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.popgym.deck import draw, ordered_deck


@pytest.mark.parametrize(("num_decks", "num_kinds"), [(1, 4), (3, 13), (2, 2)])
def test_ordered_deck_holds_each_kind_equally_often(num_decks, num_kinds):
    deck = ordered_deck(num_decks, num_kinds)
    assert deck.dtype == jnp.int8
    assert np.bincount(deck).tolist() == [52 * num_decks // num_kinds] * num_kinds


@pytest.mark.parametrize("arrangement", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_all_orders_are_equally_likely(arrangement):
    """Chi-square over the 24 orders of four cards: 23 degrees of freedom, p(> 60) < 4e-5."""

    def deal(key):
        deck = jnp.array(arrangement, jnp.int8)
        for dealt, key_draw in enumerate(jax.random.split(key, 4)):
            deck = draw(key_draw, deck, jnp.int32(dealt))
        return deck

    runs = 24_000
    decks = np.asarray(jax.jit(jax.vmap(deal))(jax.random.split(jax.random.key(1), runs)))
    orders, counts = np.unique(decks, axis=0, return_counts=True)
    assert len(orders) == 24
    expected = runs / 24
    assert ((counts - expected) ** 2 / expected).sum() < 60


def test_draw_keeps_the_cards_dealt_and_the_deck_whole():
    deck = jnp.arange(8, dtype=jnp.int8)
    drawn = draw(jax.random.key(3), deck, jnp.int32(5))
    assert drawn[:5].tolist() == deck[:5].tolist()
    assert sorted(drawn.tolist()) == deck.tolist()
    assert drawn.dtype == jnp.int8
