"""Sums with one vector for all tokens: their hand-made derivatives against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.nets.affine import add_bias, add_scaled


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_derivatives(dtype):
    keys = jax.random.split(jax.random.key(0), 4)
    x, u, w = (jax.random.normal(k, (3, 2, 4), dtype) for k in keys[:3])
    v = jax.random.normal(keys[3], (4,))

    def plain(v, x, u):
        return x + v.astype(dtype)[None, None] * u

    def loss(function):
        return lambda *args: jnp.sum((function(*args) * w).astype(jnp.float32))

    tolerance = {"rtol": 1e-5} if dtype == "float32" else {"rtol": 0.05, "atol": 0.05}
    for got_function, want_function in (
        (lambda v, x, u: add_scaled(x, v, u), plain),
        (lambda v, x, u: add_bias(x, v) + u, lambda v, x, u: x + v.astype(dtype)[None, None] + u),
    ):
        got, want = (
            jax.value_and_grad(loss(f), argnums=(0, 1, 2))(v, x, u)
            for f in (got_function, want_function)
        )
        for g, p in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            assert g.dtype == p.dtype
            np.testing.assert_allclose(g.astype("float32"), p.astype("float32"), **tolerance)
