"""Convolutions over the image in a flat observation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from ssmrl.nets.encoder import ConvEncoder, block_sides

SHAPE = (11, 5, 3)
SIZE = int(np.prod(SHAPE))
ENCODER = ConvEncoder(offset=2, shape=SHAPE, sizes=(7, 4))
OBS = jax.random.uniform(jax.random.key(0), (3, 2, 2 + SIZE + 1))
PARAMS = ENCODER.init(jax.random.key(1), OBS[0])


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((5, 5), []),
        ((10, 10), []),  # MinAtar
        ((11, 7), [2]),
        ((30, 40), [4]),
        ((84, 84), [4, 2, 2]),
        ((128, 128), [4, 2, 2]),
        ((130, 110), [4, 4]),
    ],
)
def test_blocks_shrink_any_image_to_ten_cells_or_less(sides, expected):
    assert block_sides(*sides) == expected
    assert max(sides) / np.prod(expected) <= 10


def test_it_is_what_convolutions_give():
    """Held against XLA's own: 2 x 2 with stride 2, then 3 x 3."""
    p, x = PARAMS["params"], OBS[0]
    image = jnp.pad(x[:, 2 : 2 + SIZE].reshape(2, *SHAPE), ((0, 0), (0, 1), (0, 1), (0, 0)))
    for name, side, stride, padding in (("Blocks_0", 2, 2, "VALID"), ("Cells", 3, 1, "SAME")):
        kernel = p[name]["Dense_0"]["kernel"].reshape(side, side, image.shape[-1], -1)
        names = ("NHWC", "HWIO", "NHWC")
        image = lax.conv_general_dilated(
            image, kernel, (stride, stride), padding, dimension_numbers=names
        )
        image = nn.leaky_relu(image + p[name]["Dense_0"]["bias"][None, None, None])
    y = jnp.concatenate([image.reshape(2, -1), x[:, :2], x[:, 2 + SIZE :]], axis=1)
    for i in range(2):
        y = nn.leaky_relu(
            y @ p["MLP"][f"Dense_{i}"]["kernel"] + p["MLP"][f"Dense_{i}"]["bias"][None]
        )
    np.testing.assert_allclose(ENCODER.apply(PARAMS, x), y, rtol=1e-5, atol=1e-5)


def test_sequences_are_encoded_moment_by_moment():
    alone = jnp.stack([ENCODER.apply(PARAMS, x) for x in OBS])
    assert alone.shape == (3, 2, 4)
    np.testing.assert_allclose(ENCODER.apply(PARAMS, OBS), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ENCODER.apply(PARAMS, OBS[0, 0]), alone[0, 0], rtol=1e-5, atol=1e-6)


def test_every_entry_counts():
    grads = jax.grad(lambda x: ENCODER.apply(PARAMS, x).sum())(OBS)
    assert (grads != 0).all()


def test_it_works_in_the_dtype_of_its_input():
    half = ENCODER.apply(PARAMS, OBS.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), ENCODER.apply(PARAMS, OBS), atol=0.05)
    assert {leaf.dtype for leaf in jax.tree.leaves(PARAMS)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("shape", [(128, 128, 3), (40, 5, 1), (10, 10, 10)])
def test_any_image_becomes_few_features(shape):
    encoder = ConvEncoder(offset=0, shape=shape, sizes=(8,))
    obs = jax.ShapeDtypeStruct((2, 3, int(np.prod(shape)) + 5), jnp.float32)
    params = jax.eval_shape(encoder.init, jax.random.key(0), obs)
    inputs = params["params"]["MLP"]["Dense_0"]["kernel"].shape[0]
    assert inputs <= 10 * 10 * 16 + 5
    assert jax.eval_shape(encoder.apply, params, obs).shape == (2, 3, 8)
