"""Where an image lies in what an agent sees, and what the plan of a run says of spaces."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_env import Echo, Tiny
from wrapper_probes import PARAMS, steps_of

import envs
from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from envs.vector import VectorEnv
from envs.wrappers import Distractors, FlattenObservation
from envs.wrappers.layout import describe_actions, image_place

PIXELS = Box(0, 255, (6, 5, 3), jnp.uint8)


def place(space, **options):
    return VectorEnv(envs.wrap(Tiny(space=space), **options), PARAMS).image_place


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (PIXELS, (0, (6, 5, 3))),
        (Box(0, 1, (10, 10, 32), jnp.bool_), (0, (10, 10, 32))),
        (Box(0.0, 1.0, (9, 8)), (0, (9, 8, 1))),
        (Dict({"z": PIXELS, "a": MultiDiscrete([2, 3])}), (5, (6, 5, 3))),
        (Tuple([Box(0, 1, (2, 2)), Dict({"deep": PIXELS}), Discrete(3)]), (4, (6, 5, 3))),
        (Tuple([PIXELS, PIXELS]), None),
        (Box(0, 1, (4, 9, 3)), None),
        (Box(0, 1, (9, 9, 33)), None),
        (Box(0, 1, (9, 9, 9, 3)), None),
        (Box(0, 1, (300,)), None),
        (Discrete(99), None),
    ],
)
def test_what_is_an_image(space, expected):
    assert place(space) == expected
    assert place(space, previous_action=False, start_flag=False, previous_reward=True) == expected


def test_the_image_is_found_where_it_is_said_to_be():
    pixels = np.arange(90, dtype=np.uint8).reshape(6, 5, 3)
    space = Dict({"z": PIXELS, "a": Box(0.0, 9.0, (2,))})
    env = envs.wrap(Tiny(observe=lambda t: {"z": pixels, "a": jnp.full(2, t, float)}, space=space))
    offset, shape = image_place(env, PARAMS)
    first, steps = steps_of(env, [2])
    for obs in (first, steps[0].obs, steps[0].final):
        image = obs[offset : offset + 90].reshape(shape)
        np.testing.assert_allclose(image, pixels / 255, rtol=1e-6)


def test_only_what_wrap_flattens_itself_is_known():
    flat = Distractors(FlattenObservation(Tiny(space=PIXELS)), 2)
    assert image_place(envs.wrap(flat), PARAMS) is None
    assert image_place(Tiny(space=PIXELS), PARAMS) is None


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Discrete(3), "Discrete(3, dtype=int32)"),
        (Box(5, 10, (3,)), "Box(3,) in [5, 10], mapped from the policy's [-1, 1]"),
        (
            Box(jnp.array([0.0, -2.5]), jnp.array([1.0, 3.0]), (2,)),
            "Box(2,) in [-2.5..0, 1..3], mapped from the policy's [-1, 1]",
        ),
        (
            Box(0.0, jnp.array([1.0, jnp.inf]), (2,)),
            "Box(2,) in [0, 1..inf], mapped from the policy's [-1, 1] where both bounds are "
            "finite, else clipped",
        ),
        (Box(-jnp.inf, jnp.inf, (1,)), "Box(1,) in [-inf, inf], clipped"),
    ],
)
def test_actions_in_words(space, words):
    env = VectorEnv(envs.wrap(Echo(space)), PARAMS)
    assert env.describe()["actions"] == words


def test_actions_in_words_where_nothing_stretches_them():
    assert describe_actions(Echo(Box(5, 10, (1,))), PARAMS) == "Box(1,) in [5, 10], clipped"


def test_observations_in_words():
    words = VectorEnv(envs.wrap(Tiny(space=PIXELS)), PARAMS).describe()["observations"]
    assert words == "94 numbers, with an image of 6 x 5 x 3"
    assert VectorEnv(envs.wrap(Tiny()), PARAMS).describe()["observations"] == "5 numbers"
