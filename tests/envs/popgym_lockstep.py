"""What the tests of POPGym's card games share: many episodes at once, and popgym beside them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs
from scipy import stats

import envs

EPISODES = 200
KEY = jax.random.key(0)


class Played(NamedTuple):
    """What 200 whole episodes of T steps saw and gave."""

    obs: np.ndarray  # [E, T + 1] or, of observations with parts, [E, T + 1, parts]
    reward: np.ndarray  # [E, T]
    terminated: np.ndarray  # [E, T]
    truncated: np.ndarray  # [E, T]


def player(env):
    """Return a compiled function from actions [E, T] to ``Played``; decks are always the same."""

    @jax.jit
    @jax.vmap
    def episodes(key, actions):
        def step(state, x):
            _, state, *signals, info = env.step(*(x[0], state, x[1]), env.default_params)
            return state, (in_one_array(info["final_observation"]), *signals)

        obs, state = env.reset(key, env.default_params)
        keys = jax.random.split(key, len(actions))
        return in_one_array(obs), jax.lax.scan(step, state, (keys, actions))[1]

    def play(actions):
        first, steps = episodes(jax.random.split(KEY, EPISODES), actions)
        obs, *signals = (np.asarray(x) for x in steps)
        return Played(np.concatenate([np.asarray(first)[:, None], obs], axis=1), *signals)

    return play


class Game(NamedTuple):
    """A card game of ours, popgym's, a function that plays ours, and a random record of it."""

    name: str
    env: Any
    theirs: Any
    play: Any
    random: Played

    def assert_lock_step(self, actions, *piles):
        """Walk popgym's through the same actions and cards, and compare every step.

        Each of ``piles`` is a deck of popgym's, the cards [E, N] that it deals, and the kinds of
        the cards in it.
        """

        def stack_for(episode):
            for deck, cards, kinds in piles:
                stack(deck, cards[episode], kinds)

        assert_lock_step(self.theirs, stack_for, actions, self.play(actions))


def games(*names):
    """Return a fixture: the card games of these names, in all three levels."""
    levels = [name + level for name in names for level in ("Easy", "Medium", "Hard")]

    @pytest.fixture(scope="module", params=levels)
    def game(request):
        env, _ = envs.make(f"popgym/{request.param}")
        play = player(env)
        theirs = getattr(popgym_envs, request.param)()
        return Game(request.param, env, theirs, play, play(random_actions(env)))

    return game


def play_legacy(env, num_steps):
    """Return a function that plays, and a random record, whose episodes have ``num_steps``."""
    envs.check_environment(env, env.default_params)
    play = player(env)
    random = play(random_actions(env))
    assert_episodes_of(num_steps, random)
    return play, random


def in_one_array(obs):
    return jnp.stack(obs) if isinstance(obs, tuple) else obs


def random_actions(env):
    """Return int32 [E, T]."""
    shape = (EPISODES, env.num_steps)
    return np.random.default_rng(0).integers(0, env.num_actions, shape, np.int32)


def stack(deck, cards, kind_of_card):
    """Let popgym's ``deck`` deal cards of the kinds ``cards``, whatever its own shuffle says."""
    order = np.empty(deck.num_cards, int)
    order[np.argsort(cards, kind="stable")] = np.argsort(kind_of_card, kind="stable")
    np.testing.assert_array_equal(kind_of_card[order], cards)

    def reset(rng=None):
        deck.discard_all()
        deck.idx = order[::-1]  # dealt from the end
        deck.deck_len = deck.num_cards

    deck.reset = reset


def assert_lock_step(theirs, stack_for, actions, played):
    """Walk popgym's environment through the same decks and actions, and compare every step.

    ``stack_for(episode)`` stacks its decks for one episode.
    """
    for episode in range(EPISODES):
        stack_for(episode)
        obs = [theirs.reset(seed=0)[0]]
        steps = [theirs.step(action) for action in actions[episode].tolist()]
        obs += [step[0] for step in steps]
        np.testing.assert_array_equal(obs, played.obs[episode])
        _, reward, terminated, truncated, _ = zip(*steps, strict=True)
        np.testing.assert_allclose(reward, played.reward[episode], rtol=1e-6)
        np.testing.assert_array_equal(terminated, played.terminated[episode])
        np.testing.assert_array_equal(truncated, played.truncated[episode])


def assert_lanes_lock_step(theirs, lay, layouts, actions, obs, final, *signals):
    """Walk popgym's environment through steps [L, T] that reset themselves, lane by lane.

    ``lay(theirs, layout)`` lets its next reset have that board; every observation after a reset
    is 0 in both. ``signals`` are reward, terminated, truncated.
    """
    for lane in range(len(actions)):
        ended, found = True, []
        for layout, action in zip(layouts[lane], actions[lane], strict=True):
            if ended:
                lay(theirs, layout)
                assert theirs.reset()[0] == 0
            step = theirs.step(action)[:4]
            ended = step[2] or step[3]
            found.append(step)
        for ours, expected in zip((final, *signals), zip(*found, strict=True), strict=True):
            np.testing.assert_allclose(ours[lane], expected, rtol=1e-6)
    ended = signals[1] | signals[2]
    assert ended.any(axis=1).all()
    np.testing.assert_array_equal(obs, np.where(ended, 0, final))


def assert_episodes_of(num_steps, played):
    assert played.reward.shape == (EPISODES, num_steps)
    assert not played.truncated.any()
    assert not played.terminated[:, :-1].any()
    assert played.terminated[:, -1].all()


def assert_return(played, expected, paid_steps):
    """Each episode returns ``expected``, a number or [E], in as many steps of its sign."""
    expected = np.broadcast_to(expected, EPISODES)
    gained = np.sign(played.reward) == np.sign(expected)[:, None]
    np.testing.assert_array_equal(gained.sum(1), paid_steps)
    np.testing.assert_allclose(played.reward.sum(1, dtype=np.float64), expected, rtol=1e-6)


def assert_shuffled(cards, num_kinds):
    """Decks [E, N] are whole, any card may lie anywhere, and neighbours know nothing of each other.

    Chance fails the test for one key in ten thousand; the key is fixed.
    """
    episodes, size = cards.shape
    counts = (cards[..., None] == np.arange(num_kinds)).sum(1)
    assert (counts == size // num_kinds).all()

    expected = episodes / num_kinds
    for place in (0, 1, size // 2, size - 1):
        found = np.bincount(cards[:, place], minlength=num_kinds)
        assert ((found - expected) ** 2 / expected).sum() < stats.chi2.isf(1e-5, num_kinds - 1)

    chance = (size / num_kinds - 1) / (size - 1)
    pairs = (cards[:, 1:] == cards[:, :-1]).mean()
    assert abs(pairs - chance) < 5 * np.sqrt(chance / (episodes * (size - 1)))
