"""Spaces that cannot be worked with are refused in one sentence."""

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest

from envs.check_space import check_action_space, check_space
from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from ssmrl.errors import UsageError

SOUND = [
    Discrete(np.int64(3)),
    MultiDiscrete([2, 3]),
    Box(0, 255, (4, 4, 3), jnp.uint8),
    Box(np.zeros(2), jnp.array([1.0, jnp.inf]), (2,), np.float64),
    Box(-jnp.inf, 0.0, ()),
    Box(3, 3, (np.int64(1),)),
    Dict({"a": Discrete(1), "b": Tuple((Box(0, 1, (1, 2), bool), Discrete(2)))}),
]
FAULTY = {
    "it is Discrete(2) of gymnasium, but must be one of Discrete, MultiDiscrete, Box, Dict and "
    "Tuple of envs.spaces": gymnasium.spaces.Discrete(2),
    "it is a Discrete of tests, but must be one of": type("Discrete", (), {})(),
    "it is None, but must be one of": None,
    "it is <class 'envs.spaces.MultiDiscrete'>, but must be one of": MultiDiscrete,
    "it is a Discrete of 0, but must have a whole number from 1 to 2147483647": Discrete(0),
    "it is a Discrete of 2.5, but must have": Discrete(2.5),
    "it['a'][1] is a Discrete of 0, but": Dict({"a": Tuple([Discrete(1), Discrete(0)])}),
    "it is a Dict of [], but must have a mapping with at least one": Dict([]),
    "it is a Tuple of (), but must have a sequence with at least one": Tuple(()),
    "it[0] is 'B', but must be one of": Tuple("Box"),
    "it is a Box with low=[0, 0], but must have a number or an array that": Box([0, 0], 1, (2,)),
    "it is a Box with high='1', but must have a number": Box(0, "1", (2,)),
    "it is a Box with low=None, but must have a number": Box(None, 1, (2,)),
    "it is a Box with low=array([0., 0., 0.]), but must have a number or an array that broadcasts "
    "to (2,)": Box(np.zeros(3), 1, (2,)),
    "it is a Box from 1 to 0 at [0], but low must not be above high or NaN": Box(1, 0, (2,)),
    "it is a Box from 1 to 0, but low": Box(1, 0, ()),
    "it is a Box from 0 to nan at [1], but": Box(0, np.array([1, np.nan]), (2,)),
    "it is a Box from inf to inf, but": Box(np.inf, np.inf, ()),
    "it is a Box of shape 3, but must have a tuple of numbers": Box(0, 1, 3),
    "it is a Box of shape (2, -1), but": Box(0, 1, (2, -1)),
    "it is a Box of shape (1000000, 1000000), but must have fewer than 2**31": Box(
        0, 1, (10**6, 10**6)
    ),
    "it is a Discrete of 10000000000, but": Discrete(10**10),
    "it is a Box of complex64, but must be of real numbers": Box(0, 1, (1,), jnp.complex64),
    "it is a Box of dtype 'numbers', which is none": Box(0, 1, (1,), "numbers"),
}


@pytest.mark.parametrize("space", SOUND, ids=repr)
def test_sound(space):
    check_space("it", space)


@pytest.mark.parametrize("sentence", FAULTY)
def test_faulty(sentence):
    with pytest.raises(UsageError) as caught:
        check_space("it", FAULTY[sentence])
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_actions():
    for space in (Discrete(3), MultiDiscrete([2]), Box(5, 10, (1,)), Box(-1, 1, (), jnp.bfloat16)):
        check_action_space("it", space)
    with pytest.raises(UsageError, match="a Box of actions must be of floats; make it a Discrete"):
        check_action_space("it", Box(0, 3, (1,), jnp.int32))
    with pytest.raises(UsageError, match=r"it is a Box of shape \(0,\), but must have an entry"):
        check_action_space("it", Box(0, 1, (0,)))
    with pytest.raises(UsageError, match="must be one of Discrete, MultiDiscrete and Box of"):
        check_action_space("it", Dict({"a": Discrete(2)}))
