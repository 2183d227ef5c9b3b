"""Arrays as rows of one matrix."""

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.rl.rows import WIDTH, Rows

TREE = {
    "scalar": jnp.float32(-3),
    "row": jnp.arange(1.0, WIDTH + 1),
    "stack": jnp.arange(2.0 * 3 * 200).reshape(2, 3, 200),
    "some": jnp.array([3.0, 4.0]),
}
ROWS = Rows.of(TREE)
COUNTS = {"row": 1, "scalar": 1, "some": 1, "stack": 3}  # in the order of keys


def test_each_array_begins_a_row_with_zeros_behind_it():
    packed = ROWS.pack(TREE)
    assert packed.shape == (sum(COUNTS.values()), WIDTH)
    np.testing.assert_array_equal(packed[0], TREE["row"])
    np.testing.assert_array_equal(packed[1:3, :3], [[-3, 0, 0], [3, 4, 0]])
    np.testing.assert_array_equal(packed[3:].ravel()[:1200], TREE["stack"].ravel())
    assert not packed[1:3, 2:].any()
    assert not packed[3:].ravel()[1200:].any()


def test_what_was_packed_comes_back():
    jax.tree.map(np.testing.assert_array_equal, ROWS.unpack(ROWS.pack(TREE)), TREE)


def test_norms_and_numbers_are_those_of_arrays():
    norms = ROWS.norms(ROWS.pack(TREE))
    expected = [np.linalg.norm(np.ravel(TREE[name])) for name in COUNTS]
    np.testing.assert_allclose(norms, expected, rtol=1e-6)
    spread = ROWS.spread(jnp.arange(4.0))
    np.testing.assert_array_equal(spread[:, 0], np.repeat(np.arange(4), list(COUNTS.values())))


def test_gradients_are_packed_and_nothing_is_learnt_behind_the_ends():
    grads = jax.grad(lambda rows: jnp.sin(ROWS.unpack(rows)["stack"]).sum())(ROWS.pack(TREE))
    expected = jax.tree.map(jnp.zeros_like, TREE) | {"stack": jnp.cos(TREE["stack"])}
    np.testing.assert_array_equal(grads, ROWS.pack(expected))
