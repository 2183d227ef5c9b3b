"""Action heads: shapes, masks, and log-probabilities against sums worked out apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.nets.heads import CategoricalHead, FactoredHead, GaussianHead

X = jax.random.normal(jax.random.key(0), (5, 3, 7))


@pytest.mark.parametrize(
    ("head", "shape", "dtype"),
    [
        (CategoricalHead(4), (5, 3), jnp.int32),
        (FactoredHead((2, 5)), (5, 3, 2), jnp.int32),
        (GaussianHead(2), (5, 3, 2), jnp.float32),
    ],
)
def test_shapes(head, shape, dtype):
    policy, _ = head.init_with_output(jax.random.key(1), X)
    for action in (policy.sample(seed=jax.random.key(2)), policy.mode()):
        assert (action.shape, action.dtype) == (shape, dtype)
        assert policy.log_prob(action).shape == (5, 3)
    assert policy.entropy().shape == (5, 3)


def test_first_policy_is_nearly_uniform():
    policy, _ = CategoricalHead(4).init_with_output(jax.random.key(1), X)
    np.testing.assert_allclose(policy.probs, 0.25, atol=0.02)


def test_factored_head_never_leaves_its_ranges():
    policy, _ = FactoredHead((2, 5)).init_with_output(jax.random.key(1), X)
    actions = policy.sample(seed=jax.random.key(2), sample_shape=(1000,))
    np.testing.assert_array_equal(actions.max((0, 1, 2)), [1, 4])
    probs = policy.distribution.probs
    np.testing.assert_array_equal(probs[..., 0, 2:], 0)
    np.testing.assert_allclose(policy.entropy(), np.log(10), atol=0.01)
    chosen = jnp.array([1, 3])
    expected = jnp.log(probs[..., 0, 1]) + jnp.log(probs[..., 1, 3])
    log_prob = policy.log_prob(jnp.broadcast_to(chosen, (5, 3, 2)))
    np.testing.assert_allclose(log_prob, expected, rtol=1e-5)


def test_gaussian_entropy_has_a_gradient_through_the_deviation_alone():
    head = GaussianHead(2)
    params = head.init(jax.random.key(1), X)
    grads = jax.grad(lambda p: head.apply(p, X).entropy().mean())(params)["params"]
    np.testing.assert_allclose(grads["log_deviation"], [1, 1], rtol=1e-5)
    np.testing.assert_array_equal(grads["Dense_0"]["kernel"], 0)


@pytest.mark.parametrize(("raw", "log"), [(-100, -5), (-1, -0.987), (0, 0), (0.5, 0.462), (9, 1)])
def test_the_deviation_stays_where_actions_are(raw, log):
    head = GaussianHead(2)
    params = head.init(jax.random.key(1), X)
    params["params"]["log_deviation"] = jnp.full(2, raw, jnp.float32)
    np.testing.assert_allclose(jnp.log(head.apply(params, X).stddev()), log, atol=1e-3)


@pytest.mark.parametrize("head", [CategoricalHead, FactoredHead])
def test_no_action_is_given_up(head):
    """Whatever the features say; 3 % are shared by all actions that there are."""
    sizes = 4 if head is CategoricalHead else (2, 5)
    mixed = head(sizes, unimix=0.03)
    params = mixed.init(jax.random.key(1), X)
    policy, plain = mixed.apply(params, 1e5 * X), head(sizes).apply(params, 1e5 * X)
    if head is FactoredHead:
        policy, plain = policy.distribution, plain.distribution
    uniform = np.array([[1, 1, 0, 0, 0], [0.4] * 5]) / 2 if head is FactoredHead else 0.25
    np.testing.assert_allclose(
        policy.probs, 0.97 * np.asarray(plain.probs) + 0.03 * uniform, atol=1e-6
    )
    assert np.min(plain.probs[np.broadcast_to(uniform, plain.probs.shape) > 0]) == 0
