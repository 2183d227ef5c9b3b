"""What a model learns from, by hand, and what it expects of an action."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from tiny_models import (
    KEY,
    B,
    T,
    apply,
    at_once,
    make_carry,
    make_network,
    make_params,
    make_window,
)


def test_losses_by_hand():
    network = make_network("gru")
    params, carry, window = make_params(network), make_carry(network), make_window()
    _, o = at_once(network, params, carry, window)
    rng = np.random.default_rng(1)
    reward = rng.normal(size=(T, B)).astype(np.float32)
    return_ends, ended = rng.random((2, T, B)) < 0.3
    moments = o.moments
    log_p, log_q = o.log_posterior, apply(network, "prior")(params, moments.known)
    divergence = (np.exp(log_p) * (log_p - log_q)).sum((-2, -1))
    free = np.median(divergence)  # some are above, some below
    divergence = np.maximum(divergence, free)
    happened = window.packed, window.action, reward, return_ends, ended, free
    found = apply(network, "losses")(params, o, *happened)
    after = np.zeros_like(moments.latent)
    for t, b in np.argwhere(~ended[:-1]):
        after[t, b] = moments.latent[t + 1, b]
    foretold = apply(network, "foretell")(params, moments, window.action, after)
    likely = 1 / (1 + np.exp(-foretold[1]))
    seen = np.concatenate([moments.known.recalled, moments.latent], axis=-1)
    decoded = network.apply(
        params, seen, window.packed, method=lambda m, *x: m.decoder.log_prob(*x)
    )
    is_over = np.stack([return_ends, ended], -1)
    paid = np.array(network.bins.loss(foretold[0], reward))
    assert len(set(ended[-1])) == 2
    paid[-1, ~ended[-1]] = 0  # what the window's last action leads to is not known
    expected = {
        "observation": -decoded,
        "dynamics": divergence,
        "representation": divergence,
        "reward": paid,
        "continuation": -np.log(np.where(is_over, 1 - likely, likely)).sum(-1),
    }
    assert found.keys() == expected.keys()
    for name, loss in expected.items():
        np.testing.assert_allclose(found[name], loss, rtol=1e-4, atol=1e-5, err_msg=name)

    def at_ends(latent):
        observed = o.replace(moments=moments.replace(latent=latent))
        found = apply(network, "losses")(params, observed, *happened)
        return jnp.sum(found["reward"] * ended)

    slopes = np.abs(jax.grad(at_ends)(moments.latent)).max(-1)
    assert slopes[ended].all()
    assert not slopes[~ended].any()  # of the next episode's first observation, too


def test_what_is_expected_of_an_action():
    """The mean reward, with what is seen after it and at an end, and how likely later ones count.

    What is seen tells of the reward, and of nothing else.
    """
    network = make_network("gru")
    params, window = make_params(network), make_window(steps=1)
    packed, start = jax.tree.map(lambda x: x[0], (window.packed, window.start))
    moment = apply(network, "see")(params, make_carry(network), packed, start, KEY)
    expect, foretell = (partial(apply(network, name), params) for name in ("expect", "foretell"))
    action, after = window.action[0], jnp.roll(moment.latent, 1, axis=0)
    seen, unseen = (foretell(moment, action, x) for x in (after, jnp.zeros_like(after)))
    assert np.all(np.abs(seen[0] - unseen[0]).max(-1) > 1e-3)
    np.testing.assert_array_equal(seen[1], unseen[1])
    even = np.linspace(-2, 2, 9)
    means = [
        jax.nn.softmax(x[0]) @ (np.sign(even) * np.expm1(np.abs(even))) for x in (seen, unseen)
    ]
    counts, is_seen = np.moveaxis(1 / (1 + np.exp(-seen[1])), -1, 0)
    reward, likely = expect(moment, action, after)
    expected = is_seen * means[0] + (1 - is_seen) * means[1]
    np.testing.assert_allclose(reward, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(likely, counts, rtol=1e-5)
    flat = apply(network, "decode")(params, moment)
    assert (flat.shape, flat.dtype) == ((B, 5), jnp.float32)
