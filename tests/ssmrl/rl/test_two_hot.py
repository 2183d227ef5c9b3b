"""Numbers as mixtures of two bins, and the scales of bins: by hand, and as rlax 0.1.9 has it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.rl import two_hot

BINS = two_hot.symmetric_bins(5, 2.0)


def test_two_hot_by_hand():
    """Beyond the last bin, between two, on one; rlax.transform_to_2hot gives the same."""
    found = two_hot.two_hot(jnp.array([-9.0, -1.25, 0.0, 0.4, 2.0, 2.5]), BINS)
    expected = [
        [1, 0, 0, 0, 0],
        [0.25, 0.75, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0.6, 0.4, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bins_need_not_be_even():
    bins = two_hot.symexp(BINS)  # 1.718 and 6.389 at the end
    found = two_hot.two_hot(jnp.array(3.0), bins)
    share = (3 - (np.e - 1)) / (np.e**2 - np.e)
    np.testing.assert_allclose(found, [0, 0, 0, 1 - share, share], rtol=1e-5)
    assert float(found @ bins) == pytest.approx(3)


def test_two_neighbours_share_one():
    """Over bins up to 485 million apart, on their centres, at their ends and in between."""
    bins = np.asarray(two_hot.symexp(two_hot.symmetric_bins(255, 20.0)))
    x = np.concatenate([bins, np.linspace(-4, 4, 999), bins * 1.001, [3e9, -3e9]])
    found = np.asarray(two_hot.two_hot(jnp.asarray(x, jnp.float32), jnp.asarray(bins)))
    x = np.clip(x.astype(np.float32), bins[0], bins[-1])
    low = np.clip(np.searchsorted(bins, x, side="right"), 1, 254) - 1
    elsewhere = (np.arange(255) != low[:, None]) & (np.arange(255) != low[:, None] + 1)
    assert found.min() >= 0
    assert found[elsewhere].max() < 1e-7  # a division's last bit
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    share = (x - bins[low]) / (bins[low + 1] - bins[low])
    np.testing.assert_allclose(found[np.arange(len(x)), low + 1], share, atol=1e-6)


def test_mean_undoes_two_hot():
    x = jnp.array([[-1.9, -0.3], [0.01, 1.0]])
    logits = jnp.log(two_hot.two_hot(x, BINS))
    np.testing.assert_allclose(two_hot.mean(logits, BINS), x, atol=1e-6)


def test_equal_logits_mean_zero_exactly():
    bins = two_hot.symexp(two_hot.symmetric_bins(255, 20.0))  # up to 485 million
    assert float(two_hot.mean(jnp.full(255, 0.1), bins)) == 0
    assert abs(float(jax.nn.softmax(jnp.full(255, 0.1)) @ bins)) > 0  # what a plain sum leaves


def test_cross_entropy_by_hand():
    """Target 3/4 and 1/4, logits log 3 and log 1: their own entropy; and a gradient of p - q."""
    logits, target = jnp.log(jnp.array([3.0, 1.0])), jnp.array([0.75, 0.25])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert float(two_hot.cross_entropy(logits, target)) == pytest.approx(entropy)
    grad = jax.grad(two_hot.cross_entropy)(jnp.zeros(2), target)
    np.testing.assert_allclose(grad, [0.5 - 0.75, 0.5 - 0.25], atol=1e-6)
    assert not jax.grad(two_hot.cross_entropy, argnums=1)(logits, target).any()


def test_signed_root_by_hand():
    """sqrt(4) - 1 + .003 = 1.003; the others are rlax.signed_hyperbolic's, in 64 bits."""
    x = jnp.array([3.0, -7.3, -0.25, 0.0, 0.019, 250.0])
    expected = [1.003, -1.8882722, -0.11828400, 0, 0.0094742989, 15.092979]
    np.testing.assert_allclose(two_hot.signed_root(x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("there", "back"),
    [(two_hot.signed_root, two_hot.signed_root_inverse), (two_hot.symlog, two_hot.symexp)],
)
def test_scales_are_undone(there, back):
    """To the last digits also near 0, where the root that rlax subtracts keeps four."""
    x = jnp.concatenate([jnp.logspace(-6, 5, 45), -jnp.logspace(-6, 5, 45), jnp.zeros(1)])
    np.testing.assert_allclose(back(there(x)), x, rtol=5e-6)
    assert (jnp.diff(there(jnp.sort(x))) > 0).all()


def test_symlog_by_hand():
    np.testing.assert_allclose(two_hot.symlog(jnp.array([np.e - 1, -(np.e**2) + 1])), [1, -2])
