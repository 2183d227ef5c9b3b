"""The way from features back to an image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from ssmrl.nets.decoder import ConvDecoder

SHAPE = (11, 5, 3)
DECODER = ConvDecoder(SHAPE)
X = jax.random.normal(jax.random.key(0), (3, 2, 7))
PARAMS = DECODER.init(jax.random.key(1), X[0])


def test_it_is_what_a_convolution_and_blocks_give():
    """6 x 3 cells, XLA's own convolution of 3 x 3, then every pixel from the cell it lies in."""
    p = PARAMS["params"]
    dense = lambda name, x: x @ p[name]["Dense_0"]["kernel"] + p[name]["Dense_0"]["bias"][None]  # noqa: E731
    cells = nn.leaky_relu(dense("Seen", X[0])).reshape(2, 6, 3, 16)
    kernel = p["Cells"]["Dense_0"]["kernel"].reshape(3, 3, 16, 32)
    names = ("NHWC", "HWIO", "NHWC")
    cells = lax.conv_general_dilated(cells, kernel, (1, 1), "SAME", dimension_numbers=names)
    cells = np.asarray(nn.leaky_relu(cells + p["Cells"]["Dense_0"]["bias"][None, None, None]))
    kernel = np.asarray(p["Pixels"]["kernel"]).reshape(32, 2, 2, 3)
    image = np.zeros((2, *SHAPE), np.float32)
    for row in range(11):
        for column in range(5):
            weights = kernel[:, row % 2, column % 2]
            image[:, row, column] = cells[:, row // 2, column // 2] @ weights
    np.testing.assert_allclose(DECODER.apply(PARAMS, X[0]), image.reshape(2, -1), atol=1e-5)


def test_sequences_are_decoded_moment_by_moment():
    alone = jnp.stack([DECODER.apply(PARAMS, x) for x in X])
    assert alone.shape == (3, 2, 165)
    np.testing.assert_allclose(DECODER.apply(PARAMS, X), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(DECODER.apply(PARAMS, X[0, 0]), alone[0, 0], rtol=1e-5, atol=1e-6)


def test_the_last_layer_is_float32():
    assert DECODER.apply(PARAMS, X.astype(jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(128, 128, 3), (84, 84, 1), (40, 5, 1), (10, 10, 10)])
def test_any_image(shape):
    x = jax.ShapeDtypeStruct((2, 3, 4), jnp.float32)
    decode = lambda key, x: ConvDecoder(shape).init_with_output(key, x)  # noqa: E731
    image, params = jax.eval_shape(decode, jax.random.key(0), x)
    assert image.shape == (2, 3, np.prod(shape))
    assert max(np.prod(leaf.shape) for leaf in jax.tree.leaves(params)) <= 32 * 16 * 32
