"""The dense layer: flax's, and factors of its input's columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ssmrl.nets.dense import Dense

X = jax.random.normal(jax.random.key(0), (2, 3, 5))
SCALE = jnp.array([1.0, 0.0, -2.0, 0.5, 3.0])


def gradients(layer, x, *scale):
    """Return the gradients of a loss by the parameters and by the factors."""
    params = layer.init(jax.random.key(1), x, *scale)
    loss = lambda params, *scale: jnp.sum(jnp.sin(layer.apply(params, x, *scale)))  # noqa: E731
    return jax.grad(loss, argnums=tuple(range(1 + len(scale))))(params, *scale)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_is_flaxs(dtype):
    ours, theirs = (layer(4, dtype=dtype) for layer in (Dense, nn.Dense))
    a, b = (layer.init_with_output(jax.random.key(1), X) for layer in (ours, theirs))
    assert a[0].dtype == b[0].dtype == dtype
    jax.tree.map(np.testing.assert_array_equal, a, b)
    close = {"rtol": 2e-2, "atol": 2e-2} if dtype == jnp.bfloat16 else {"rtol": 1e-5, "atol": 1e-6}
    near = lambda x, y: np.testing.assert_allclose(x, y, **close)  # noqa: E731
    jax.tree.map(near, gradients(ours, X), gradients(theirs, X))


def test_factors_of_the_kernel_are_factors_of_the_input():
    layer = Dense(4)
    by_kernel = gradients(layer, X, SCALE)
    params = layer.init(jax.random.key(1), X)
    loss = lambda params, s: jnp.sum(jnp.sin(layer.apply(params, X * s[None, None])))  # noqa: E731
    by_input = jax.grad(loss, argnums=(0, 1))(params, SCALE)
    near = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(near, by_kernel, by_input)
