"""The model sees a sequence as it sees it step by step, and nothing crosses a start.

Three tests are of faults in the published code of Recall to Imagine (chandar-lab/Recall2Imagine,
ssm/common.py and nets.py): it resets one step too early, adds the learnt first state again wherever
a scan combines what was reset already, and masks the action before a start but not the latent.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import (
    KNOWN,
    MEMORIES,
    apply,
    make_carry,
    make_network,
    make_params,
    make_window,
)

from ssmrl.world_model.moments import (
    Carry,
    Known,
    Moment,
    Observed,
    carry_after,
    every_nth,
    with_states,
)

T, B, EVERY = 6, 3, 2
KEY = jax.random.key(0)
SINCE = np.array([3, 4, T])  # the last starts of the streams; the third has none


def at_once(network, params, carry, window, every=EVERY):
    return apply(network, "observe")(params, carry, *window, KEY, every=every)


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


def where(start, yes, no):
    return jnp.where(start.reshape(start.shape + (1,) * (yes.ndim - start.ndim)), yes, no)


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


def assert_close(got, want):
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        scale = max(1, np.abs(np.asarray(w, np.float32)).max())
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4 * scale)


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


LAST = ("album", "latent", "changed", "action", "start")


def name_inputs(network) -> dict:
    """Return all that a window is seen by, as arrays by name: [T, B, ...], or [B, ...] before."""
    carry, window = make_carry(network), make_window()
    state = {f"state {i}": x for i, x in enumerate(jax.tree.leaves(carry.memory_state))}
    last = {f"last {name}": getattr(carry, name) for name in LAST}
    shown = {"numbers": window.packed[0], "categories": window.packed[1]}
    return {**state, **last, **shown, "action": window.action, "start": window.start}


def outputs(network, params, x: dict) -> list:
    """Return all that is made of the inputs, arrays [T, B, ...]."""
    empty = network.initial_carry((B,)).memory_state
    state = [leaf for name, leaf in x.items() if name.startswith("state")]
    state = jax.tree.unflatten(jax.tree.structure(empty), state)
    carry = Carry(state, *(x[f"last {name}"] for name in LAST))
    shown = (x["numbers"], x["categories"]), x["action"], x["start"]
    _, o = apply(network, "observe")(params, carry, *shown, KEY, every=1)
    moments = o.moments
    policy, value = (apply(network, name)(params, moments) for name in ("policy", "value"))
    after = jnp.zeros_like(moments.latent)
    foretold = apply(network, "foretell")(params, moments, x["action"], after)
    # What a Transformer's ring still holds of before is never looked at: outputs tell of it.
    states = () if network.look == "output" else moments.memory_state
    moments = moments.replace(memory_state=states, start=())
    prior = apply(network, "prior")(params, moments.known)
    told = o.log_posterior, moments, prior, foretold, policy.logits, value
    return jax.tree.leaves(told)


@cache
def make_probe(name: str):
    """Return a network's inputs, and ``probe(inputs, asked) -> outputs, slopes``.

    Slopes are those of the outputs where ``asked`` [T, B], of every input that has any. Forward
    mode there is none, since layers have derivatives of their own.
    """
    network = make_network(name)
    params = make_params(network)
    weight = lambda x: 1 + jnp.cos(jnp.arange(x.size)).reshape(x.shape)  # noqa: E731

    @jax.jit
    def probe(inputs, asked):
        real = {k: x for k, x in inputs.items() if x.dtype == jnp.float32}
        out, pull = jax.vjp(lambda real: outputs(network, params, {**inputs, **real}), real)
        return out, pull([where(asked, weight(x), 0 * x) for x in out])[0]

    return name_inputs(network), probe


def other(x):
    """Return inputs that all differ."""
    if x.dtype == bool:
        return ~x
    return ((x + 1) % 3 if x.dtype == np.uint8 else x + 1).astype(x.dtype)


@pytest.mark.parametrize("name", MEMORIES)
def test_nothing_crosses_a_start(name):
    """Neither in slope nor in value, of one input at a time: exactly."""
    inputs, probe = make_probe(name)
    since = np.arange(T)[:, None] >= SINCE
    before = ~since & (SINCE < T)
    out, slopes = probe(inputs, since)
    for told, x in inputs.items():
        crossing = before if len(x) == T else before[0]
        new, _ = probe({**inputs, told: np.asarray(where(crossing, other(x), x))}, since)
        moved = [
            np.any(np.asarray(a != b).reshape(T, B, -1), -1) for a, b in zip(out, new, strict=True)
        ]
        assert np.any(moved & before), f"{told} counts for nothing"
        assert not np.any(moved & since), f"{told} crosses"
        if told in slopes:
            assert not np.any(slopes[told][crossing]), f"{told} crosses"
            assert len(x) == B or np.any(slopes[told][since]), f"{told} counts for nothing"


@pytest.mark.parametrize("name", ["s5", "s5-learned-start", "gru", "transformer"])
def test_an_episode_is_remembered_to_its_last_step_and_no_longer(name):
    """Of Recall to Imagine's faults the reset one step too early.

    The last step forgets its episode there, and what was seen and done at it reaches the next.
    """
    inputs, probe = make_probe(name)

    def told_by(step):
        """Return by which steps' numbers and actions that is told which is made of ``step``."""
        asked = np.zeros((T, B), bool)
        asked[step, 0] = True
        slopes = probe(inputs, asked)[1]
        return [np.flatnonzero(slopes[k][:, 0].any(-1)).tolist() for k in ("numbers", "action")]

    assert SINCE[0] == 3
    assert told_by(2) == [[0, 1, 2], [0, 1, 2]]
    assert told_by(3) == [[3], [3]]
    assert told_by(4) == [[3, 4], [3, 4]]


@pytest.mark.parametrize("name", ["s5", "s5-learned-start"])
def test_after_several_starts_an_episode_is_what_it_is_alone(name):
    """Of Recall to Imagine's faults the learnt first state, which each start adds once more."""
    network = make_network(name)
    params, window = make_params(network), make_window()
    start = np.zeros((T, B), bool)
    start[[1, 2, 4]] = True
    window = window._replace(start=start)

    def last_two(params, carry, window):
        _, observed = at_once(network, params, carry, window)
        moments = observed.moments
        made = moments.known.beside()[-2:], jax.tree.map(lambda x: x[-1], moments.memory_state)
        return sum((x**2).sum() for x in jax.tree.leaves(made)), made

    derive = jax.jit(jax.value_and_grad(last_two, has_aux=True))
    whole = derive(params, make_carry(network), window)
    episode = jax.tree.map(lambda x: x[4:], window)
    alone = derive(params, network.initial_carry((B,)), episode)
    assert_close(whole, alone)
    if name == "s5-learned-start":
        slopes = alone[1]["params"]["memory"]["layers"]["reset_state"]
        assert np.abs(slopes).min() > 1e-4


@pytest.mark.parametrize("method", ["observe", "see"])
def test_the_latent_before_a_start_is_masked_as_the_action_is(method):
    """Of Recall to Imagine's faults the latent that is masked in acting only."""
    network = make_network("gru")
    params, carry, window = make_params(network), make_carry(network), make_window(steps=1)

    @jax.jit
    def y_of(latent, action, start):
        before = carry.replace(latent=latent, action=action)
        if method == "observe":
            shown = window._replace(start=start[None])
            return at_once(network, params, before, shown, 1)[1].moments.known.beside()[0]
        packed = jax.tree.map(lambda x: x[0], window.packed)
        return apply(network, "see")(params, before, packed, start, KEY).known.beside()

    for start in (np.ones(B, bool), np.zeros(B, bool)):
        y = y_of(carry.latent, carry.action, start)
        for changed in ((other(carry.latent), carry.action), (carry.latent, other(carry.action))):
            assert np.any(y_of(*changed, start) != y, axis=-1).tolist() == (~start).tolist()


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
    for t, b in np.argwhere(~ended[:-1]):  # of the window's last step it is not known
        after[t, b] = moments.latent[t + 1, b]
    foretold = apply(network, "foretell")(params, moments, window.action, after)
    likely = 1 / (1 + np.exp(-foretold[1]))
    seen = np.concatenate([moments.known.recalled, moments.latent], axis=-1)
    decoded = network.apply(
        params, seen, window.packed, method=lambda m, *x: m.decoder.log_prob(*x)
    )
    is_over = np.stack([return_ends, ended], -1)
    expected = {
        "observation": -decoded,
        "dynamics": divergence,
        "representation": divergence,
        "reward": network.bins.loss(foretold[0], reward),
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
