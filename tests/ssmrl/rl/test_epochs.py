"""Every index is seen once an epoch, in another order each time."""

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.rl.epochs import run_epochs

SIZES = {"size": 12, "num_epochs": 3, "num_minibatches": 4}


def indices_alone(indices):
    return indices


def step(carry, indices):
    return carry + 1, {"indices": indices, "count": carry + 1}


def test_epochs_are_permutations():
    carry, outs = run_epochs(step, jnp.int32(0), indices_alone, jax.random.key(0), **SIZES)
    assert carry == 12
    assert outs["indices"].shape == (3, 4, 3)
    epochs = outs["indices"].reshape(3, 12)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(12))
    assert (epochs[0] != epochs[1]).any()


def test_no_step_is_taken_after_the_stop():
    stop = lambda out: out["count"] == 5  # noqa: E731
    carry, outs = run_epochs(
        step, jnp.int32(0), indices_alone, jax.random.key(0), **SIZES, stop=stop
    )
    assert carry == 5
    np.testing.assert_array_equal(outs["count"].ravel(), [1, 2, 3, 4, 5] + [0] * 7)
