"""MultiDiscrete, and the encoding of every space as a flat vector."""

from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple, encode, encoded_space
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
    with pytest.raises(UsageError, match="MultiDiscrete needs a list of numbers >= 1, not"):
        MultiDiscrete(nvec)


Point = namedtuple("Point", "b a")
BOX = Box(-1.0, jnp.array([[1.0, 2.0], [3.0, 4.0]]), (2, 2), jnp.float32)
CASES = {
    "box": (BOX, np.array([[1, 2], [3, 4]]), [1, 2, 3, 4], [-1] * 4, [1, 2, 3, 4]),
    "scalar box": (Box(0, 5, ()), 2, [2], [0], [5]),
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


def test_encode_names_a_space_that_it_does_not_know():
    with pytest.raises(UsageError, match=r"cannot flatten a space of type builtins\.object"):
        encode(object(), 0)
