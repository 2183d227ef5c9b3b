"""SelectiveCopy by hand, and the law of its draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recall_rollout import KEY, chi_square, make_rollout

import envs
from envs.recall.selective_copy import EnvState, SelectiveCopy
from ssmrl.errors import UsageError


@pytest.mark.parametrize(
    ("num_tokens", "fraction", "items"),
    [
        (8, 0.9, 80),
        (16, 1 - 16 / 4096, 4096),
        (5, 0.0, 5),
        (3, 0.5, 6),
        (1, 0.99, 100),
        (1, 0.62, 3),
        (1, 0.6, 3),  # 2.5 is between two integers in float32 only
    ],
)
def test_length_grows_with_the_fraction_of_distractors(num_tokens, fraction, items):
    env = SelectiveCopy(num_tokens=num_tokens, distractor_fraction=fraction)
    assert int(env.num_items(env.default_params)) == items
    assert int(jax.jit(env.num_items)(env.default_params)) == items  # as it is played
    assert int(env.num_steps(env.default_params)) == items + num_tokens


def test_by_hand():
    env, params = envs.make(
        "recall/SelectiveCopy", num_tokens=2, num_symbols=4, distractor_fraction=0.5
    )

    def at(time, num_seen, shown):
        tokens = jnp.array([3, 1], jnp.int8)[:2] * (jnp.arange(2) < num_seen)
        scalars = (jnp.int32(x) for x in (num_seen, shown, time))
        return EnvState(tokens.astype(jnp.int8), *scalars)

    # Four items, of which two are symbols: after two blanks the rest must be symbols.
    obs, state, reward, _, _ = env.step_env(KEY, at(time=1, num_seen=0, shown=4), 0, params)
    assert int(obs) < 4
    assert reward == 0
    assert int(state.tokens[0]) == int(obs)
    assert env.render(at(1, 1, 4)) == "the player sees blank   so far: 3"

    # After two symbols the rest must be blank, and then the questions come.
    obs, state, reward, _, _ = env.step_env(KEY, at(time=2, num_seen=2, shown=1), 3, params)
    assert int(obs) == 4
    obs, state, reward, _, _ = env.step_env(KEY, state, 3, params)
    assert int(obs) == 5
    assert reward == 0
    assert env.render(state, params) == "the player sees answer!   so far: [3] 1"
    obs, state, reward, terminated, _ = env.step_env(KEY, state, 3, params)
    assert (int(obs), float(reward), bool(terminated)) == (5, 0.5, False)
    assert env.render(state) == "the player sees answer!   so far: 3 [1]"
    obs, state, reward, terminated, _ = env.step_env(KEY, state, 3, params)  # it is 1
    assert (int(obs), float(reward), bool(terminated)) == (5, -0.5, True)


def test_places_and_symbols_are_uniform():
    settings = {"num_tokens": 2, "num_symbols": 3, "distractor_fraction": 0.6}
    _, _, rollout = make_rollout("recall/SelectiveCopy", 7, copies=4000, **settings)
    items = rollout(0).seen[:, :5]
    is_symbol = items < 3
    assert (is_symbol.sum(axis=1) == 2).all()
    places, counts = np.unique(is_symbol @ (1 << np.arange(5)), return_counts=True)
    assert len(places) == 10
    assert chi_square(counts) < 34  # 9 degrees of freedom, p < 1e-4
    symbols = items[is_symbol].reshape(-1, 2) @ [3, 1]
    assert chi_square(np.bincount(symbols, minlength=9)) < 32  # 8 degrees of freedom


def test_without_distractors_it_is_plain_copying():
    _, _, rollout = make_rollout(
        "recall/SelectiveCopy", 8, copies=10, num_tokens=4, distractor_fraction=0
    )
    seen = rollout(0).seen
    assert (seen[:, :4] < 8).all()
    assert (seen[:, 4:] == 9).all()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"num_tokens": 0}, "num_tokens must be >= 1, not 0"),
        ({"num_symbols": 1}, "num_symbols must be 2 to 127, not 1"),
        ({"num_symbols": 128}, "num_symbols must be 2 to 127, not 128"),
        ({"distractor_fraction": 1}, "distractor_fraction must be at least 0 and below 1, not 1"),
        ({"distractor_fraction": -0.1}, "distractor_fraction must be at least 0 and below 1"),
    ],
)
def test_impossible_settings(settings, complaint):
    with pytest.raises(UsageError, match=f"environment 'SelectiveCopy': {complaint}"):
        envs.make("recall/SelectiveCopy", **settings)
