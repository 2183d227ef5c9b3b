"""What holds for all the recall games of questions and answers: best, random, reactive players."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recall_rollout import by_episode, make_rollout

import envs
from envs import recall

COPIES = 4000


def parity_answers(seen):
    """Return the answers, and where one is asked: both [episodes, steps]."""
    return np.cumsum(seen, axis=1) % 2, np.ones(seen.shape, bool)


def copy_answers(seen):
    asked = seen == 9  # 8 symbols, blank, answer
    answers = np.zeros(seen.shape, int)
    answers[asked] = seen[seen < 8]
    return answers, asked


def recall_answers(seen):
    answers = np.zeros(seen.shape[:2], int)
    for episode, answer in zip(seen[..., 0], answers, strict=True):
        value_of = dict(zip(episode[:8:2], episode[1:8:2] - 5, strict=True))  # 4 pairs, 5 keys
        answer[8:] = [value_of[key] for key in episode[8:]]
    return answers, seen[..., 1] == 1


def cup_answers(seen, moves, num_cups):
    answers = seen.copy()
    for t in range(1, seen.shape[1]):
        for episode, move in enumerate(seen[:, t] - num_cups):
            answers[episode, t] = moves[move][answers[episode, t - 1]]
    asked = np.ones(seen.shape, bool)
    asked[:, 0] = False
    return answers, asked


def s3_answers(seen):
    return cup_answers(seen, list(itertools.permutations(range(3))), 3)


def swap_answers(seen):
    pairs = itertools.combinations(range(4), 2)
    moves = [{a: b, b: a} for a, b in pairs]
    return cup_answers(seen, [[move.get(cup, cup) for cup in range(4)] for move in moves], 4)


# Settings, steps of an episode, the answers, the best return without memory.
GAMES = {
    "recall/Parity": ({"length": 16}, 16, parity_answers, 1 / 16),
    "recall/SelectiveCopy": (
        {"num_tokens": 6, "num_symbols": 8, "distractor_fraction": 0.75},
        24 + 6,
        copy_answers,
        2 / 8 - 1,
    ),
    "recall/AssociativeRecall": (
        {"num_pairs": 4, "num_keys": 5, "num_values": 3},
        12,
        recall_answers,
        2 / 3 - 1,
    ),
    "recall/Permutation": ({"num_cups": 3, "length": 12}, 13, s3_answers, 2 / 3 - 1),
    "recall/Permutation swaps": (
        {"num_cups": 4, "length": 12, "moves": "swaps"},
        13,
        swap_answers,
        2 / 4 - 1,
    ),
}


@pytest.fixture(scope="module", params=GAMES)
def game(request):
    """Return the number of answers, the steps of an episode, the row of the table, a rollout."""
    settings, length, answers, memoryless = GAMES[request.param]
    name = request.param.split()[0]
    env, _, rollout = make_rollout(name, 2 * length, COPIES, **settings)
    return env.num_actions, length, answers, memoryless, rollout


def perfect(game):
    """Return the answers and where they are asked, [2 * COPIES, steps], from what is seen."""
    _, length, answers, _, rollout = game
    seen = by_episode(rollout(0).seen, length)
    return seen, *answers(seen)


def returns(game, actions):
    _, length, _, _, rollout = game
    return by_episode(rollout(actions.reshape(COPIES, -1)).reward, length)


def test_an_episode_ends_after_its_last_answer_and_never_by_time(game):
    _, length, _, _, rollout = game
    steps = rollout(0)
    terminated = by_episode(steps.terminated, length)
    assert terminated[:, -1].all()
    assert not terminated[:, :-1].any()
    assert not steps.truncated.any()


def test_perfect_player_gets_one(game):
    num_answers, *_ = game
    _, answers, asked = perfect(game)
    num_asked = asked.sum(axis=1, keepdims=True)
    assert (num_asked == num_asked[0]).all()
    reward = returns(game, answers)
    np.testing.assert_allclose(reward, asked / num_asked, rtol=1e-6)
    np.testing.assert_allclose(reward.sum(axis=1), 1, atol=1e-6)
    wrong = returns(game, (answers + 1) % num_answers)
    np.testing.assert_allclose(wrong.sum(axis=1), -1, atol=1e-6)


def test_random_player(game):
    num_answers, length, *_ = game
    actions = np.random.default_rng(0).integers(0, num_answers, (COPIES, 2 * length))
    totals = returns(game, actions).sum(axis=1)
    error = totals.std() / np.sqrt(len(totals))
    assert totals.mean() == pytest.approx(2 / num_answers - 1, abs=4 * error)


def test_best_reactive_player(game):
    """Answers what is most often right for what is on the screen; this looks a little too good."""
    num_answers, _, _, memoryless, _ = game
    seen, answers, asked = perfect(game)
    screens = seen[..., 0] if seen.ndim == 3 else seen
    counts = np.zeros((screens.max() + 1, num_answers))
    np.add.at(counts, (screens[asked], answers[asked]), 1)
    best = 2 * counts.max(axis=1).sum() / counts.sum() - 1
    assert memoryless - 0.01 < best < memoryless + 0.03


@pytest.mark.parametrize("name", recall.FACTORIES)
def test_contract(name):
    env, params = envs.make(name)
    envs.check_environment(env, params)
    obs, state = env.reset(jax.random.key(0), params)
    assert bool(env.observation_space(params).contains(obs))
    assert isinstance(env.render(state), str)
    assert env.name == name.split("/")[1]


def test_length_can_vary_within_one_compilation():
    env, params = envs.make("recall/Parity")

    def num_steps(length):
        def step(state, key):
            _, state, _, terminated, _, _ = env.step(key, state, 0, longer)
            return state, terminated

        longer = params.replace(length=length)
        keys = jax.random.split(jax.random.key(0), 9)
        _, terminated = jax.lax.scan(step, env.reset(keys[0], longer)[1], keys)
        return jnp.argmax(terminated) + 1

    assert jax.jit(jax.vmap(num_steps))(jnp.array([2, 9])).tolist() == [2, 9]
