"""reset_where gives what a reset in every step gives, and computes far fewer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.suites.auto_reset import LEAST, SHARE, reset_where

KEY = jax.random.key(0)


def draw(key, params):
    """A state with a float, an integer and a key, as the suites have."""
    return {
        "x": jax.random.uniform(key, (3,)) + params["shift"],
        "n": jnp.int32(7),
        "key": jax.random.fold_in(key, 1),
    }


def ordinary(ended, key, params, current):
    new = draw(key, params)
    return jax.tree.map(lambda new, old: jnp.where(ended, new, old), new, current)


def economical(ended, key, params, current):
    return reset_where(draw, ended, key, params, current)


def batch(size, share, seed=1):
    """Return flags of which this share holds, keys, and states."""
    keys = jax.random.split(KEY, (2, size))
    ended = jax.random.uniform(jax.random.key(seed), (size,)) < share
    return ended, keys[0], jax.vmap(draw, (0, None))(keys[1], {"shift": jnp.float32(0)})


def assert_equal(found, expected):
    plain = lambda tree: {**tree, "key": jax.random.key_data(tree["key"])}  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, plain(found), plain(expected))


@pytest.mark.parametrize("size", [1, 7, 300])
@pytest.mark.parametrize("axis", [None, 0])
def test_a_batch_is_as_if_all_were_reset(size, axis):
    shift = jnp.arange(size, dtype=jnp.float32) if axis == 0 else jnp.float32(5)
    both = [jax.jit(jax.vmap(f, (0, 0, axis, 0))) for f in (economical, ordinary)]
    for share in (0.0, 0.02, 0.5, 1.0):
        ended, keys, states = batch(size, share)
        found, expected = (f(ended, keys, {"shift": shift}, states) for f in both)
        assert_equal(found, expected)


@pytest.mark.parametrize("ended", [False, True])
def test_one_environment(ended):
    _, keys, states = batch(1, 1.0)
    key, state = keys[0], jax.tree.map(lambda leaf: leaf[0], states)
    params = {"shift": jnp.float32(5)}
    for transform in (lambda f: f, jax.jit):
        found = transform(economical)(jnp.array(ended), key, params, state)
        assert_equal(found, draw(key, params) if ended else state)


def test_batches_of_batches():
    ended, keys, states = batch(60, 0.3)
    fold = lambda leaf: leaf.reshape(4, 15, *leaf.shape[1:])  # noqa: E731
    params = {"shift": jnp.arange(4.0)}
    inner = [jax.vmap(f, (0, 0, None, 0)) for f in (economical, ordinary)]
    args = (*jax.tree.map(fold, (ended, keys)), params, jax.tree.map(fold, states))
    assert_equal(*(jax.jit(jax.vmap(f))(*args) for f in inner))


def test_what_all_environments_share_becomes_their_own():
    ended, keys, states = batch(20, 0.5)
    state = jax.tree.map(lambda leaf: leaf[0], states)
    params = {"shift": jnp.float32(5)}
    both = [jax.vmap(f, (0, 0, None, None)) for f in (economical, ordinary)]
    assert_equal(*(f(ended, keys, params, state) for f in both))


@pytest.mark.parametrize(("num_ended", "num_parts"), [(0, 0), (1, 1), (10, 1), (11, 2), (160, 16)])
def test_only_what_ended_is_reset(num_ended, num_parts):
    size, calls = 160, []

    def counted(key, params):
        jax.debug.callback(lambda _: calls.append(1), key)
        return jax.random.uniform(key)

    ended = jnp.arange(size) % 7 < 0
    ended = ended.at[jax.random.permutation(KEY, size)[:num_ended]].set(True)
    select = jax.jit(jax.vmap(lambda e, k, x: reset_where(counted, e, k, None, x)))
    keys = jax.random.split(KEY, size)
    found = jax.block_until_ready(select(ended, keys, jnp.full(size, -1.0)))
    jax.effects_barrier()
    assert size // SHARE == 10 > LEAST
    assert len(calls) == 10 * num_parts
    assert (np.asarray(found) >= 0).tolist() == np.asarray(ended).tolist()
