"""RepeatPrevious and RepeatFirst by hand, and in lock-step with popgym 1.0.7."""

import jax
import jax.numpy as jnp
import numpy as np
import popgym_lockstep as lockstep
import pytest

import envs
from envs.fixed import NoParams
from envs.popgym.card_game import EnvState
from envs.popgym.deck import draw, ordered_deck
from envs.popgym.repeat_first import RepeatFirst
from envs.popgym.repeat_previous import RepeatPrevious
from ssmrl.errors import UsageError

LENGTHS = {
    "RepeatPreviousEasy": 51,
    "RepeatPreviousMedium": 103,
    "RepeatPreviousHard": 155,
    "RepeatFirstEasy": 51,
    "RepeatFirstMedium": 415,
    "RepeatFirstHard": 831,
}


game = lockstep.games("RepeatPrevious", "RepeatFirst")


def perfect_answers(env, cards):
    """Return the suits to name, [episodes, steps]; where nothing is asked, suit 0."""
    if isinstance(env, RepeatFirst):
        return np.repeat(cards[:, :1], env.num_steps, axis=1)
    lag = env.k if env.legacy else env.k - 1
    answers = np.zeros((len(cards), env.num_steps), np.int32)
    answers[:, lag:] = cards[:, : env.num_steps - lag]
    return answers


def test_episode_deals_a_shuffled_deck_and_ends_with_the_last_card(game):
    name, _, _, _, random = game
    lockstep.assert_episodes_of(LENGTHS[name], random)
    lockstep.assert_shuffled(random.obs, 4)


def test_perfect_player_gets_one(game):
    _, env, _, play, random = game
    answers = perfect_answers(env, random.obs)
    paid = env.num_cards - getattr(env, "k", 1)
    perfect = play(answers)
    np.testing.assert_array_equal(perfect.obs, random.obs)  # actions do not touch the deck
    lockstep.assert_return(perfect, 1, paid)
    lockstep.assert_return(play((answers + 1) % 4), -1, paid)


@pytest.mark.parametrize("who", ["random", "perfect"])
def test_lock_step_with_popgym(game, who):
    env, deck, cards = game.env, game.theirs.deck, game.random.obs
    actions = lockstep.random_actions(env) if who == "random" else perfect_answers(env, cards)
    game.assert_lock_step(actions, (deck, cards, deck.suits_idx))


def test_spaces_are_those_of_popgym(game):
    _, env, theirs, *_ = game
    params = env.default_params
    assert env.observation_space(params).n == theirs.observation_space.n
    assert env.action_space(params).n == theirs.action_space.n


@pytest.mark.parametrize(
    ("dealt", "action", "reward"),
    [
        (3, 0, 0.0),  # three cards on the table: nothing is asked yet
        (4, 0, 1 / 48),  # 0 1 2 3: the fourth-last is 0, seen three steps ago
        (4, 3, -1 / 48),
        (6, 2, 1 / 48),  # 0 1 2 3 0 1
        (51, 3, 1 / 48),  # the last step pays too
    ],
)
def test_repeat_previous_by_hand(dealt, action, reward):
    env = RepeatPrevious(num_decks=1, k=4)
    state = EnvState(deck=ordered_deck(1, 4), time=jnp.int32(dealt - 1))
    _, state, found, terminated, _ = env.step_env(lockstep.KEY, state, action, NoParams())
    assert float(found) == pytest.approx(reward)
    assert bool(terminated) is (dealt == 51)


@pytest.mark.parametrize(("action", "reward"), [(0, 1 / 51), (2, -1 / 51)])
def test_repeat_first_by_hand(action, reward):
    state = EnvState(deck=ordered_deck(1, 4), time=jnp.int32(6))
    _, _, found, terminated, _ = RepeatFirst(1).step_env(lockstep.KEY, state, action, NoParams())
    assert float(found) == pytest.approx(reward)
    assert not terminated


def test_first_cards_are_uniform():
    """Chi-square over four suits: 3 degrees of freedom, p(> 21) < 1e-4."""
    env, params = envs.make("popgym/RepeatFirstEasy")
    obs, _ = jax.vmap(env.reset, (0, None))(jax.random.split(lockstep.KEY, 4000), params)
    assert (((np.bincount(obs) - 1000) ** 2) / 1000).sum() < 21


@pytest.mark.parametrize("dealt", [8, 9])
def test_an_empty_deck_stays_as_it_is(dealt):
    deck = jnp.arange(8, dtype=jnp.int8)
    assert draw(lockstep.KEY, deck, jnp.int32(dealt)).tolist() == deck.tolist()


@pytest.mark.parametrize("env", [RepeatFirst(legacy=True), RepeatPrevious(legacy=True)])
def test_legacy_has_one_step_more_and_a_longer_lag(env):
    play, random = lockstep.play_legacy(env, 52)
    np.testing.assert_array_equal(random.obs[:, 52], random.obs[:, 51])
    lockstep.assert_shuffled(random.obs[:, :52], 4)
    answers = perfect_answers(env, random.obs)
    if isinstance(env, RepeatFirst):
        lockstep.assert_return(play(answers), 52 / 51, 52)
        return
    lockstep.assert_return(play(answers), 1, 48)
    assert not random.reward[:, :4].any()  # four cards ago, there is none yet
    popgyms = perfect_answers(RepeatPrevious(), random.obs[:, :52])
    too_recent = play(np.pad(popgyms, ((0, 0), (0, 1)))).reward.sum(1)
    assert too_recent.mean() == pytest.approx(-0.5, abs=0.05)


def test_legacy_can_be_asked_for_by_name():
    assert envs.make("popgym/RepeatPreviousHard", legacy=True)[0].num_steps == 156


def test_settings_that_cannot_be_are_named():
    with pytest.raises(UsageError, match="'RepeatFirst': num_decks must be 1 to 1000000, not 0"):
        RepeatFirst(0)
    with pytest.raises(UsageError, match="'RepeatPrevious': k must be 1 to 51, not 52"):
        RepeatPrevious(1, 52)


def test_render_shows_the_table_and_what_is_asked():
    state = EnvState(deck=ordered_deck(1, 4), time=jnp.int32(5))
    previous, first = RepeatPrevious(), RepeatFirst()
    assert previous.render(state) == (
        "RepeatPrevious, step 5 of 51\n♠ ♦ ♣ ♥ ♠ [♦]\nright answer: ♣"
    )
    assert first.render(state).endswith("right answer: ♠")
    early = state.replace(time=jnp.int32(2))
    assert previous.render(early).endswith("♠ ♦ [♣]\nnothing is asked")
    late = first.render(state.replace(time=jnp.int32(30))).splitlines()[1]
    assert late.startswith("… ♦ ")  # the last 26 of 31 cards
    assert late.endswith(" ♦ [♣]")
