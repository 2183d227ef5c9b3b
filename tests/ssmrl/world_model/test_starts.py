"""Nothing crosses a start, and an episode is remembered to its last step.

Three tests are of faults in the published code of Recall to Imagine (chandar-lab/Recall2Imagine,
ssm/common.py and nets.py): it resets one step too early, adds the learnt first state again wherever
a scan combines what was reset already, and masks the action before a start but not the latent.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import (
    KEY,
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

from ssmrl.world_model.moments import Carry

SINCE = np.array([3, 4, T])  # the last starts of the streams; the third has none
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
