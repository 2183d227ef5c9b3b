"""LaProp with adaptively clipped gradients, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ssmrl.rl.descent import clipped_laprop, descend, step_sizes, warm_up

PARAMS = {"a": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.zeros(2), "c": jnp.array(2.0)}
FLAT, UNRAVEL = ravel_pytree(PARAMS)


def updates(gradients, **options):
    """Return the updates that LaProp makes of these gradients, one after the other: [T, P]."""
    optimizer, found = clipped_laprop(UNRAVEL, **options), []
    state = optimizer.init(FLAT)
    for gradient in gradients:
        update, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, FLAT)
        found.append(update)
    return np.stack(found)


def test_two_steps_by_hand():
    """Small gradients, so that none is clipped, and of other signs in the second step."""
    g = np.float32([[0.1, -0.2, 0.3, 0, 1e-4, -1e-4, 0.5], [-0.3, -0.1, 0.3, 0, 2e-4, 1e-4, 0.1]])
    n1 = 0.001 * g[0] ** 2
    n2 = 0.999 * n1 + 0.001 * g[1] ** 2
    scaled = [g[0] / (np.sqrt(n1 / 0.001) + 1e-20), g[1] / (np.sqrt(n2 / (1 - 0.999**2)) + 1e-20)]
    m1 = 0.1 * scaled[0]
    m2 = 0.9 * m1 + 0.1 * scaled[1]
    expected = [m1 / 0.1, m2 / (1 - 0.9**2)]
    np.testing.assert_allclose(updates(g), expected, rtol=1e-4)
    np.testing.assert_allclose(expected[0], np.sign(g[0]), rtol=1e-5)


def test_gradients_are_clipped_array_by_array():
    """``a`` has norm 5, ``b`` counts as 1e-3, ``c`` as 2: at most .3 of these.

    Seen in the second step, where what was in the first makes the scale.
    """
    first = np.float32([1e-3] * 4 + [1e-5] * 2 + [1e-3])
    g = np.float32([6, 0, 0, 8, 3e-4, 4e-4, 0.5])  # norms 10, 5e-4 and .5
    clipped = np.concatenate([g[:4] * 1.5 / 10, g[4:6] * 3e-4 / 5e-4, g[6:]])
    found = updates([first, g], b1=0.0)[1]
    n = 0.999 * 0.001 * first**2 + 0.001 * clipped**2
    np.testing.assert_allclose(found, clipped / np.sqrt(n / (1 - 0.999**2)), rtol=1e-4)
    # A column of ``a`` alone, optax's unit, would have been let through: 6 and 8 are not.
    alone = updates([first, g * np.float32([0.2, 0, 0, 0, 0, 0, 0])], b1=0.0)[1]
    n = 0.999 * 0.001 * first[0] ** 2 + 0.001 * 1.2**2
    np.testing.assert_allclose(alone[0], 1.2 / np.sqrt(n / (1 - 0.999**2)), rtol=1e-4)


@pytest.mark.parametrize(("max_ratio", "most"), [(0.3, 0.3 * 6**0.5), (1.0, 1)])
def test_stacked_layers_are_clipped_as_one_array(max_ratio, most):
    """.73 is left of 1, where optax alone would leave .42: a norm along the first axis."""
    params, unravel = ravel_pytree(jnp.ones((2, 1, 3)))
    optimizer = clipped_laprop(unravel, max_ratio)
    grads = jnp.array([1.0, 0, 0, 0, 0, 0])
    _, state = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(state[1].nu[0], 0.001 * most**2, rtol=1e-4)


@pytest.mark.parametrize(("eps", "most"), [(1e-20, 317), (1e-15, 1.001)])
def test_gradients_whose_squares_vanish(eps, most):
    """What the docstring says of eps."""
    sizes = np.logspace(-25, -5, 81)
    largest = max(abs(updates([np.full(7, size)], eps=eps)).max() for size in sizes[::4])
    assert most / 3.5 < largest < most


def test_steps_go_down():
    """Through ``descend``, with a step size for each parameter and a warm-up."""
    target = jnp.arange(7.0)
    optimizer = clipped_laprop(UNRAVEL)
    sizes = step_sizes(PARAMS, jnp.float32(0.1), jnp.float32(0.1), ())

    def step(carry, update):
        loss = lambda p: (jnp.square(p - target).sum(), {})  # noqa: E731
        return descend(optimizer, loss, *carry, warm_up(update, 10) * sizes)

    carry, metrics = jax.lax.scan(step, (FLAT, optimizer.init(FLAT)), jnp.arange(300))
    np.testing.assert_allclose(carry[0], target, atol=0.1)
    assert metrics["grad_norm"].total[-1] < 0.2 * metrics["grad_norm"].total[0]


def test_warm_up_by_hand():
    found = [float(warm_up(jnp.int32(update), 4)) for update in (0, 1, 3, 4, 1000)]
    np.testing.assert_allclose(found, [0.25, 0.5, 1, 1, 1])
    assert float(warm_up(jnp.int32(0), 0)) == 1
