"""CMPO's policy against numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.rl import cmpo


def test_exact_weights_by_hand():
    """Prior 1/2, 1/4, 1/4; advantages 2 (clipped to 1), 0 and -3 (clipped to -1)."""
    prior = jnp.log(jnp.array([0.5, 0.25, 0.25]))
    found = cmpo.exact_weights(prior, jnp.array([2.0, 0.0, -3.0]), 1.0)
    expected = np.array([0.5 * np.e, 0.25, 0.25 / np.e])
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_no_policy_goes_further_than_the_clip_allows():
    """The total variation from the prior is at most tanh(c / 2): theorem of Hessel et al."""
    prior = jnp.log(jnp.array([0.5, 0.5]))
    for clip in (0.5, 1.0, 2.0):
        weights = cmpo.exact_weights(prior, jnp.array([100.0, -100.0]), clip)
        assert 0.5 * float(abs(weights - 0.5).sum()) <= np.tanh(clip / 2) + 1e-6
    found = cmpo.exact_weights(prior, jnp.array([100.0, -100.0]), 1.0)
    np.testing.assert_allclose(found, [np.e**2 / (1 + np.e**2), 1 / (1 + np.e**2)], rtol=1e-6)


def test_sampled_weights_by_hand():
    """Exponentials e, 1 and 1/e; each over 1 and the other two, (1 + ...) / 3 times 3."""
    found = cmpo.sampled_weights(jnp.array([5.0, 0.0, -5.0]), 1.0)
    e = np.e
    np.testing.assert_allclose(found, [e / (2 + 1 / e), 1 / (1 + e + 1 / e), 1 / e / (2 + e)])


def test_many_samples_tell_the_exact_divergence():
    logits = jax.nn.log_softmax(jnp.array([0.3, -0.5, 1.0]))
    advantage, policy = jnp.array([0.9, -0.4, -2.0]), jax.nn.log_softmax(jnp.array([1.0, 0.0, 0.0]))
    exact = cmpo.cross_entropy(cmpo.exact_weights(logits, advantage, 1.0), policy)
    drawn = jax.random.categorical(jax.random.key(0), logits, shape=(100, 2_000))
    sampled = cmpo.cross_entropy(cmpo.sampled_weights(advantage[drawn], 1.0), policy[drawn])
    assert float(sampled.mean()) == pytest.approx(float(exact), abs=0.005)


def test_gradient_leads_to_the_target():
    """That of the cross-entropy is pi - pi_CMPO, and nothing goes through the weights."""
    weights = jnp.array([0.7, 0.3])
    loss = lambda logits: cmpo.cross_entropy(weights, jax.nn.log_softmax(logits))  # noqa: E731
    np.testing.assert_allclose(jax.grad(loss)(jnp.zeros(2)), [-0.2, 0.2], atol=1e-6)
    assert not jax.grad(cmpo.cross_entropy)(weights, jnp.log(weights)).any()


@pytest.mark.parametrize(("log_ratio", "weight"), [(0.0, 1.0), (-np.log(4), 0.25), (2.0, 1.0)])
def test_policy_gradient_by_hand(log_ratio, weight):
    behaviour, advantage = jnp.float32(-1.5), jnp.float32(3.0)
    grad = jax.grad(cmpo.policy_gradient_loss)(behaviour + log_ratio, behaviour, advantage)
    assert float(grad) == pytest.approx(-weight * 3.0, rel=1e-5)
