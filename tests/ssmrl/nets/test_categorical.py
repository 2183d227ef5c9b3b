"""The short categorical distribution against distrax's own."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.nets.categorical import Categorical

# One action is forbidden, as in a factored head.
LOGITS = jax.random.normal(jax.random.key(0), (5, 3, 4)).at[0, 0, 1].set(jnp.finfo("float32").min)


def test_equals_distrax():
    short, long = Categorical(logits=LOGITS), distrax.Categorical(logits=LOGITS)
    key = jax.random.key(1)
    np.testing.assert_array_equal(short.sample(seed=key), long.sample(seed=key))
    value = short.sample(seed=key)
    np.testing.assert_allclose(short.log_prob(value), long.log_prob(value), rtol=1e-6)
    np.testing.assert_allclose(short.entropy(), long.entropy(), rtol=1e-5)
    assert (short.mode() == long.mode()).all()


def test_derivatives_equal_those_of_distrax():
    value = jnp.zeros((5, 3), int)

    def loss(distribution):
        def of_logits(logits):
            policy = distribution(logits=logits)
            return jnp.sum(policy.log_prob(value)) + jnp.sum(policy.entropy())

        return jax.grad(of_logits)(LOGITS)

    np.testing.assert_allclose(loss(Categorical), loss(distrax.Categorical), rtol=1e-4, atol=1e-6)


def test_an_impossible_action_leaves_the_entropy_its_gradient():
    logits = jnp.array([0.0, 1.0, -jnp.inf])
    got, want = (
        jax.grad(lambda z, d=d: d(logits=z).entropy())(logits)
        for d in (Categorical, distrax.Categorical)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
