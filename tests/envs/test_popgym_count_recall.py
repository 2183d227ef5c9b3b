"""CountRecall by hand, and in lock-step with popgym 1.0.7."""

import jax.numpy as jnp
import numpy as np
import popgym_lockstep as lockstep
import pytest
from scipy import stats

import envs
from envs.fixed import NoParams
from envs.popgym.card_game import EnvState
from envs.popgym.count_recall import CountRecall
from envs.popgym.deck import ordered_deck
from ssmrl.errors import UsageError

game = lockstep.games("CountRecall")


def counts(env, obs, ignored=0):
    """Return how often the kind in question was dealt, the last ``ignored`` cards left out."""
    dealt = np.cumsum(obs[..., :1] == np.arange(env.num_kinds), axis=1, dtype=np.int32)
    dealt = np.pad(dealt, ((0, 0), (ignored, 0), (0, 0)))[:, : env.num_steps]
    queries = obs[:, : env.num_steps, 1:]
    return np.take_along_axis(dealt, queries, axis=2)[..., 0]


def test_episode_deals_two_shuffled_piles_and_ends_with_the_last_cards(game):
    _, env, _, _, random = game
    lockstep.assert_episodes_of(52 * env.num_decks - 1, random)
    lockstep.assert_shuffled(random.obs[..., 0], env.num_kinds)
    lockstep.assert_shuffled(random.obs[..., 1], env.num_kinds)


def test_values_and_queries_are_independent(game):
    """Matches of two whole piles: mean N/k, variance (N/k)² (k - 1)/(N - 1)."""
    _, env, _, _, random = game
    size, kinds = env.num_cards, env.num_kinds
    matches = (random.obs[..., 0] == random.obs[..., 1]).sum(1)
    variance = (size / kinds) ** 2 * (kinds - 1) / (size - 1)
    assert abs(matches.mean() - size / kinds) < 5 * np.sqrt(variance / lockstep.EPISODES)
    spread = matches.var(ddof=1) / variance * (lockstep.EPISODES - 1)
    assert 1e-5 < stats.chi2.sf(spread, lockstep.EPISODES - 1) < 1 - 1e-5


def test_perfect_player_gets_one(game):
    _, env, _, play, random = game
    answers = counts(env, random.obs)
    lockstep.assert_return(play(answers), 1, env.num_steps)
    lockstep.assert_return(play((answers + 1) % env.num_actions), -1, env.num_steps)


@pytest.mark.parametrize("who", ["random", "half right", "perfect"])
def test_lock_step_with_popgym(game, who):
    _, env, theirs, _, random = game
    right = counts(env, random.obs)
    wrong = lockstep.random_actions(env)
    guesses = np.random.default_rng(1).random(right.shape) < 0.5
    actions = {"random": wrong, "half right": np.where(guesses, wrong, right), "perfect": right}
    decks = (theirs.value_deck, theirs.query_deck)
    piles = [(deck, random.obs[..., i], theirs.deck_idx_type) for i, deck in enumerate(decks)]
    game.assert_lock_step(actions[who], *piles)


def test_spaces_are_those_of_popgym(game):
    _, env, theirs, *_ = game
    params = env.default_params
    envs.check_environment(env, params)
    assert env.action_space(params).n == theirs.action_space.n
    assert env.observation_space(params).nvec.tolist() == theirs.observation_space.nvec.tolist()


# Values 0 1 0 1 ..., queries 1 0 1 0 ...: at an odd number of cards the value in sight is 0.
TABLE = EnvState(deck=jnp.stack([ordered_deck(1, 2), 1 - ordered_deck(1, 2)]), time=jnp.int32(0))


@pytest.mark.parametrize(
    ("dealt", "action", "reward"),
    [
        (1, 0, 1 / 51),  # a 0 lies there, and 1 is in question
        (1, 1, -1 / 51),
        (2, 1, 1 / 51),
        (7, 3, 1 / 51),
        (7, 4, -1 / 51),
        (51, 25, 1 / 51),  # the last step pays too
    ],
)
def test_by_hand(dealt, action, reward):
    state = TABLE.replace(time=jnp.int32(dealt - 1))
    _, _, found, terminated, _ = CountRecall().step_env(lockstep.KEY, state, action, NoParams())
    assert float(found) == pytest.approx(reward)
    assert bool(terminated) is (dealt == 51)


@pytest.mark.parametrize(("legacy", "count"), [(False, 4), (True, 3)])
def test_the_card_in_sight_counts_by_popgyms_rules_only(legacy, count):
    state = TABLE.replace(deck=jnp.stack([ordered_deck(1, 2)] * 2), time=jnp.int32(6))
    env = CountRecall(legacy=legacy)
    right, _ = env.question(state.deck, state.time + 1)
    assert right == count


def test_legacy_knows_two_actions_and_one_step_more():
    env = CountRecall(legacy=True)
    play, random = lockstep.play_legacy(env, 52)
    assert env.action_space(env.default_params).n == 2
    lockstep.assert_shuffled(random.obs[:, :52, 0], 2)
    np.testing.assert_array_equal(random.obs[:, 52], random.obs[:, 51])
    answers = counts(env, random.obs, ignored=1)
    best = play(np.minimum(answers, 1))
    np.testing.assert_allclose(np.abs(best.reward), 1 / 52, rtol=1e-6)
    np.testing.assert_array_equal(best.reward > 0, answers <= 1)
    assert best.reward.sum(1).mean() == pytest.approx(-0.85, abs=0.02)


def test_kinds_that_no_card_has_are_named():
    with pytest.raises(UsageError, match=r"num_kinds must be 2 .* 13 \(ranks\), not 5"):
        CountRecall(1, 5)


def test_render_shows_both_piles_and_the_count():
    state = TABLE.replace(time=jnp.int32(2))
    assert CountRecall().render(state) == (
        "CountRecall, step 2 of 51\nblack red [black]\nred black [red]\n"
        "values above, queries below; right answer: 1"
    )
