"""Autoencode by hand, and in lock-step with popgym 1.0.7."""

import jax.numpy as jnp
import numpy as np
import popgym_lockstep as lockstep
import pytest

import envs
from envs.fixed import NoParams
from envs.popgym.autoencode import PLAY, WATCH, Autoencode
from envs.popgym.card_game import EnvState
from envs.popgym.deck import ordered_deck

TABLE = EnvState(deck=ordered_deck(1, 4), time=jnp.int32(0))  # 0 1 2 3 0 1 ...


game = lockstep.games("Autoencode")


def perfect_answers(cards):
    """Return the suits to name, [episodes, steps]; while watching, suit 0."""
    return np.concatenate([np.zeros_like(cards[:, 1:]), cards[:, ::-1]], axis=1)


def test_episode_shows_a_shuffled_deck_and_ends_when_it_is_recited(game):
    _, env, _, _, random = game
    size = 52 * env.num_decks
    modes, suits = np.moveaxis(random.obs, -1, 0)
    lockstep.assert_episodes_of(2 * size - 1, random)
    lockstep.assert_shuffled(suits[:, :size], 4)
    assert (modes[:, : size - 1] == WATCH).all()
    assert (modes[:, size - 1 :] == PLAY).all()  # the last card is shown in it
    assert not suits[:, size:].any()
    assert not random.reward[:, : size - 1].any()


def test_perfect_player_gets_one(game):
    _, env, _, play, random = game
    answers = perfect_answers(random.obs[:, : env.num_cards, 1])
    lockstep.assert_return(play(answers), 1, env.num_cards)
    lockstep.assert_return(play((answers + 1) % 4), -1, env.num_cards)


@pytest.mark.parametrize("who", ["random", "perfect"])
def test_lock_step_with_popgym(game, who):
    deck, cards = game.theirs.deck, game.random.obs[:, : game.env.num_cards, 1]
    actions = lockstep.random_actions(game.env) if who == "random" else perfect_answers(cards)
    game.assert_lock_step(actions, (deck, cards, deck.suits_idx))


def test_spaces_are_those_of_popgym(game):
    _, env, theirs, *_ = game
    params = env.default_params
    envs.check_environment(env, params)
    assert env.action_space(params).n == theirs.action_space.n
    ours = [space.n for space in env.observation_space(params).spaces]
    assert ours == [space.n for space in theirs.observation_space.spaces]


@pytest.mark.parametrize(
    ("time", "action", "reward", "obs"),
    [
        (50, 2, 0.0, (PLAY, 3)),  # the last card is dealt
        (51, 3, 1 / 52, (PLAY, 0)),  # and is the first answer
        (51, 2, -1 / 52, (PLAY, 0)),
        (52, 2, 1 / 52, (PLAY, 0)),
        (102, 0, 1 / 52, (PLAY, 0)),  # the first card is the last answer
    ],
)
def test_by_hand(time, action, reward, obs):
    state = TABLE.replace(time=jnp.int32(time))
    found, _, paid, terminated, _ = Autoencode().step_env(lockstep.KEY, state, action, NoParams())
    assert float(paid) == pytest.approx(reward)
    assert tuple(int(part) for part in found) == obs
    assert bool(terminated) is (time == 102)


def test_legacy_shows_the_last_card_only_and_asks_for_the_first_twice():
    env = Autoencode(legacy=True)
    play, random = lockstep.play_legacy(env, 105)
    assert not random.obs[:, :52].any()
    assert (random.obs[:, 52:] == random.obs[:, 52:53]).all()
    np.testing.assert_array_equal(random.obs[:, 52].sum(1), 1)

    # The cards are never seen: whatever answer paid is the card.
    constant = np.ones((lockstep.EPISODES, 105), np.int32)
    paid = np.stack([play(suit * constant).reward for suit in range(4)], axis=2) > 0
    np.testing.assert_array_equal(paid.sum(2), [[0] * 52 + [1] * 53] * lockstep.EPISODES)
    recited = paid.argmax(2)[:, 52:]
    lockstep.assert_shuffled(recited[:, 51::-1], 4)
    np.testing.assert_array_equal(recited[:, 52], recited[:, 51])
    np.testing.assert_array_equal(recited[:, 0], random.obs[:, 52].argmax(1))
    lockstep.assert_return(play(np.pad(recited, ((0, 0), (52, 0))).astype(np.int32)), 53 / 52, 53)


@pytest.mark.parametrize(
    ("legacy", "time", "lines"),
    [
        (False, 4, ["♠ ♦ ♣ ♥ [♠]", "nothing is asked"]),
        (False, 100, ["♠ ♦ ♣", "right answer: ♣"]),
        (False, 102, ["♠", "right answer: ♠"]),
        (True, 4, ["♠ ♦ ♣ ♥ ♠", "nothing is asked"]),
    ],
)
def test_render_shows_what_is_left_to_recite(legacy, time, lines):
    env = Autoencode(legacy=legacy)
    head = f"Autoencode, step {time} of {env.num_steps}"
    picture = env.render(TABLE.replace(time=jnp.int32(time)))
    assert picture.splitlines() == [head, *lines]
    last = env.render(TABLE.replace(time=jnp.int32(52 if legacy else 51))).splitlines()
    assert last[1].endswith("♣ [♥]")
    assert last[2] == "right answer: ♥"
