"""Convolutions over the image in a flat observation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ssmrl.nets.encoder import ConvEncoder, convolutions

ENCODER = ConvEncoder(offset=2, shape=(6, 5, 3), sizes=(7, 4))
OBS = jax.random.uniform(jax.random.key(0), (3, 2, 2 + 90 + 1))
PARAMS = ENCODER.init(jax.random.key(1), OBS[0])


@pytest.mark.parametrize(
    ("sides", "expected", "smallest"),
    [
        ((5, 5), [(3, 1)], 5),
        ((10, 10), [(3, 1)], 10),  # MinAtar
        ((11, 7), [(4, 2), (3, 1)], 6),
        ((30, 40), [(8, 4), (3, 1)], 10),
        ((84, 84), [(8, 4), (4, 2), (4, 2), (3, 1)], 6),
        ((128, 128), [(8, 4), (4, 2), (4, 2), (3, 1)], 8),
        ((130, 110), [(8, 4), (4, 2), (4, 2), (3, 1)], 9),
    ],
)
def test_strides_shrink_any_image_to_ten_or_less(sides, expected, smallest):
    assert convolutions(*sides) == expected
    assert np.ceil(max(sides) / np.prod([stride for _, stride in expected])) == smallest


def test_by_hand():
    """A convolution written as a sum over shifts, then two layers over all that there is."""
    p = PARAMS["params"]
    x = OBS[0]
    image = np.pad(x[:, 2:92].reshape(2, 6, 5, 3), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel, bias = p["Conv_0"]["kernel"], p["bias_0"]
    y = sum(image[:, i : i + 6, j : j + 5] @ kernel[i, j] for i in range(3) for j in range(3))
    seen = nn.leaky_relu(y + bias[None, None, None]).reshape(2, -1)
    y = jnp.concatenate([seen, x[:, :2], x[:, 92:]], axis=1)
    for i in range(2):
        y = nn.leaky_relu(y @ p["MLP"][f"Dense_{i}"]["kernel"] + p["MLP"][f"bias_{i}"][None])
    np.testing.assert_allclose(ENCODER.apply(PARAMS, x), y, rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize("shape", [(128, 128, 3), (40, 5, 1), (63, 63, 3)])
def test_large_images_become_few_features(shape):
    encoder = ConvEncoder(offset=0, shape=shape, sizes=(8,))
    obs = jax.ShapeDtypeStruct((2, 3, int(np.prod(shape)) + 5), jnp.float32)
    params = jax.eval_shape(encoder.init, jax.random.key(0), obs)
    inputs = params["params"]["MLP"]["Dense_0"]["kernel"].shape[0]
    assert inputs <= 8 * 8 * 32 + 5
    assert jax.eval_shape(encoder.apply, params, obs).shape == (2, 3, 8)
