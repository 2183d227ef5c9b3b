"""Parts of observations by hand: packed, seen, foretold, and never a number for a category."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.errors import UsageError
from ssmrl.world_model.parts import (
    Image,
    Integers,
    Numbers,
    OneHots,
    pack,
    total_size,
    unpack,
)

ONE_HOTS, INTEGERS = OneHots((3, 2)), Integers(2, (-1, 0), (1, 3))
PARTS = (ONE_HOTS, INTEGERS, Numbers(2), Image(1, 2, 1, True), Image(1, 1, 2, False))
THIRD, BYTE = np.float32(1) / np.float32(3), np.float32(1) / np.float32(255)
# Rows: a category and none; the least and the largest; small and huge.
FLAT = np.array(
    [
        [0, 0, 1, 0, 0, 0.5, 2 * THIRD, -0.5, 7e30, 0, 1, 0.3, -4],
        [1, 0, 0, 0, 1, 1, 1, np.float32(0.1), -0.0, 51 * BYTE, 254 * BYTE, 0, 1e-30],
    ],
    np.float32,
)
PACKED = (
    np.array([[3, 0], [1, 2]], np.uint8),
    np.array([[1, 2], [2, 3]], np.uint8),
    FLAT[:, 7:9],
    np.array([[0, 255], [51, 254]], np.uint8),
    FLAT[:, 11:],
)


def same_bits(x, y):
    np.testing.assert_array_equal(np.asarray(x).view(np.uint32), np.asarray(y).view(np.uint32))


def test_packed_by_hand():
    packed = pack(PARTS, jnp.asarray(FLAT))
    for found, expected in zip(packed, PACKED, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert total_size(PARTS) == FLAT.shape[1]


def test_what_is_packed_comes_back_to_the_bit():
    again = lambda x: unpack(PARTS, pack(PARTS, x))  # noqa: E731
    same_bits(again(jnp.asarray(FLAT)), FLAT)
    same_bits(jax.jit(again)(FLAT[:, None]), FLAT[:, None])
    same_bits(again(jnp.asarray(FLAT[0])), FLAT[0])


def test_all_shares_come_back_to_the_bit():
    """As ``envs.spaces.encode`` rounds them: the number times the inverse of the range."""
    most = np.arange(1, 64)
    numbers = np.minimum(np.arange(64)[:, None], most)
    shares = numbers.astype(np.float32) * (np.float32(1) / most.astype(np.float32))
    part = Integers(63, -3, tuple(int(n) - 3 for n in most))
    packed = part.pack(jnp.asarray(shares))
    np.testing.assert_array_equal(packed, numbers)
    same_bits(part.unpack(packed), shares)
    image = Image(16, 16, 1, True)
    pixels = np.arange(256, dtype=np.float32) * BYTE
    same_bits(image.unpack(image.pack(jnp.asarray(pixels))), pixels)


@pytest.mark.parametrize(
    ("part", "dtype"),
    [
        (OneHots((255, 3)), np.uint8),
        (OneHots((256,)), np.uint16),  # with none there are 257
        (Integers(1, 0, 63), np.uint8),
        (Integers(1, 0, 256), np.uint16),
        (Numbers(1), np.float32),
    ],
)
def test_the_narrowest_dtype(part, dtype):
    last = jnp.zeros(part.size).at[getattr(part, "sizes", (1,))[0] - 1].set(1)
    assert part.pack(last).dtype == dtype
    same_bits(part.unpack(part.pack(last)), last)
    assert part.most_likely(jnp.zeros(part.outputs)).dtype == dtype


def test_features_by_hand():
    features = [part.features(x) for part, x in zip(PARTS, map(jnp.asarray, PACKED), strict=True)]
    np.testing.assert_array_equal(features[0], FLAT[:, :5])
    np.testing.assert_array_equal(features[1], [[0, 1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0, 1]])
    x = FLAT[:, 7:9]
    np.testing.assert_allclose(features[2], np.sign(x) * np.log1p(np.abs(x)), rtol=1e-6)
    np.testing.assert_array_equal(features[3], FLAT[:, 9:11])
    np.testing.assert_array_equal(features[4], FLAT[:, 11:])
    assert all(x.dtype == jnp.float32 for x in features)


@pytest.mark.parametrize("part", [ONE_HOTS, INTEGERS])
def test_categories_are_seen_as_zeros_and_ones(part):
    every = jnp.array(list(itertools.product(*map(range, part.classes))), jnp.uint8)
    features = np.asarray(part.features(every))
    assert set(features.ravel()) == {0, 1}
    assert len(np.unique(features, axis=0)) == len(every)  # and nothing is lost


@pytest.mark.parametrize("part", [ONE_HOTS, INTEGERS])
def test_probabilities_of_all_that_there_is_sum_to_one(part):
    """Also where columns have different numbers of values, of which the rest is impossible."""
    every = jnp.array(list(itertools.product(*map(range, part.classes))), jnp.uint8)
    outputs = 3 * jax.random.normal(jax.random.key(0), (5, 1, part.outputs))
    log_probs = part.log_prob(outputs, jnp.broadcast_to(every, (5, *every.shape)))
    np.testing.assert_allclose(jnp.exp(log_probs).sum(-1), np.ones(5), rtol=1e-5)
    likeliest = part.most_likely(outputs)
    np.testing.assert_array_equal(likeliest[:, 0], every[log_probs.argmax(-1)])


def test_categories_by_hand():
    """Logits of none, a and b; of none and a, and a third that is not there, however likely."""
    part = OneHots((2, 1))
    outputs = jnp.log(jnp.array([1.0, 2.0, 5.0, 1.0, 3.0, 1e9]))
    assert float(part.log_prob(outputs, jnp.array([2, 0]))) == pytest.approx(np.log(5 / 8 / 4))
    np.testing.assert_array_equal(part.most_likely(outputs), [2, 1])
    assert jnp.isfinite(jax.grad(part.log_prob)(outputs, jnp.array([2, 0]))).all()


def test_numbers_and_images_by_hand():
    """Half the squares in symlog: of e - 1 it is 1; of pixels the squares of shares."""
    numbers, image = Numbers(2), Image(1, 2, 1, True)
    found = numbers.log_prob(jnp.array([3.0, 0.5]), jnp.array([np.e - 1, 0.0]))
    assert float(found) == pytest.approx(-0.5 * (2**2 + 0.5**2))
    np.testing.assert_allclose(
        numbers.most_likely(jnp.array([1.0, -2.0])), [np.e - 1, 1 - np.e**2], rtol=1e-6
    )
    found = image.log_prob(jnp.array([0.5, 1.0]), jnp.array([255, 51], jnp.uint8))
    assert float(found) == pytest.approx(-(0.5**2 + 0.8**2))
    np.testing.assert_array_equal(image.most_likely(jnp.array([-0.2, 0.2])), [0, 51])
    np.testing.assert_array_equal(image.most_likely(jnp.array([1.7, 0.5])), [255, 128])
    floats = Image(1, 2, 1, False)
    np.testing.assert_array_equal(floats.most_likely(jnp.array([-0.2, 7])), np.float32([-0.2, 7]))


def test_parts_are_constants():
    assert OneHots((3, 2)) == ONE_HOTS
    assert len({*PARTS, OneHots((3, 2)), Integers(2, (-1, 0), (1, 3))}) == len(PARTS)


def test_columns_that_do_not_fit():
    with pytest.raises(UsageError, match="observations have 12 columns, but their parts 13"):
        pack(PARTS, jnp.zeros(12))
