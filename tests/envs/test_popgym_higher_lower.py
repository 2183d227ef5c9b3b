"""HigherLower by hand, and in lock-step with popgym 1.0.7."""

import jax.numpy as jnp
import numpy as np
import popgym_lockstep as lockstep
import pytest

import envs
from envs.fixed import NoParams
from envs.popgym.card_game import EnvState
from envs.popgym.deck import ordered_deck
from envs.popgym.higher_lower import HigherLower

game = lockstep.games("HigherLower")


def oracle_answers(cards):
    return (cards[:, 1:] < cards[:, :-1]).astype(np.int32)


def counting_answers(cards):
    """Say what most of the undealt cards are, [episodes, steps]."""
    coming = np.tril(np.ones((cards.shape[1],) * 2, bool), -1).T[:-1]  # [steps, places]
    seen = cards[:, :-1, None]
    higher = ((cards[:, None] > seen) & coming).sum(2)
    lower = ((cards[:, None] < seen) & coming).sum(2)
    return (lower > higher).astype(np.int32)


def test_episode_deals_a_shuffled_deck_and_ends_with_the_last_card(game):
    _, env, _, _, random = game
    lockstep.assert_episodes_of(52 * env.num_decks - 1, random)
    lockstep.assert_shuffled(random.obs, 13)


def test_oracle_gets_all_but_the_pairs(game):
    _, env, _, play, random = game
    pairs = (random.obs[:, 1:] == random.obs[:, :-1]).sum(1)
    unequal = env.num_cards - 1 - pairs
    best = play(oracle_answers(random.obs))
    lockstep.assert_return(best, unequal / env.num_cards, unequal)
    lockstep.assert_return(play(1 - oracle_answers(random.obs)), -unequal / env.num_cards, unequal)
    assert best.reward.sum(1).mean() == pytest.approx(12 / 13, abs=0.01)


@pytest.mark.parametrize("who", ["random", "counting", "oracle"])
def test_lock_step_with_popgym(game, who):
    deck, cards = game.theirs.deck, game.random.obs
    answers = {"counting": counting_answers, "oracle": oracle_answers}
    actions = lockstep.random_actions(game.env) if who == "random" else answers[who](cards)
    game.assert_lock_step(actions, (deck, cards, deck.ranks_idx))


def test_spaces_are_those_of_popgym(game):
    _, env, theirs, *_ = game
    envs.check_environment(env, env.default_params)
    assert env.observation_space(env.default_params).n == theirs.observation_space.n == 13
    assert env.action_space(env.default_params).n == theirs.action_space.n == 2


@pytest.mark.parametrize(
    ("before", "after", "action", "reward"),
    [
        (3, 4, 0, 1 / 52),
        (3, 4, 1, -1 / 52),
        (12, 0, 1, 1 / 52),  # an ace is the lowest
        (12, 0, 0, -1 / 52),
        (5, 5, 0, 0.0),
        (5, 5, 1, 0.0),
    ],
)
def test_last_step_by_hand(before, after, action, reward):
    deck = ordered_deck(1, 13).at[jnp.array([50, 51])].set(jnp.array([before, after], jnp.int8))
    state = EnvState(deck=deck, time=jnp.int32(50))
    obs, _, found, terminated, _ = HigherLower().step_env(lockstep.KEY, state, action, NoParams())
    assert float(found) == pytest.approx(reward)
    assert obs == after
    assert terminated


def test_legacy_has_one_step_more_which_pays_nothing():
    env = HigherLower(legacy=True)
    play, random = lockstep.play_legacy(env, 52)
    cards = random.obs[:, :52]
    lockstep.assert_shuffled(cards, 13)
    np.testing.assert_array_equal(random.obs[:, 52], cards[:, 51])
    best = play(oracle_answers(random.obs))
    unequal = (cards[:, 1:] != cards[:, :-1]).sum(1)
    lockstep.assert_return(best, unequal / 52, unequal)
    assert not best.reward[:, 51].any()


def test_render_shows_the_table_and_counts_the_rest():
    state = EnvState(deck=ordered_deck(1, 13), time=jnp.int32(10))
    assert HigherLower().render(state) == (
        "HigherLower, step 10 of 51\nA 2 3 4 5 6 7 8 9 10 [J]\n"
        "left: 8 higher, 30 lower, 3 of this rank"
    )
