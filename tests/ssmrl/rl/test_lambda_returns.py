"""Lambda-returns by hand, against a plain loop, and against advantages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.rl.backward import backward_sums
from ssmrl.rl.gae import generalised_advantages
from ssmrl.rl.lambda_returns import lambda_returns

RNG = np.random.default_rng(0)
REWARD, VALUE = RNG.normal(size=(2, 9, 3)).astype(np.float32)
TERMINATED, TRUNCATED = RNG.random((2, 9, 3)) < 0.2
DISCOUNT = np.where(TERMINATED, 0, RNG.uniform(0.5, 1, (9, 3))).astype(np.float32)
CUT = np.where(TRUNCATED, 0, 0.8).astype(np.float32)


def plain_loop(reward, discount, value, lambda_):
    future, returns = value[-1], []
    for t in reversed(range(len(reward))):
        mixed = (1 - lambda_[t]) * value[t] + lambda_[t] * future
        future = reward[t] + discount[t] * mixed
        returns.append(future)
    return np.stack(returns[::-1])


def test_by_hand():
    # G_1 = 2 + .5 * 6; G_0 = 1 + .9 * (.2 * 4 + .8 * 5)
    found = lambda_returns(*map(jnp.array, ([1.0, 2.0], [0.9, 0.5], [4.0, 6.0])), 0.8)
    np.testing.assert_allclose(found, [1 + 0.9 * 4.8, 5], rtol=1e-6)


@pytest.mark.parametrize("lambda_", [np.full((9, 3), 0.8, np.float32), CUT])
def test_as_a_plain_loop(lambda_):
    """With episodes that terminate (discount 0), and that are cut off (lambda 0)."""
    assert TERMINATED[:-1].any()
    assert TRUNCATED[:-1].any()
    found = jax.jit(lambda_returns)(REWARD, DISCOUNT, VALUE, lambda_)
    expected = plain_loop(REWARD, DISCOUNT, VALUE, lambda_)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_comes_back_over_an_end():
    returns = lambda reward: lambda_returns(reward, jnp.asarray(DISCOUNT), VALUE, CUT)  # noqa: E731
    before, after = returns(jnp.asarray(REWARD)), returns(jnp.asarray(REWARD).at[5].add(7.0))
    t, b = 4, np.flatnonzero(TERMINATED[4] | TRUNCATED[4])
    assert b.size
    np.testing.assert_array_equal(before[t, b], after[t, b])
    going_on = np.flatnonzero(~(TERMINATED[4] | TRUNCATED[4]))
    assert (before[t, going_on] != after[t, going_on]).all()


def test_from_one_step_to_all_of_them():
    one = lambda_returns(*map(jnp.asarray, (REWARD, DISCOUNT, VALUE)), 0.0)
    np.testing.assert_allclose(one, REWARD + DISCOUNT * VALUE, rtol=1e-6)
    every = lambda_returns(*map(jnp.asarray, (REWARD, DISCOUNT, VALUE)), 1.0)
    expected = plain_loop(REWARD, DISCOUNT, VALUE, np.ones((9, 3)))
    np.testing.assert_allclose(every, expected, rtol=1e-5, atol=1e-6)


def test_values_are_what_advantages_stand_on():
    """Where v_t is the next step's v_tm1, the return is v_tm1 and the advantage."""
    v_tm1 = np.concatenate([RNG.normal(size=(1, 3)).astype(np.float32), VALUE[:-1]])
    advantage = generalised_advantages(
        *map(jnp.asarray, (REWARD, TERMINATED, TRUNCATED, v_tm1, VALUE)), 0.9, 0.8
    )
    discount = jnp.where(TERMINATED, 0.0, 0.9)
    found = lambda_returns(jnp.asarray(REWARD), discount, jnp.asarray(VALUE), CUT)
    np.testing.assert_allclose(found, v_tm1 + advantage, rtol=1e-5, atol=1e-6)


def test_backward_sums_by_hand():
    x, ended = jnp.array([1.0, 2.0, 3.0]), jnp.array([False, True, False])
    half = jnp.array([0.5])
    np.testing.assert_allclose(backward_sums(half, x), [1 + 0.5 * 3.5, 3.5, 3])
    np.testing.assert_allclose(backward_sums(half, x, ended, jnp.float32(8)), [2, 2, 7])
    varying = jnp.array([0.1, 0.5, 2.0])
    np.testing.assert_allclose(backward_sums(varying, x, beyond=jnp.float32(1)), [1.45, 4.5, 5])
