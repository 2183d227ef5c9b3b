"""MultiDiscrete, and the encoding of every space as a flat vector."""

from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.spaces import (
    Box,
    Dict,
    Discrete,
    MultiDiscrete,
    Tuple,
    encode,
    encoded_parts,
    encoded_space,
)
from ssmrl.errors import UsageError


def test_multi_discrete_samples_cover_their_ranges():
    space = MultiDiscrete([2, 5])
    samples = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 200))
    assert samples.shape == (200, 2)
    assert samples.dtype == jnp.int32
    assert [sorted(set(column.tolist())) for column in samples.T] == [[0, 1], [0, 1, 2, 3, 4]]
    assert jax.vmap(space.contains)(samples).all()


@pytest.mark.parametrize(("x", "inside"), [([1, 4], True), ([2, 0], False), ([0, -1], False)])
def test_multi_discrete_contains(x, inside):
    assert bool(MultiDiscrete([2, 5]).contains(jnp.array(x))) is inside


def test_multi_discrete_representation():
    space = MultiDiscrete((8, 8))
    assert repr(space) == "MultiDiscrete([8, 8], dtype=int32)"
    assert space.shape == (2,)


@pytest.mark.parametrize("nvec", [[], [3, 0], [[2, 2]]])
def test_multi_discrete_refuses_impossible_sizes(nvec):
    with pytest.raises(UsageError, match="MultiDiscrete needs a list of whole numbers >= 1, not"):
        MultiDiscrete(nvec)


Point = namedtuple("Point", "b a")
BOX = Box(-1.0, jnp.array([[1.0, 2.0], [3.0, 4.0]]), (2, 2), jnp.float32)
CASES = {
    "box": (BOX, np.array([[1, 2], [3, 4]]), [1, 2, 3, 4], [-1] * 4, [1, 2, 3, 4]),
    "scalar box": (Box(0, 5, ()), 2, [2], [0], [5]),
    "bytes": (
        Box(0, 255, (2, 2), jnp.uint8),
        np.array([[0, 255], [51, 1]], np.uint8),
        [0, 1, np.float32(51) * (np.float32(1) / 255), np.float32(1) / 255],
        [0] * 4,
        [1] * 4,
    ),
    "integers": (
        Box(np.array([-4, 7, 3]), np.array([4, 7, 11]), (3,), jnp.int32),
        np.array([-2, 7, 11]),
        [0.25, 0, 1],
        [0] * 3,
        [1] * 3,
    ),
    "integers without two bounds": (
        Box(np.array([0, -np.inf, -(2.0**31)]), np.array([np.inf, 9, 2.0**31]), (3,), jnp.int32),
        np.array([3, -5, 6]),
        [3, -5, 6],
        [0, -np.inf, -(2.0**31)],
        [np.inf, 9, 2.0**31],
    ),
    "truth values": (Box(0, 1, (2,), jnp.bool_), np.array([True, False]), [1, 0], [0] * 2, [1] * 2),
    "floats": (Box(0, 255, (2,)), np.array([3, 200], np.uint8), [3, 200], [0] * 2, [255] * 2),
    "discrete": (Discrete(3), 1, [0, 1, 0], [0] * 3, [1] * 3),
    "multi": (MultiDiscrete([2, 3]), np.array([1, 2]), [0, 1, 0, 0, 1], [0] * 5, [1] * 5),
    "tuple": (Tuple([Discrete(2), Box(-2, 2, (1,))]), (0, [9]), [1, 0, 9], [0, 0, -2], [1, 1, 2]),
    # Parts go by sorted key, in whatever order the space was written down.
    "dict": (
        Dict({"b": Discrete(2), "a": Box(0, 9, (1,))}),
        {"b": 1, "a": [7]},
        [7, 0, 1],
        [0] * 3,
        [9, 1, 1],
    ),
    "attributes": (
        Dict({"b": Discrete(2), "a": Box(0, 9, (1,))}),
        Point(1, [7]),
        [7, 0, 1],
        [0] * 3,
        [9, 1, 1],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_encode_and_its_space(case):
    space, x, vector, low, high = CASES[case]
    encoded = encode(space, x)
    flat = encoded_space(space)
    assert encoded.dtype == flat.dtype == jnp.float32
    assert encoded.shape == flat.shape
    np.testing.assert_array_equal(encoded, vector)
    np.testing.assert_array_equal(flat.low, low)
    np.testing.assert_array_equal(flat.high, high)


def test_encoded_integers_never_leave_zero_and_one():
    widths = np.array([*range(1, 1025), 65_535, 999_999])
    space = Box(np.full_like(widths, -7), widths - 7, widths.shape, jnp.int32)
    shares = jax.jit(lambda x: encode(space, x))(widths - 7)
    np.testing.assert_allclose(shares, 1, rtol=1e-6)
    assert shares.max() == 1
    np.testing.assert_array_equal(encode(space, np.full_like(widths, -7)), 0)


def test_floats_in_a_space_that_promises_integers_stay_as_they_are():
    space = Box(0, 255, (2,), jnp.uint8)
    np.testing.assert_array_equal(encode(space, np.array([0.25, 1.0], np.float32)), [0.25, 1])


def test_encoded_parts_lie_where_encode_puts_them():
    space = Dict(
        {
            "b": Tuple([Discrete(3), Box(0, 1, (2, 2))]),
            "a": MultiDiscrete([2, 3]),
            "c": Box(0, 9, ()),
        }
    )
    parts = [(at, part.shape) for at, part in encoded_parts(space)]
    assert parts == [(0, (2,)), (5, ()), (8, (2, 2)), (12, ())]
    x = {"a": np.array([1, 2]), "b": (1, np.array([[5, 6], [7, 8.0]])), "c": 9}
    np.testing.assert_array_equal(encode(space, x)[8:], [5, 6, 7, 8, 9])


def test_encode_names_a_space_that_it_does_not_know():
    with pytest.raises(UsageError, match=r"cannot flatten a space of type builtins\.object"):
        encode(object(), 0)
