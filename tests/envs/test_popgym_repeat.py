"""RepeatPrevious and RepeatFirst by hand, and in lock-step with popgym 1.0.7."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs

import envs
from envs.popgym.card_game import EnvParams, EnvState
from envs.popgym.deck import ordered_deck
from envs.popgym.repeat_first import RepeatFirst
from envs.popgym.repeat_previous import RepeatPrevious

EPISODES = 20
KEY = jax.random.key(0)
LENGTHS = {
    "RepeatPreviousEasy": 51,
    "RepeatPreviousMedium": 103,
    "RepeatPreviousHard": 155,
    "RepeatFirstEasy": 51,
    "RepeatFirstMedium": 415,
    "RepeatFirstHard": 831,
}


@pytest.fixture(scope="module", params=LENGTHS)
def game(request):
    """Return the name, the environment, and a compiled rollout of 20 episodes."""
    name = request.param
    env, params = envs.make(f"popgym/{name}")

    def episode(key, actions):
        def step(state, x):
            _, state, *signals, info = env.step(*(x[0], state, x[1]), params)
            return state, (info["final_observation"], *signals)

        obs, state = env.reset(key, params)
        keys = jax.random.split(key, LENGTHS[name])
        return obs, jax.lax.scan(step, state, (keys, actions))[1]

    batch = jax.jit(jax.vmap(episode))

    def rollout(actions):
        first, steps = batch(jax.random.split(KEY, EPISODES), actions)
        obs, reward, terminated, truncated = (np.asarray(x) for x in steps)
        cards = np.concatenate([np.asarray(first)[:, None], obs], axis=1)
        return cards, reward, terminated, truncated

    return name, env, rollout


def perfect_answers(env, cards):
    """Return the suits to name, [episodes, steps]; where nothing is asked, suit 0."""
    steps = cards.shape[1] - 1
    if isinstance(env, RepeatFirst):
        return np.repeat(cards[:, :1], steps, axis=1)
    answers = np.zeros((len(cards), steps), np.int32)
    answers[:, env.k - 1 :] = cards[:, : steps - env.k + 1]
    return answers


def random_actions(name):
    return np.random.default_rng(0).integers(0, 4, (EPISODES, LENGTHS[name]), np.int32)


def test_episode_ends_with_the_last_card_and_never_by_time(game):
    name, env, rollout = game
    cards, _, terminated, truncated = rollout(random_actions(name))
    assert not truncated.any()
    assert not terminated[:, :-1].any()
    assert terminated[:, -1].all()
    for episode in cards:
        assert Counter(episode.tolist()) == dict.fromkeys(range(4), env.num_cards // 4)


def test_perfect_player_gets_one(game):
    name, env, rollout = game
    cards, *_ = rollout(random_actions(name))
    answers = perfect_answers(env, cards)
    same_cards, reward, *_ = rollout(answers)
    np.testing.assert_array_equal(same_cards, cards)  # actions do not touch the deck
    np.testing.assert_allclose(reward.sum(axis=1), 1, atol=1e-5)
    _, reward, *_ = rollout((answers + 1) % 4)
    np.testing.assert_allclose(reward.sum(axis=1), -1, atol=1e-5)


def with_cards(theirs, cards):
    """Let popgym's environment deal ``cards`` (suits), whatever its own shuffle says."""
    seen = Counter()
    order = []
    for suit in cards.tolist():
        order.append(suit + 4 * seen[suit])  # popgym's card i has suit i % 4
        seen[suit] += 1

    def reset(rng=None):
        deck = theirs.deck
        deck.discard_all()
        deck.idx = np.array(order[::-1])  # dealt from the end
        deck.deck_len = deck.num_cards

    theirs.deck.reset = reset
    return theirs


@pytest.mark.parametrize("player", ["random", "perfect"])
def test_lock_step_with_popgym(game, player):
    name, env, rollout = game
    actions = random_actions(name)
    if player == "perfect":
        actions = perfect_answers(env, rollout(actions)[0])
    cards, reward, terminated, truncated = rollout(actions)
    for episode in range(EPISODES):
        theirs = with_cards(getattr(popgym_envs, name)(), cards[episode])
        obs, _ = theirs.reset(seed=0)
        assert obs == cards[episode, 0]
        steps = [theirs.step(int(action)) for action in actions[episode]]
        np.testing.assert_array_equal([s[0] for s in steps], cards[episode, 1:])
        np.testing.assert_allclose([s[1] for s in steps], reward[episode], rtol=1e-6)
        np.testing.assert_array_equal([s[2] for s in steps], terminated[episode])
        np.testing.assert_array_equal([s[3] for s in steps], truncated[episode])


def test_spaces_are_those_of_popgym():
    theirs = popgym_envs.RepeatPreviousHard()
    env, params = envs.make("popgym/RepeatPreviousHard")
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
    _, state, found, terminated, _ = env.step_env(KEY, state, action, EnvParams())
    assert float(found) == pytest.approx(reward)
    assert bool(terminated) is (dealt == 51)


@pytest.mark.parametrize(("action", "reward"), [(0, 1 / 51), (2, -1 / 51)])
def test_repeat_first_by_hand(action, reward):
    state = EnvState(deck=ordered_deck(1, 4), time=jnp.int32(6))
    _, _, found, terminated, _ = RepeatFirst(1).step_env(KEY, state, action, EnvParams())
    assert float(found) == pytest.approx(reward)
    assert not terminated


def test_first_cards_are_uniform():
    """Chi-square over four suits: 3 degrees of freedom, p(> 21) < 1e-4."""
    env, params = envs.make("popgym/RepeatFirstEasy")
    obs, _ = jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 4000), params)
    assert (((np.bincount(obs) - 1000) ** 2) / 1000).sum() < 21
