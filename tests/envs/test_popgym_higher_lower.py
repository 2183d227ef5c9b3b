"""HigherLower by hand, and in lock-step with popgym 1.0.7."""

import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs
from popgym_lockstep import (
    EPISODES,
    KEY,
    assert_ends_with_last_step_only,
    assert_lock_step,
    assert_return,
    assert_shuffled,
    player,
    random_actions,
    stack,
)

import envs
from envs.fixed import NoParams
from envs.popgym.card_game import EnvState
from envs.popgym.deck import ordered_deck
from envs.popgym.higher_lower import HigherLower

DECKS = {"Easy": 1, "Medium": 2, "Hard": 3}


@pytest.fixture(scope="module", params=DECKS)
def game(request):
    """Return the environments, ours and popgym's, a function that plays, and a random record."""
    env = HigherLower(DECKS[request.param])
    play = player(env)
    theirs = getattr(popgym_envs, f"HigherLower{request.param}")()
    return env, theirs, play, play(random_actions(env))


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
    env, _, _, random = game
    assert random.reward.shape == (EPISODES, 52 * env.num_decks - 1)
    assert_ends_with_last_step_only(random)
    assert_shuffled(random.obs, 13)


def test_oracle_gets_all_but_the_pairs(game):
    env, _, play, random = game
    pairs = (random.obs[:, 1:] == random.obs[:, :-1]).sum(1)
    unequal = env.num_cards - 1 - pairs
    best = play(oracle_answers(random.obs))
    assert_return(best, unequal / env.num_cards, unequal)
    assert_return(play(1 - oracle_answers(random.obs)), -unequal / env.num_cards, unequal)
    assert best.reward.sum(1).mean() == pytest.approx(12 / 13, abs=0.01)


@pytest.mark.parametrize("who", ["random", "counting", "oracle"])
def test_lock_step_with_popgym(game, who):
    env, theirs, play, random = game
    answers = {"counting": counting_answers, "oracle": oracle_answers}
    actions = random_actions(env) if who == "random" else answers[who](random.obs)
    played = random if who == "random" else play(actions)

    def stack_for(episode):
        stack(theirs.deck, played.obs[episode], theirs.deck.ranks_idx)

    assert_lock_step(theirs, stack_for, actions, played)


def test_spaces_are_those_of_popgym(game):
    env, theirs, *_ = game
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
    obs, _, found, terminated, _ = HigherLower().step_env(KEY, state, action, NoParams())
    assert float(found) == pytest.approx(reward)
    assert obs == after
    assert terminated


def test_legacy_has_one_step_more_which_pays_nothing():
    env = HigherLower(legacy=True)
    envs.check_environment(env, env.default_params)
    play = player(env)
    random = play(random_actions(env))
    assert random.reward.shape == (EPISODES, 52)
    assert_ends_with_last_step_only(random)
    cards = random.obs[:, :52]
    assert_shuffled(cards, 13)
    np.testing.assert_array_equal(random.obs[:, 52], cards[:, 51])
    best = play(oracle_answers(random.obs))
    unequal = (cards[:, 1:] != cards[:, :-1]).sum(1)
    assert_return(best, unequal / 52, unequal)
    assert not best.reward[:, 51].any()


def test_render_shows_the_table_and_counts_the_rest():
    state = EnvState(deck=ordered_deck(1, 13), time=jnp.int32(10))
    assert HigherLower().render(state) == (
        "HigherLower, step 10 of 51\nA 2 3 4 5 6 7 8 9 10 [J]\n"
        "left: 8 higher, 30 lower, 3 of this rank"
    )
