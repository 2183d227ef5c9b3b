"""What is imagined: by hand with moments that are numbers, and by a model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import MEMORIES, apply, make_carry, make_network, make_params, make_window

from ssmrl.world_model.imagination import imagine, open_loop
from ssmrl.world_model.moments import Moment

KEYS = jax.random.split(jax.random.key(1), 4)


def seen_moment(network, params):
    window = make_window(steps=1)
    packed, start = jax.tree.map(lambda x: x[0], (window.packed, window.start))
    return apply(network, "see")(params, make_carry(network), packed, start, KEYS[0])


def test_each_step_acts_on_the_moment_that_the_last_led_to():
    """What is read out are numbers here, and what is drawn shows as fractions."""
    drawn = lambda key: jax.random.uniform(key, (2,))  # noqa: E731
    nowhere = jnp.zeros(2, bool)

    def act(moment, key):
        assert moment.start.shape == (2,)
        return 10 * moment.known + drawn(key)

    def lead(moment, encoded, key):
        return Moment((), moment.known + encoded[:, 0] + drawn(key), moment.latent + 1, nowhere)

    encode = lambda action: action[..., None] / 2  # noqa: E731
    first = Moment((), jnp.array([1.0, 2.0]), jnp.zeros(2), jnp.array([True, False]))
    moments, actions, encoded = imagine(lead, act, encode, first, KEYS)
    y = np.array([1.0, 2.0])
    for step, key in enumerate(KEYS):
        np.testing.assert_allclose(moments.known[step], y, rtol=1e-5)
        for_acting, for_leading = map(drawn, jax.random.split(key))
        action = 10 * y + for_acting
        np.testing.assert_allclose(actions[step], action, rtol=1e-5)
        np.testing.assert_allclose(encoded[step, :, 0], action / 2, rtol=1e-5)
        y = y + action / 2 + for_leading
    np.testing.assert_allclose(moments.known[4], y, rtol=1e-5)
    np.testing.assert_array_equal(moments.latent[:, 0], range(5))
    np.testing.assert_array_equal(moments.start, [[True, False], *[[False, False]] * 4])
    assert [len(x) for x in (moments.known, actions, encoded)] == [5, 4, 4]


def test_a_step_is_that_of_the_memory_and_draws_from_its_prior():
    network = make_network("gru", likeliest=False)
    params = make_params(network)
    moment, key = seen_moment(network, params), KEYS[1]
    action = jnp.array([[1.0, 0], [0, 1], [1, 0]])
    after = apply(network, "imagine")(params, moment, action, key)
    log_prior = apply(network, "prior")(params, after.known)
    np.testing.assert_array_equal(after.latent, network.latents.sample(key, log_prior))
    assert not after.start.any()
    elsewhere = apply(network, "imagine")(params, moment, 1 - action, key)
    assert (elsewhere.known.recalled != after.known.recalled).any(axis=-1).all()


@pytest.mark.parametrize("name", MEMORIES)
def test_given_actions_lead_where_the_policy_went_with_them(name):
    """With the parameters' part of the work done once, or again in each step."""
    network = make_network(name)
    params = make_params(network)

    @jax.jit
    def run(params, first):
        prepared = network.apply(params, method="prepare")
        assert bool(prepared) == hasattr(network.memory, "prepare")
        step = partial(network.apply, method="imagine")

        def act(moment, key):
            return network.apply(params, moment, method="policy").sample(seed=key)

        encode = partial(jax.nn.one_hot, num_classes=2)
        led = imagine(partial(step, params, **prepared), act, encode, first, KEYS)
        return led, open_loop(partial(step, params), first, led[2], KEYS[0])

    first = seen_moment(network, params)
    (moments, actions, encoded), given = run(params, first)
    assert isinstance(moments, Moment)
    np.testing.assert_array_equal(encoded, jax.nn.one_hot(actions, 2))
    for all_of, later, at_first in zip(*map(jax.tree.leaves, (moments, given, first)), strict=True):
        np.testing.assert_array_equal(all_of[0], at_first)
        np.testing.assert_allclose(all_of[1:], later, rtol=1e-4, atol=1e-5)
    assert (moments.start[0] == first.start).all()
    assert not moments.start[1:].any()
