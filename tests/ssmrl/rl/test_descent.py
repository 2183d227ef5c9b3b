"""LaProp with adaptively clipped gradients, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from ssmrl.rl.descent import clipped_laprop, descend, warm_up
from ssmrl.rl.rows import Rows

PARAMS = {"a": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.zeros(2), "c": jnp.array(2.0)}
UNRAVEL, ROWS = ravel_pytree(PARAMS)[1], Rows.of(PARAMS)
PACKED = ROWS.pack(PARAMS)


def updates(gradients, **options):
    """Return the updates that LaProp makes of these gradients, one after the other: [T, P]."""
    optimizer, found = clipped_laprop(ROWS, **options), []
    state = optimizer.init(PACKED)
    for gradient in gradients:
        rows = ROWS.pack(UNRAVEL(jnp.asarray(gradient, jnp.float32)))
        update, state = optimizer.update(rows, state, PACKED)
        found.append(ravel_pytree(ROWS.unpack(update))[0])
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


def test_clipping_is_optaxs_of_vectors():
    """Arrays of one row, of a part of one, of several, and a scalar."""
    rng, shapes = np.random.default_rng(0), {"a": (30, 40), "b": (512,), "c": (), "d": (3, 1, 5)}
    params = {name: np.float32(rng.normal(size=shape)) for name, shape in shapes.items()}
    scales = {"a": 3.0, "b": 0.1, "c": 3e3, "d": 0.1}  # clipped, not, clipped, not
    grads = {name: np.float32(scales[name] * rng.normal(size=s)) for name, s in shapes.items()}
    rows = Rows.of(params)
    found = clipped_laprop(rows, 0.3)
    _, state = found.update(rows.pack(grads), found.init(rows.pack(params)), rows.pack(params))
    clip = optax.adaptive_grad_clip(0.3, eps=1e-3)
    vectors = [jax.tree.map(np.ravel, tree) for tree in (grads, params)]
    clipped, _ = clip.update(vectors[0], clip.init(vectors[1]), vectors[1])
    assert [bool((clipped[n] != vectors[0][n]).any()) for n in shapes] == [True, False] * 2
    squares = jax.tree.map(np.ravel, rows.unpack(state[1].nu))
    for name in shapes:
        np.testing.assert_allclose(squares[name], 0.001 * np.square(clipped[name]), rtol=1e-4)


@pytest.mark.parametrize(("max_ratio", "most"), [(0.3, 0.3 * 6**0.5), (1.0, 1)])
def test_stacked_layers_are_clipped_as_one_array(max_ratio, most):
    """.73 is left of 1, where optax alone would leave .42: a norm along the first axis."""
    stacked = jnp.ones((2, 1, 3))
    rows = Rows.of(stacked)
    params, optimizer = rows.pack(stacked), clipped_laprop(rows, max_ratio)
    grads = jnp.zeros_like(params).at[0, 0].set(1)
    _, state = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(state[1].nu[0, 0], 0.001 * most**2, rtol=1e-4)


@pytest.mark.parametrize(("eps", "most"), [(1e-20, 317), (1e-15, 1.001)])
def test_gradients_whose_squares_vanish(eps, most):
    """What the docstring says of eps."""
    sizes = np.logspace(-25, -5, 81)
    largest = max(abs(updates([np.full(7, size)], eps=eps)).max() for size in sizes[::4])
    assert most / 3.5 < largest < most


def test_steps_go_down():
    """Through ``descend``, with a warm-up."""
    target = ROWS.pack(UNRAVEL(jnp.arange(7.0)))
    optimizer = clipped_laprop(ROWS)

    def step(carry, update):
        loss = lambda p: (jnp.square(p - target).sum(), {})  # noqa: E731
        return descend(optimizer, loss, *carry, 0.1 * warm_up(update, 10))

    carry, metrics = jax.lax.scan(step, (PACKED, optimizer.init(PACKED)), jnp.arange(300))
    np.testing.assert_allclose(carry[0], target, atol=0.1)
    assert metrics["grad_norm"].total[-1] < 0.2 * metrics["grad_norm"].total[0]


def test_warm_up_by_hand():
    found = [float(warm_up(jnp.int32(update), 4)) for update in (0, 1, 3, 4, 1000)]
    np.testing.assert_allclose(found, [0.25, 0.5, 1, 1, 1])
    assert float(warm_up(jnp.int32(0), 0)) == 1
