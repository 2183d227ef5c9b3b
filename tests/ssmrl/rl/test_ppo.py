"""The PPO losses against numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.rl.ppo import (
    approximate_kl,
    clipped_surrogate_loss,
    clipped_value_loss,
    explained_variance,
)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.0, 2.0, -2.0), (1.5, 2.0, -2.4), (0.5, 2.0, -1.0), (1.5, -2.0, 3.0), (0.5, -2.0, 1.6)],
)
def test_surrogate(ratio, advantage, loss):
    found = clipped_surrogate_loss(jnp.log(ratio), jnp.float32(advantage), 0.2)
    np.testing.assert_allclose(found, loss, rtol=1e-6)


def test_surrogate_pays_nothing_beyond_the_clip():
    gradient = jax.grad(lambda x: clipped_surrogate_loss(x, jnp.float32(1.0), 0.2))
    assert gradient(jnp.log(1.3)) == 0
    assert gradient(jnp.log(1.1)) < 0


@pytest.mark.parametrize(
    ("value", "epsilon", "loss"),
    [
        (1.0, None, 0.5 * 4),  # plain
        (1.0, 0.2, 0.5 * 2.8**2),  # moved too far towards the target: held at 0.2
        (0.1, 0.2, 0.5 * 2.9**2),  # within
        (-1.0, 0.2, 0.5 * 4**2),  # moved away: the larger error counts
    ],
)
def test_value_loss(value, epsilon, loss):
    found = clipped_value_loss(jnp.float32(value), jnp.float32(0), jnp.float32(3), epsilon)
    np.testing.assert_allclose(found, loss, rtol=1e-6)


def test_kl_is_zero_without_a_change_and_near_the_truth_with_one():
    assert approximate_kl(jnp.float32(0)) == 0
    old, new = jnp.array([0.5, 0.5]), jnp.array([0.6, 0.4])
    estimate = jnp.sum(old * approximate_kl(jnp.log(new / old)))
    np.testing.assert_allclose(estimate, jnp.sum(old * jnp.log(old / new)), rtol=1e-5)


def test_explained_variance():
    target = jnp.array([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(target, target) == 1
    assert explained_variance(jnp.zeros(4), target) == 0
    assert explained_variance(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.ones(4)) == 0
