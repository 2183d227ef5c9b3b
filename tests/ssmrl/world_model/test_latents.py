"""Categorical latents: forms, draws and their gradients, divergences and what is free of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.world_model.album import news
from ssmrl.world_model.latents import Latents, balanced_kl, kl
from ssmrl.world_model.moments import unit

LATENTS = Latents(groups=2, classes=3)
OUTPUTS = jnp.array([[2.0, 0, -1, 0, 50, -50], [0, 0, 0, 1, 2, 3]])
P, Q = LATENTS.log_probs(OUTPUTS), LATENTS.log_probs(OUTPUTS[::-1])


def test_log_probs_by_hand():
    softmax = np.exp([0, 1]) / (1 + np.e)
    found = Latents(1, 2, 0.1).log_probs(jnp.array([3.0, 4.0]))
    np.testing.assert_allclose(jnp.exp(found), [0.9 * softmax + 0.05], rtol=1e-6)
    np.testing.assert_allclose(jnp.exp(P).sum(-1), np.ones((2, 2)), rtol=1e-6)
    assert float(jnp.exp(P).min()) == pytest.approx(0.01 / 3)
    plain = Latents(2, 3, 0).log_probs(OUTPUTS.astype(jnp.bfloat16))
    np.testing.assert_allclose(plain, jax.nn.log_softmax(OUTPUTS.reshape(2, 2, 3)), rtol=1e-6)
    assert plain.dtype == jnp.float32


def test_draws_are_one_hots_as_often_as_said():
    drawn = jax.vmap(LATENTS.sample, (0, None))(jax.random.split(jax.random.key(0), 4000), P)
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_array_equal(drawn.reshape(-1, 3).sum(-1), 1)
    np.testing.assert_allclose(drawn.mean(0).reshape(P.shape), jnp.exp(P), atol=0.03)


def test_draws_have_the_gradient_of_their_probabilities():
    weights = jnp.arange(12.0).reshape(2, 6) ** 2
    value = lambda x: (LATENTS.sample(jax.random.key(1), x) * weights).sum()  # noqa: E731
    expected = jnp.exp(P) * weights.reshape(P.shape)  # d exp(x) = exp(x) dx
    np.testing.assert_allclose(jax.grad(value)(P), expected, rtol=1e-6)
    assert not jax.grad(lambda x: (LATENTS.mode(x) * weights).sum())(P).any()


def test_forms():
    one_hots = LATENTS.mode(P)
    np.testing.assert_array_equal(one_hots, [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1]])
    compact = LATENTS.compact(one_hots)
    np.testing.assert_array_equal(compact, [[0, 1], [0, 2]])
    assert compact.dtype == jnp.uint8
    np.testing.assert_array_equal(LATENTS.one_hots(compact), one_hots)
    assert (Latents(1, 256).dtype, Latents(1, 257).dtype) == (np.uint8, np.uint16)
    many = Latents(1, 300)
    last = many.one_hots(jnp.array([299]))
    np.testing.assert_array_equal(many.compact(last), [299])


def test_divergence_by_hand():
    """Of 3/4 and 1/4 from 1/2 and 1/2, in one group of two that are otherwise equal."""
    p = jnp.log(jnp.array([[0.75, 0.25], [0.1, 0.9]]))
    q = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9]]))
    one_way = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert float(kl(p, q)) == pytest.approx(one_way)
    assert float(kl(q, p)) == pytest.approx(0.5 * np.log(2 / 3) + 0.5 * np.log(2))
    np.testing.assert_array_equal(kl(P, P), [0, 0])
    assert (kl(P, Q) > 0).all()
    assert jnp.isfinite(kl(*(Latents(2, 3, 0).log_probs(x) for x in (OUTPUTS, -OUTPUTS)))).all()


def grads(which, free):
    """Return the gradients by posterior and prior of one of the two losses."""
    return jax.grad(lambda *x: balanced_kl(*x, free)[which].sum(), argnums=(0, 1))(P, Q)


def test_each_loss_teaches_one_of_the_two():
    alone = jax.grad(lambda *x: kl(*x).sum(), argnums=(0, 1))(P, Q)
    dynamics, representation = grads(0, 0.0), grads(1, 0.0)
    assert not dynamics[0].any()
    np.testing.assert_array_equal(dynamics[1], alone[1])
    np.testing.assert_array_equal(representation[0], alone[0])
    assert not representation[1].any()
    assert alone[0].any()
    assert alone[1].any()


def test_free_nats_are_of_a_step_not_of_a_group():
    p = jnp.log(jnp.array([[[0.75, 0.25], [0.75, 0.25]]]))
    q = jnp.log(jnp.full((1, 2, 2), 0.5))
    total = 2 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5))  # 0.26 nats, 0.13 of each group
    for free, expected in ((0.0, total), (0.2, total), (0.3, 0.3)):
        for loss in jax.jit(balanced_kl)(p, q, free):
            np.testing.assert_allclose(loss, [expected], rtol=1e-6)
    # In a batch of steps each has its own.
    both = balanced_kl(jnp.concatenate([p, q]), jnp.concatenate([q, q]), 0.1)[0]
    np.testing.assert_allclose(both, [total, 0.1], rtol=1e-6)


def test_what_is_free_teaches_nothing():
    nats = kl(P, Q)
    for which in (0, 1):
        assert not any(g.any() for g in grads(which, float(nats.max()) + 0.01))
        between = grads(which, float(nats.mean()))[1 - which]
        taught = np.asarray(between).any(axis=(-2, -1))
        np.testing.assert_array_equal(taught, nats > nats.mean())
        assert taught.sum() == 1


def test_free_nats_can_be_swept():
    swept = jax.vmap(balanced_kl, (None, None, 0))(P, Q, jnp.array([0.0, 100.0]))
    np.testing.assert_allclose(swept[0], jnp.stack([kl(P, Q), jnp.full(2, 100.0)]), rtol=1e-6)


def test_what_is_new_is_kept_as_the_groups_that_changed():
    latents = Latents(3, 4)
    last, now = latents.one_hots(np.array([[[0, 2, 2], [0, 3, 1]], [[0, 1, 2], [3, 3, 3]]]))
    is_new = news(now, last)
    changed = latents.changed(is_new)
    np.testing.assert_array_equal(changed, [[False, True, False], [True, False, True]])
    np.testing.assert_array_equal(latents.only(changed, now), is_new)


def test_few_ones_have_the_size_of_what_stands_beside_them():
    found = unit(jnp.array([[0, 0, 0, 2.0], [0, 0, 0, 0], [3, -3, 3, 3]]))
    np.testing.assert_allclose(found, [[0, 0, 0, 2], [0, 0, 0, 0], [1, -1, 1, 1]], rtol=1e-5)
    assert unit(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16
