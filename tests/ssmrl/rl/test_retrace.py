"""Returns worked by hand: traces, ends, and what v and q that disagree add up to."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.rl.gae import generalised_advantages
from ssmrl.rl.retrace import retrace_returns

GAMMA, LAMBDA = 0.5, 0.8


def returns(reward, terminated, truncated, q, v, log_ratio, gamma=GAMMA, lambda_=LAMBDA):
    floats = (jnp.array(x, jnp.float32) for x in (q, v, log_ratio))
    ends = (jnp.array(x, bool) for x in (terminated, truncated))
    return retrace_returns(jnp.array(reward, jnp.float32), *ends, *floats, gamma, lambda_)


def test_by_hand():
    # G_1 = 2 + .5 * 6; G_0 = 1 + .5 * (4 + .8 * min(1, e^-log 2) * (5 - 3))
    found = returns([1, 2], [0, 0], [0, 0], [9, 3], [4, 6], [7, -np.log(2)])
    np.testing.assert_allclose(found, [1 + 0.5 * (4 + 0.4 * 2), 5], rtol=1e-6)


def test_ratios_above_one_count_as_one():
    on_policy = returns([1, 2], [0, 0], [0, 0], [9, 3], [4, 6], [0, 0])
    above = returns([1, 2], [0, 0], [0, 0], [9, 3], [4, 6], [0, 5])
    np.testing.assert_array_equal(on_policy, above)
    np.testing.assert_allclose(on_policy[0], 1 + 0.5 * (4 + 0.8 * 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("terminated", "truncated", "future"), [(1, 0, 0), (0, 1, 0.5 * 4), (1, 1, 0)]
)
def test_nothing_crosses_an_end(terminated, truncated, future):
    """A termination has no future, a truncation the value of what was seen last."""
    found = returns([1, 200], [terminated, 0], [truncated, 0], [9, 3], [4, 6], [0, 0])
    np.testing.assert_allclose(found, [1 + future, 203])


def test_as_rlax():
    """rlax 0.1.9's general_off_policy_returns_from_q_and_v with c = .8 min(1, ratio)."""
    found = returns(
        [1, -0.5, 2, 0.25], [0, 0, 1, 0], [0, 0, 0, 0], [0.3, 0.7, -0.2, 1.1],
        [0.9, -0.4, 5, 0.6], [0.2, -0.7, 0.5, -0.1], gamma=0.9,
    )  # fmt: skip
    np.testing.assert_allclose(found, [1.818581, 0.724, 2.0, 0.79], rtol=1e-5)


def test_q_equal_to_v_on_policy_is_the_advantage_estimator():
    rng = np.random.default_rng(0)
    reward, v = rng.normal(size=(2, 9, 3)).astype(np.float32)
    v_t, no = np.roll(v, -1, 0), np.zeros((9, 3), bool)
    ended = rng.random((9, 3)) < 0.2
    found = returns(reward, ended, no, v, v_t, np.zeros((9, 3)))
    advantage = generalised_advantages(
        *map(jnp.asarray, (reward, ended, no, v, v_t)), GAMMA, LAMBDA
    )
    np.testing.assert_allclose(found, v + advantage, rtol=1e-4, atol=1e-6)


def test_a_chain_of_known_values():
    """Pays 1 at the end of five steps: from right q and v, and from none with lambda 1."""
    reward, terminated = [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]
    known = GAMMA ** np.arange(4, -1, -1)
    right = returns(reward, terminated, [0] * 5, known, [*known[1:], 9], [0] * 5)
    np.testing.assert_allclose(right, known, rtol=1e-6)
    none = returns(reward, terminated, [0] * 5, [0] * 5, [0] * 5, [0] * 5, lambda_=1.0)
    np.testing.assert_allclose(none, known, rtol=1e-6)
