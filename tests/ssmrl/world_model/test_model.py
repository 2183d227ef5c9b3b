"""The model sees a sequence as it sees it step by step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import (
    EVERY,
    KEY,
    KNOWN,
    MEMORIES,
    B,
    T,
    apply,
    assert_close,
    at_once,
    make_carry,
    make_network,
    make_params,
    make_window,
    where,
)

from ssmrl.world_model.moments import (
    Known,
    Moment,
    Observed,
    carry_after,
    every_nth,
    with_states,
)


def by_steps(network, params, carry, window):
    """Return what ``observe`` does, and how far ``imagine`` is from ``see``.

    Of starts it is what ``see`` gives, and else what ``imagine`` does with the latent seen: that
    must be the same, and has a gradient through the latent before.
    """

    def step(before, inputs):
        carry, moment = before
        packed, action, start = inputs
        seen = apply(network, "see")(params, carry, packed, start, KEY)
        led = apply(network, "imagine")(params, moment, carry.action, KEY)
        apart = seen.known.beside() - led.known.beside()
        apart = jnp.where(start[:, None], 0, apart)
        led = led.replace(latent=seen.latent, start=start)
        moment = jax.tree.map(partial(where, start), seen, led)
        after = carry_after(network.latents, moment, action)
        return (after, moment), (moment, apply(network, "posterior")(params, packed), apart)

    first = carry, first_moment(network, carry)
    (last, _), (moments, log_posterior, apart) = jax.lax.scan(step, first, window)
    states = every_nth(moments.memory_state, EVERY)
    return last, Observed(log_posterior, moments.replace(memory_state=states)), apart


def first_moment(network, carry):
    """Return the moment after which the carry stands, as far as what comes hangs on it."""
    latent = network.latents.one_hots(carry.latent)
    same = latent - network.latents.only(carry.changed, latent)
    zeros = jnp.zeros_like(latent), jnp.zeros((B, 4))
    known = Known(carry.album.astype(jnp.float32), *zeros, same, carry.action)
    return Moment(carry.memory_state, known, latent, carry.start)


def floats(tree):
    return [x for x in map(jnp.asarray, jax.tree.leaves(tree)) if x.dtype == jnp.float32]


def with_slopes(run, params, carry, window):
    """Return all that it gives, and the derivatives of a sum in which all weigh differently."""

    def weighted(params, memory_state, last_action, numbers, action):
        before = carry.replace(memory_state=memory_state, action=last_action)
        shown = window._replace(packed=(numbers, window.packed[1]), action=action)
        result = run(params, before, shown)
        weigh = lambda x: (jnp.cos(1.7 * jnp.arange(x.size)) * x.ravel()).sum()  # noqa: E731
        return sum(map(weigh, floats(result[:2]))), result

    inputs = params, carry.memory_state, carry.action, window.packed[0], window.action
    derive = jax.grad(weighted, tuple(range(len(inputs))), has_aux=True, allow_int=True)
    slopes, result = derive(*inputs)
    return floats(slopes), result


def in_pieces(network, params, carry, window):
    """Return what ``observe`` does, by windows of ``EVERY`` steps and their carries."""
    pieces = jax.tree.map(lambda x: x.reshape(-1, EVERY, *x.shape[1:]), window)
    observe = partial(at_once, network, params)
    last, observed = jax.lax.scan(lambda carry, piece: observe(carry, piece), carry, pieces)
    return last, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), observed)


@pytest.mark.parametrize("name", MEMORIES)
def test_a_window_is_its_steps_and_its_pieces(name):
    network = make_network(name)

    @jax.jit
    def compare(*inputs):
        slopes = [with_slopes(partial(run, network), *inputs) for run in (at_once, by_steps)]
        return *slopes, in_pieces(network, *inputs)

    window = make_window()
    once, stepped, pieces = compare(make_params(network), make_carry(network), window)
    slopes, (*whole, apart) = stepped
    assert_close(once, (slopes, tuple(whole)))
    np.testing.assert_allclose(apart, 0, atol=1e-5)
    assert_close(pieces, once[1])
    last, observed = once[1]
    assert observed.moments.known.beside().shape == (T, B, KNOWN)
    np.testing.assert_array_equal(last.start, window.start[-1])
    np.testing.assert_array_equal(last.action, window.action[-1])


def test_one_step_draws_what_is_seen_with_the_same_key():
    network = make_network("gru", likeliest=False)
    params, carry, window = make_params(network), make_carry(network), make_window(steps=1)
    last, observed = at_once(network, params, carry, window, every=1)
    packed, start = jax.tree.map(lambda x: x[0], (window.packed, window.start))
    see = partial(apply(network, "see"), params, carry, packed, start)
    got = jax.tree.map(lambda x: x[0], observed.moments)
    assert_close(got, see(KEY))
    np.testing.assert_array_equal(last.latent, network.latents.compact(got.latent))
    assert any((see(jax.random.key(i)).latent != got.latent).any() for i in range(9))


@pytest.mark.parametrize("every", [1, 2, 3])
def test_carries_are_what_stands_after_each_piece(every):
    """As windows of that many steps leave them."""
    network = make_network("gru")
    params, carry, window = make_params(network), make_carry(network), make_window()
    observe = jax.jit(partial(at_once, network), static_argnums=3)
    piece = 2 if every == 2 else 3
    last, observed = observe(params, carry, window, every)
    moments = every_nth(with_states(observed.moments, every), piece // every)
    carries = carry_after(network.latents, moments, every_nth(window.action, piece))
    assert len(carries.start) == T // piece
    for i, end in enumerate(range(piece, T + 1, piece)):
        carry, _ = observe(
            params, carry, jax.tree.map(lambda x, e=end: x[e - piece : e], window), piece
        )
        assert_close(jax.tree.map(lambda x, i=i: x[i], carries), carry)
    assert_close(carry, last)


@pytest.mark.parametrize("name", MEMORIES)
def test_in_bfloat16_states_and_what_is_told_have_32_bits(name):
    """And moments are of one type, seen or imagined, as a loop over them wants it."""
    network = make_network(name, dtype=jnp.bfloat16)
    params, carry, window = make_params(network), make_carry(network), make_window()

    def run(params, carry, window):
        last, o = at_once(network, params, carry, window, 1)
        packed, action, start = jax.tree.map(lambda x: x[0], window)
        seen = apply(network, "see")(params, carry, packed, start, KEY)
        led = apply(network, "imagine")(params, seen, action, KEY)
        observed = jax.tree.map(lambda x: x[0], o.moments)
        happened = window.packed, action[None], jnp.zeros((T, B)), window.start, window.start, 0.1
        losses = apply(network, "losses")(params, o, *happened)
        told = [
            apply(network, "expect")(params, seen, action, led.latent),
            apply(network, "prior")(params, seen.known),
        ]
        told += [
            apply(network, "policy")(params, seen).logits,
            apply(network, "value")(params, seen),
        ]
        return last, (observed, seen, led), (o.log_posterior, losses, told)

    last, moments, told = jax.eval_shape(run, params, carry, window)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), x) for x in (*moments, carry, last)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert shapes[3] == shapes[4]
    assert {x.dtype for x in jax.tree.leaves(told)} == {jnp.dtype(jnp.float32)}
