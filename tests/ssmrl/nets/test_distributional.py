"""Real numbers as distributions over bins: heads that begin at 0, losses and means by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.nets.distributional import RootBins, SymexpBins
from ssmrl.rl import two_hot

BOTH = pytest.mark.parametrize("bins", [SymexpBins(), RootBins()])


@BOTH
def test_heads_foretell_exactly_nothing_at_first(bins):
    x = 100 * jax.random.normal(jax.random.key(0), (5, 4, 8))
    logits, params = bins.head().init_with_output(jax.random.key(1), x)
    assert logits.shape == (5, 4, bins.num)
    np.testing.assert_array_equal(bins.mean(logits), np.zeros((5, 4)))
    assert jax.tree.map(jnp.shape, params)["params"] == {
        "bias": (bins.num,),
        "kernel": (8, bins.num),
    }
    grads = jax.grad(lambda p: bins.loss(bins.head().apply(p, x), x[..., 0]).mean())(params)
    assert grads["params"]["kernel"].any()


@BOTH
def test_means_undo_codes(bins):
    x = jnp.array([-3e3, -7.0, -0.01, 0.0, 1e-3, 0.5, 40.0, 2e4])
    codes = bins.encode(x)
    np.testing.assert_allclose(codes.sum(-1), np.ones(8), rtol=1e-6)
    logits = jnp.log(codes)
    np.testing.assert_allclose(bins.mean(logits), x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bins.mean(logits.astype(jnp.bfloat16)), x, rtol=0.2, atol=0.01)


def test_symexp_bins_by_hand():
    """Bins at 0, ±(e - 1), ±(e^2 - 1): 3 lies between the last two, and means mix numbers."""
    bins = SymexpBins(5, 2.0)
    low, high = np.e - 1, np.e**2 - 1
    share = (3 - low) / (high - low)
    found = bins.encode(jnp.array([3.0, -3.0, 1e9]))
    expected = [[0, 0, 0, 1 - share, share], [share, 1 - share, 0, 0, 0], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    logits = jnp.log(jnp.array([1.0, 1, 2, 4, 8]))
    mean = (-high - low + 4 * low + 8 * high) / 16
    assert float(bins.mean(logits)) == pytest.approx(mean, rel=1e-5)
    entropy = -(1 - share) * np.log(4 / 16) - share * np.log(8 / 16)
    assert float(bins.loss(logits, jnp.array(3.0))) == pytest.approx(entropy, rel=1e-5)


def test_the_published_bins():
    bins = SymexpBins()
    centres = two_hot.symexp(bins.even)
    assert centres.size == 255
    assert float(centres[127]) == 0
    np.testing.assert_array_equal(centres[::-1], -centres)
    assert float(centres[-1]) == pytest.approx(np.e**20 - 1, rel=1e-4)
    assert float(centres[128]) == pytest.approx(np.exp(20 / 127) - 1, rel=1e-4)


def test_root_bins_by_hand():
    """Of 3 the signed root is 1.003; means mix roots."""
    bins = RootBins(5, 2.0)
    np.testing.assert_allclose(bins.encode(jnp.array(3.0)), [0, 0, 0, 0.997, 0.003], atol=1e-6)
    logits = jnp.log(jnp.array([1.0, 1, 2, 4, 8]))
    expected = two_hot.signed_root_inverse(jnp.float32((-2 - 1 + 4 + 16) / 16))
    np.testing.assert_allclose(bins.mean(logits), expected, rtol=1e-6)


@BOTH
def test_targets_have_no_gradient(bins):
    logits = jax.random.normal(jax.random.key(0), (bins.num,))
    by_logits, by_x = jax.grad(bins.loss, argnums=(0, 1))(logits, jnp.array(1.3))
    assert by_x == 0
    np.testing.assert_allclose(
        by_logits, jax.nn.softmax(logits) - bins.encode(jnp.array(1.3)), atol=1e-6
    )


def test_means_are_not_rounded_on_a_gpu():
    text = jax.jit(SymexpBins().mean).lower(jnp.zeros((2, 255))).as_text()
    assert "HIGHEST" in text
