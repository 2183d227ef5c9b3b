"""Parity and Permutation by hand, and the laws of their draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recall_rollout import KEY, chi_square, make_rollout

import envs
from envs.recall import parity, permutation
from ssmrl.errors import UsageError


@pytest.mark.parametrize(("action", "reward"), [(0, -0.25), (1, 0.25)])
def test_parity_by_hand(action, reward):
    env, params = envs.make("recall/Parity", length=4)
    state = parity.EnvState(bit=jnp.int8(0), parity=jnp.int8(1), time=jnp.int32(2))
    _, after, found, terminated, _ = env.step_env(KEY, state, action, params)
    assert float(found) == reward
    assert not terminated
    assert env.render(state, params) == "bit 3 of 4: [0]   parity so far: 1"
    draws = [env.step_env(key, state, 0, params)[:2] for key in jax.random.split(KEY, 8)]
    assert {(int(bit), int(after.parity)) for bit, after in draws} == {(0, 1), (1, 0)}
    *_, terminated, _ = env.step_env(KEY, after, action, params)
    assert terminated


def test_bits_are_fair_and_independent():
    _, _, rollout = make_rollout("recall/Parity", 20, copies=400, length=10)
    bits = rollout(0).seen.ravel()
    pairs = np.bincount(2 * bits[:-1] + bits[1:], minlength=4)
    assert chi_square(pairs) < 21  # 3 degrees of freedom, p < 1e-4


def test_moves():
    s3 = permutation.Permutation(num_cups=3)
    assert s3.moves.tolist() == [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    assert permutation.Permutation(num_cups=5).moves.shape == (120, 5)
    swaps = permutation.Permutation(num_cups=3, moves="swaps")
    assert swaps.moves.tolist() == [[1, 0, 2], [2, 1, 0], [0, 2, 1]]
    assert s3.observation_space(s3.default_params).n == 3 + 6
    assert swaps.observation_space(swaps.default_params).n == 3 + 3


def test_cups_by_hand():
    env, params = envs.make("recall/Permutation", num_cups=3, moves="swaps", length=2)
    obs, state = env.reset(KEY, params)
    assert int(obs) == int(state.ball)
    assert env.render(state).endswith("the player sees the ball")
    _, looked, reward, _, _ = env.step_env(KEY, state, obs, params)
    assert reward == 0  # the ball is in sight

    state = permutation.EnvState(jnp.int8(2), shown=jnp.int16(3 + 1), time=jnp.int32(1))
    assert env.render(state) == "( ) ( ) (o)   the player sees 0→2, 2→0"
    obs, after, reward, terminated, _ = env.step_env(KEY, state, 2, params)
    assert float(reward) == 0.5
    assert not terminated
    assert int(after.ball) == [2, 0, 1][int(obs) - 3]  # swaps 0 1, 0 2, 1 2 of a ball under 2
    *_, reward, terminated, _ = env.step_env(KEY, after, 3, params)
    assert float(reward) == -0.5
    assert terminated
    assert looked.time == 1


def test_moves_and_start_are_uniform():
    _, _, rollout = make_rollout("recall/Permutation", 50, copies=500, num_cups=4, length=49)
    seen = rollout(0).seen
    assert chi_square(np.bincount(seen[:, 0], minlength=4)) < 21  # 3 degrees of freedom
    moves = np.bincount(seen[:, 1:].ravel() - 4)
    assert len(moves) == 24
    assert chi_square(moves) < 57  # 23 degrees of freedom, p < 1e-4


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("Parity", {"length": 0}, "length must be >= 1, not 0"),
        ("Permutation", {"num_cups": 7}, "num_cups must be 2 to 6, not 7"),
        ("Permutation", {"length": 0}, "length must be >= 1, not 0"),
        (
            "Permutation",
            {"moves": "rotations"},
            "moves must be 'permutations' or 'swaps', not 'rotations'",
        ),
    ],
)
def test_impossible_settings(name, settings, complaint):
    with pytest.raises(UsageError, match=f"environment '{name}': {complaint}"):
        envs.make(f"recall/{name}", **settings)


def test_following_a_ball_needs_the_order_of_moves():
    """The same moves in another order lead elsewhere: S3 does not commute."""
    moves = permutation.Permutation(num_cups=3).moves
    ends = {tuple(moves[1][moves[2]]), tuple(moves[2][moves[1]])}
    assert len(ends) == 2
    assert jax.tree.leaves(permutation.EnvParams()) == [64]
