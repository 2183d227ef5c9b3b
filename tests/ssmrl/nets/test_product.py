"""The product of two linear maps, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.nets.product import Product

X, Z = (jax.random.normal(jax.random.key(i), (2, n)) for i, n in enumerate((5, 3)))


def test_it_multiplies_a_linear_map_by_factors():
    layer = Product(4)
    params = layer.init(jax.random.key(2), X, Z)["params"]
    np.testing.assert_array_equal(params["factors"]["bias"], 1)  # what is known counts at first
    params = jax.tree.map(lambda x: x + 0.5, params)
    by_hand = lambda layer, x: np.asarray(x @ layer["kernel"]) + np.asarray(layer["bias"])  # noqa: E731
    expected = by_hand(params["sums"], X) * by_hand(params["factors"], Z)
    np.testing.assert_allclose(layer.apply({"params": params}, X, Z), expected, rtol=1e-5)


def test_it_works_in_its_dtype():
    layer = Product(4, jnp.bfloat16)
    out, params = layer.init_with_output(jax.random.key(2), X, Z)
    assert out.dtype == jnp.bfloat16
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
