"""Advantages worked by hand: termination, truncation, both at once, ends inside a roll-out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.rl.gae import generalised_advantages

GAMMA, LAMBDA = 0.5, 0.5


def advantages(reward, terminated, truncated, value, next_value):
    arrays = (jnp.array(reward, jnp.float32), jnp.array(terminated, bool))
    arrays += (jnp.array(truncated, bool), jnp.array(value, jnp.float32))
    return generalised_advantages(*arrays, jnp.array(next_value, jnp.float32), GAMMA, LAMBDA)


def test_running_episode_bootstraps_from_the_last_value():
    # delta = [1 + .5*4 - 2, 2 + .5*6 - 4] = [1, 1]; A_1 = 1, A_0 = 1 + .25 * 1
    found = advantages([1, 2], [0, 0], [0, 0], [2, 4], [4, 6])
    np.testing.assert_allclose(found, [1.25, 1.0])


@pytest.mark.parametrize(
    ("terminated", "truncated", "delta"),
    [
        (0, 0, 3 + 0.5 * 8 - 5),  # goes on
        (1, 0, 3 - 5),  # has no future
        (0, 1, 3 + 0.5 * 8 - 5),  # has a future, seen through the final observation
        (1, 1, 3 - 5),  # both at once is an end like any other
    ],
)
def test_last_step(terminated, truncated, delta):
    found = advantages([3], [terminated], [truncated], [5], [8])
    np.testing.assert_allclose(found, [delta])


@pytest.mark.parametrize("terminated", [True, False])
def test_end_inside_a_rollout_cuts_the_sum(terminated):
    # Step 1 ends the episode. Its next value, 10, counts only where it was truncated.
    found = advantages([1, 1, 1], [0, terminated, 0], [0, not terminated, 0], [2, 2, 2], [2, 10, 6])
    delta = [1 + 0.5 * 2 - 2, 1 + (0 if terminated else 0.5 * 10) - 2, 1 + 0.5 * 6 - 2]
    np.testing.assert_allclose(found, [delta[0] + 0.25 * delta[1], delta[1], delta[2]])


def test_environments_are_independent_columns():
    key = jax.random.key(0)
    arrays = jax.random.normal(key, (3, 7, 4))
    ended = jax.random.bernoulli(key, 0.3, (7, 4))
    together = generalised_advantages(
        arrays[0], ended, jnp.zeros_like(ended), arrays[1], arrays[2], GAMMA, LAMBDA
    )
    for column in range(4):
        alone = advantages(
            arrays[0, :, column], ended[:, column], np.zeros(7), *arrays[1:, :, column]
        )
        np.testing.assert_allclose(together[:, column], alone, rtol=1e-5)


def test_lambda_one_is_the_return_less_the_value():
    reward, value = np.array([1.0, 2, 3]), np.array([0.5, 0.25, 0.125])
    returns = reward[0] + GAMMA * (reward[1] + GAMMA * reward[2])
    found = generalised_advantages(
        jnp.array(reward, jnp.float32), jnp.array([False, False, True]), jnp.zeros(3, bool),
        jnp.array(value, jnp.float32), jnp.array([0.25, 0.125, 9.0], jnp.float32), GAMMA, 1.0,
    )  # fmt: skip
    np.testing.assert_allclose(found[0], returns - value[0], rtol=1e-6)
