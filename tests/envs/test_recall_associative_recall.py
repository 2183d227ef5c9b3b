"""AssociativeRecall by hand, and the law of its draws."""

import jax.numpy as jnp
import numpy as np
import pytest
from recall_rollout import KEY, chi_square, make_rollout

import envs
from envs.recall.associative_recall import EnvState
from ssmrl.errors import UsageError

SMALL = {"num_pairs": 2, "num_keys": 3, "num_values": 2}


def state_at(time, shown, keys=(2, 0, 1), value_of=(1, 0, 0)):
    """Return the state after the pairs 2:0 and 0:1."""
    keys, value_of = (jnp.array(x, jnp.int8) for x in (keys, value_of))
    return EnvState(keys, value_of, jnp.array(shown, jnp.int32), jnp.int32(time))


def test_a_value_belongs_to_the_key_before_it():
    env, params = envs.make("recall/AssociativeRecall", **SMALL)
    for time, key in ((0, 2), (2, 0)):
        state = state_at(time, (key, 0), value_of=(0, 0, 0))
        obs, state, reward, terminated, _ = env.step_env(KEY, state, 1, params)
        assert int(obs[0]) in (3, 4)
        assert int(state.value_of[key]) == int(obs[0]) - 3
        assert int(state.value_of.sum()) == int(obs[0]) - 3  # and nothing else is written
        assert (int(obs[1]), float(reward), bool(terminated)) == (0, 0.0, False)


@pytest.mark.parametrize(
    ("time", "key", "action", "reward"),
    [(4, 0, 1, 0.5), (4, 0, 0, -0.5), (5, 2, 0, 0.5), (5, 2, 1, -0.5)],
)
def test_questions_by_hand(time, key, action, reward):
    env, params = envs.make("recall/AssociativeRecall", **SMALL)
    state = state_at(time, (key, 1), keys=(0, 2, 1))  # 0 is asked first, then 2
    obs, after, found, terminated, _ = env.step_env(KEY, state, action, params)
    assert float(found) == reward
    assert bool(terminated) is (time == 5)
    assert obs.tolist() == [2, 1]  # the one that is left; at the end it stays
    assert after.value_of.tolist() == state.value_of.tolist()
    assert env.render(state) == f"the player sees key {key}?   so far: {{0:1, 2:0}}"


def test_answers_do_not_count_while_pairs_are_shown():
    env, params = envs.make("recall/AssociativeRecall", **SMALL)
    for time, shown in ((0, (2, 0)), (1, (3, 0)), (3, (4, 0))):
        state = state_at(time, shown)
        assert [float(env.step_env(KEY, state, a, params)[2]) for a in (0, 1)] == [0, 0]
    assert env.render(state_at(1, (3, 0))) == "the player sees value 0   so far: {2:0}"


def test_keys_values_and_questions_are_uniform():
    settings = {"num_pairs": 3, "num_keys": 4, "num_values": 2}
    _, _, rollout = make_rollout("recall/AssociativeRecall", 9, copies=8000, **settings)
    seen = rollout(0).seen
    assert (seen[..., 1] == (np.arange(9) >= 6)).all()
    keys, values, questions = seen[:, 0:6:2, 0], seen[:, 1:6:2, 0] - 4, seen[:, 6:, 0]
    assert (np.sort(keys, axis=1) == np.sort(questions, axis=1)).all()

    orders, counts = np.unique(np.hstack([keys, questions]), axis=0, return_counts=True)
    assert len(orders) == 24 * 6
    assert chi_square(counts) < 215  # 143 degrees of freedom, p < 1e-4
    assert chi_square(np.bincount(values @ [4, 2, 1], minlength=8)) < 30  # 7


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"num_pairs": 0}, "num_pairs must be 1 to 127, not 0"),
        ({"num_pairs": 8, "num_keys": 7}, "num_keys must be 8 to 127, not 7"),
        ({"num_keys": 128}, "num_keys must be 8 to 127, not 128"),
        ({"num_values": 1}, "num_values must be 2 to 127, not 1"),
    ],
)
def test_impossible_settings(settings, complaint):
    with pytest.raises(UsageError, match=f"environment 'AssociativeRecall': {complaint}"):
        envs.make("recall/AssociativeRecall", **settings)
