"""The memory of an ablation forgets one step too early in scans, and nowhere else."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.early_reset import EarlyReset
from ssmrl.memory import S5

T, B = 7, 3
OPTIONS = {"features": 4, "num_layers": 1, "state_size": 4}


def test_scans_reset_a_step_early_and_steps_do_not():
    """The first start is not heeded at all, and the last step's is where it belongs."""
    wrong, right = EarlyReset(**OPTIONS), S5(**OPTIONS)
    x_TxBxF = jax.random.normal(jax.random.key(0), (T, B, 4))
    start_TxB = np.zeros((T, B), bool)
    start_TxB[[0, 3, 6], [0, 1, 2]] = True
    early_TxB = np.zeros((T, B), bool)
    early_TxB[[2, 6], [1, 2]] = True
    state = jax.tree.map(lambda x: x + 1, right.initial_state((B,)))
    scan = (state, x_TxBxF, jnp.asarray(start_TxB))
    params = jax.jit(lambda key: right.init(key, *scan, method="scan"))(jax.random.key(1))
    apply = lambda module, *args: jax.jit(  # noqa: E731
        lambda args: module.apply(params, *args, method="scan")
    )(args)
    found = apply(wrong, *scan)
    expected = apply(right, state, x_TxBxF, jnp.asarray(early_TxB))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert np.abs(found[1] - apply(right, *scan)[1]).max() > 1e-3

    one = (state, x_TxBxF[0], jnp.asarray(start_TxB[0]))
    for a, b in zip(
        *(jax.tree.leaves(m.apply(params, *one, method="step")) for m in (wrong, right)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
