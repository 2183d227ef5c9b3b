"""Concentration by hand, its law of cards, and lock-step with popgym 1.0.7."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym import envs as popgym_envs

import envs
from envs.popgym.concentration import NO_CARD, UNDRAWN, Concentration, EnvState
from ssmrl.errors import UsageError

LEVELS = {"Easy": (1, 2), "Medium": (2, 2), "Hard": (1, 13)}
# Chances that a lane remembers the cards that it has seen, not turning any. The first episodes of
# the last lanes are played with cards that have all been seen.
SKILL = np.repeat([0.0, 0.7, 1.0, 1.0], [200, 40, 30, 30])
SEES_ALL = np.arange(len(SKILL)) >= 270
KEY = jax.random.key(0)


def remember(state, num_kinds):
    """Return for each card 2 where it makes a pair of seen cards, 1 where it is new, else 0."""
    is_new = state.cards == UNDRAWN
    is_known = ~is_new & ~state.face_up
    kinds = jnp.arange(num_kinds)[None]
    counts = (is_known[:, None] & (state.cards[:, None] == kinds)).sum(axis=0)
    begins_pair = is_known & (counts[state.cards] > 1)
    place = jnp.arange(state.cards.size)
    ends_pair = is_known & (state.cards == state.cards[state.first]) & (place != state.first)
    return is_new + 2 * jnp.where(state.first == NO_CARD, begins_pair, ends_pair)


@pytest.fixture(scope="module", params=LEVELS)
def game(request):
    """Return the level, the environment, and what T steps of every lane saw and gave."""
    env = Concentration(*LEVELS[request.param])
    length = env.max_steps

    def step(state, x):
        key, skill = x
        key_skill, key_card, key_step = jax.random.split(key, 3)
        remembers = jax.random.bernoulli(key_skill, skill)
        chance = jax.random.uniform(key_card, (env.num_cards,))
        action = (chance + remembers * remember(state, env.num_kinds)).argmax()
        obs, after, *signals, info = env.step(key_step, state, action, env.default_params)
        return after, (action, obs, info["final_observation"], *signals)

    def lane(key, skill, sees_all):
        first, state = env.reset(key, env.default_params)
        all_cards = jnp.arange(env.num_cards) % env.num_kinds
        seen = jax.random.permutation(key, all_cards.astype(jnp.int8))
        state = state.replace(
            cards=jnp.where(sees_all, seen, state.cards),
            left=jnp.where(sees_all, 0, state.left),
        )
        keys = jax.random.split(key, length)
        return first, jax.lax.scan(step, state, (keys, jnp.full(length, skill)))[1]

    keys = jax.random.split(KEY, len(SKILL))
    first, steps = jax.jit(jax.vmap(lane))(keys, SKILL.astype(np.float32), SEES_ALL)
    return request.param, env, np.asarray(first), [np.asarray(x) for x in steps]


def cards_of(obs, env):
    """Return the kinds [N] that an episode's observations [steps, N] show; a rest fills gaps."""
    kinds = obs.min(axis=0)  # a card face down has the highest number
    counts = np.bincount(kinds, minlength=env.num_kinds + 1)[:-1]
    rest = np.repeat(np.arange(env.num_kinds), env.num_cards // env.num_kinds - counts)
    kinds[kinds == env.num_kinds] = rest
    return kinds


def lay(theirs, kinds):
    """Let popgym's environment lay cards of these kinds at its next reset."""
    by_kind = np.argsort(theirs.deck_idx_type, kind="stable")
    order = np.empty_like(by_kind)
    order[np.argsort(kinds, kind="stable")] = by_kind

    def shuffle(cards):
        cards[:] = order

    theirs._np_random = SimpleNamespace(shuffle=shuffle)


def walk_popgym(theirs, env, actions, obs, ended):
    """Return what popgym gives for ``actions`` on the cards that ``obs`` shows."""
    starts = np.flatnonzero(np.append(True, ended[:-1]))
    found = []
    for start, end in zip(starts, np.append(starts[1:], len(actions)), strict=True):
        lay(theirs, cards_of(obs[start:end], env))
        assert (theirs.reset()[0] == env.num_kinds).all()
        found += [theirs.step(action)[:4] for action in actions[start:end].tolist()]
    return zip(*found, strict=True)


def test_lock_step_with_popgym(game):
    level, env, first, (actions, obs, final, reward, terminated, truncated) = game
    theirs = getattr(popgym_envs, f"Concentration{level}")()
    ended = terminated | truncated
    for lane in range(len(SKILL)):
        found = walk_popgym(theirs, env, actions[lane], final[lane], ended[lane])
        their_obs, their_reward, their_terminated, their_truncated = found
        np.testing.assert_array_equal(final[lane], their_obs)
        np.testing.assert_allclose(reward[lane], their_reward, rtol=1e-6)
        np.testing.assert_array_equal(terminated[lane], their_terminated)
        np.testing.assert_array_equal(truncated[lane], their_truncated)
    assert ended.any(axis=1).all()
    assert (first == env.num_kinds).all()
    np.testing.assert_array_equal(obs, np.where(ended[..., None], env.num_kinds, final))


def test_who_knows_the_cards_gets_one(game):
    _, env, _, (*_, reward, terminated, truncated) = game
    reward, terminated, truncated = (x[SEES_ALL] for x in (reward, terminated, truncated))
    length = env.num_cards
    assert not terminated[:, : length - 1].any()
    assert terminated[:, length - 1].all()
    np.testing.assert_allclose(reward[:, :length].sum(axis=1), 1, atol=1e-5)
    assert not truncated[:, :length].any()


def test_spaces_are_those_of_popgym(game):
    level, env, _, _ = game
    theirs = getattr(popgym_envs, f"Concentration{level}")()
    params = env.default_params
    assert env.action_space(params).n == theirs.action_space.n == env.num_actions
    np.testing.assert_array_equal(env.observation_space(params).nvec, theirs.observation_space.nvec)
    assert env.max_steps == theirs.episode_length
    envs.check_environment(env, params)


def turn(env, cards, lanes):
    """Return the kinds [lanes, len(cards)] that cards show when turned in this order."""

    def step(state, x):
        key, card = x
        obs, state, *_ = env.step_env(key, state, card, env.default_params)
        return state, obs[card]

    def lane(key):
        _, state = env.reset_env(key, env.default_params)
        return jax.lax.scan(step, state, (jax.random.split(key, len(cards)), cards))[1]

    return np.asarray(jax.jit(jax.vmap(lane))(jax.random.split(jax.random.key(1), lanes)))


def test_cards_are_drawn_as_from_a_shuffled_deck():
    """Chi-square for pairs of kinds, 168 degrees of freedom, and for the kind of each card."""
    env, lanes = Concentration(1, 13), 10_000
    order = np.random.default_rng(0).permutation(52)
    kinds = turn(env, jnp.array(order), lanes)
    counts = np.apply_along_axis(np.bincount, 1, kinds, minlength=13)
    assert (counts == 4).all()

    for first, second in ((0, 1), (3, 51)):
        pairs = np.bincount(13 * kinds[:, first] + kinds[:, second], minlength=169)
        chances = (np.full((13, 13), 4) - np.eye(13)).ravel() * 4 / (52 * 51)
        expected = lanes * chances
        chi_square = ((pairs - expected) ** 2 / expected).sum()
        assert abs(chi_square - 168) < 4 * (2 * 168) ** 0.5

    by_place = np.stack([np.bincount(column, minlength=13) for column in kinds.T])
    chi_square = ((by_place - lanes / 13) ** 2 / (lanes / 13)).sum()
    assert abs(chi_square - 52 * 12) < 4 * (2 * 52 * 12) ** 0.5


def by_hand(first=NO_CARD, face_up=(), num_pairs=0, time=0):
    """Return cards that have all been seen, with kinds 0 to 12 over and over."""
    return EnvState(
        cards=(jnp.arange(52) % 13).astype(jnp.int8),
        left=jnp.zeros(13, jnp.int8),
        face_up=jnp.array(np.isin(np.arange(52), face_up)),
        first=jnp.int32(first),
        num_pairs=jnp.int32(num_pairs),
        time=jnp.int32(time),
    )


@pytest.mark.parametrize(
    ("state", "card", "visible", "reward", "terminated", "truncated"),
    [
        (by_hand(), 5, [5], 0, False, False),
        (by_hand(first=5), 18, [5, 18], 1 / 26, False, False),
        (by_hand(first=5), 19, [5, 19], -2 / 104, False, False),
        (by_hand(first=5), 5, [5], -2 / 104, False, False),  # the same card is no pair
        (by_hand(face_up=[5, 18]), 5, [5, 18], -1 / 104, False, False),
        (by_hand(7, [5, 18]), 5, [5, 7, 18], -2 / 104, False, False),
        (by_hand(31, [5, 18]), 18, [5, 18, 31], -2 / 104, False, False),  # of its kind, but up
        (by_hand(51), 12, [12, 51], 1 / 26, False, False),
        (by_hand(5, [], 25), 18, [5, 18], 1 / 26, True, False),
        (by_hand(5, [], 25, 103), 18, [5, 18], 1 / 26, True, True),  # both in the last step
        (by_hand(time=103), 18, [18], 0, False, True),
        (by_hand(time=102), 18, [18], 0, False, False),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_steps_by_hand(state, card, visible, reward, terminated, truncated, legacy):
    """With ``legacy`` the end of time terminates."""
    env = Concentration(1, 13, legacy=legacy)
    params = env.default_params
    obs, after, found_reward, found_terminated, _ = env.step_env(KEY, state, card, params)
    expected = np.full(52, 13)
    expected[visible] = np.array(visible) % 13
    assert obs.tolist() == expected.tolist()
    assert float(found_reward) == pytest.approx(reward)
    assert bool(found_terminated) is (terminated or (legacy and truncated))
    assert bool(env.is_truncated(after, params)) is (truncated and not legacy)
    begins_turn = state.first == NO_CARD and not state.face_up[card]
    assert after.first == (card if begins_turn else NO_CARD)
    found = visible if reward > 0 else np.flatnonzero(state.face_up)
    assert np.flatnonzero(after.face_up).tolist() == list(found)


def test_contract_of_legacy():
    env = Concentration(1, 2, legacy=True)
    envs.check_environment(env, env.default_params)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"num_decks": 0}, "num_decks must be 1 to 1000000, not 0"),
        ({"num_kinds": 4}, "2 .colours. or 13 .ranks., not 4"),  # suits come in odd numbers
    ],
)
def test_what_cannot_be_is_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        Concentration(**arguments)


def test_render():
    state = by_hand(first=9, face_up=[5, 18], num_pairs=1, time=3)
    state = state.replace(cards=state.cards.at[2].set(UNDRAWN))
    lines = Concentration(1, 13).render(state).splitlines()
    assert lines[0] == " (A) (2)  ·  (4) (5)  6  (7) (8) (9)[10] (J) (Q) (K)"
    assert lines[1] == " (A) (2) (3) (4) (5)  6  (7) (8) (9)(10) (J) (Q) (K)"
    assert lines[4] == "step 3 of 104, 1 of 26 pairs"
