"""The Transformer against one that keeps every key of the episode, in double precision."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.errors import UsageError
from ssmrl.memory import Transformer
from ssmrl.memory.local_attention import bounded, rotate, rotations

B, F, H, N = 3, 5, 8, 2
D = H // N


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def layer_norm(x, p):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * p["scale"] + p["bias"]


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def turned(k_xND, back, context):
    """Turn keys by how many steps they lie back, pair by pair, as complex numbers."""
    frequencies = np.round(np.geomspace(max(context / np.pi, 1), 1, D // 2)) * np.pi / context
    z = k_xND[..., : D // 2] + 1j * k_xND[..., D // 2 :]
    z = z * np.exp(-1j * frequencies * back)
    return np.concatenate([z.real, z.imag], axis=-1)


def by_hand(params, x_TxF, start_T, m):
    """Return y_TxH of one sequence; every layer remembers all of the episode, undisturbed."""
    params = jax.tree.map(lambda v: np.asarray(v, np.float64), params)
    episode, outputs = [], []
    for x, start in zip(np.asarray(x_TxF, np.float64), start_T, strict=True):
        episode = [[] for _ in range(m.num_layers)] if start or not episode else episode
        y = dense(x, params["embed"])
        for i, keys_and_values in enumerate(episode):
            before, after = params[f"projections_{i}"], params[f"feed_forwards_{i}"]
            normed = layer_norm(y, before["LayerNorm_0"])
            q, k, v = dense(normed, before["Dense_0"]).reshape(3, N, D)
            keys_and_values.append((k, v))
            seen = keys_and_values[: -m.context - 1 : -1]  # the last ones, the newest first
            k_SxNxD = np.stack([turned(k, back, m.context) for back, (k, _) in enumerate(seen)])
            weights = np.exp(np.einsum("nd,snd->sn", q, k_SxNxD) / np.sqrt(D))
            weights /= weights.sum(axis=0)
            mean = np.einsum("sn,snd->nd", weights, np.stack([v for _, v in seen]))
            y = y + dense(mean.reshape(H), after["Dense_0"])
            hidden = gelu(dense(layer_norm(y, after["LayerNorm_0"]), after["Dense_1"]))
            y = y + dense(hidden, after["Dense_2"])
        outputs.append(layer_norm(y, params["last_norm"]))
    return np.stack(outputs)


def drawn(m, steps, seed=0):
    """Return parameters none of which hides behind an initial value, inputs, and starts."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(steps, B, F)).astype("float32")
    start = rng.random((steps, B)) < [0.3, 0.05, 0]  # rows out of phase, the last without any
    inputs = m.initial_state((B,)), x[0], start[0]
    shapes = jax.eval_shape(partial(m.init, method="step"), jax.random.key(0), *inputs)
    params = jax.tree.map(lambda v: rng.normal(0, 0.5, v.shape).astype("float32"), shapes)
    return params, x, start


@pytest.mark.parametrize("context", [1, 7, 32])
def test_equals_the_one_that_keeps_everything(context):
    """Within a block and over several, by scans that the ring reaches across, and by steps."""
    m = Transformer(features=H, num_layers=2, num_heads=N, context=context, ff_multiplier=2)
    params, x, start = drawn(m, steps=38)
    by_row = [by_hand(params["params"], x[:, b], start[:, b], m) for b in range(B)]
    want = np.stack(by_row, axis=1)

    scan, step = (jax.jit(partial(m.apply, method=name)) for name in ("scan", "step"))
    state, outputs = m.initial_state((B,)), []
    for half in (slice(0, 19), slice(19, 38)):
        state, y = scan(params, state, x[half], start[half])
        outputs.append(y)
    np.testing.assert_allclose(np.concatenate(outputs), want, atol=1e-4)

    stepped, outputs = m.initial_state((B,)), []
    for x_t, start_t in zip(x, start, strict=True):
        stepped, y = step(params, stepped, x_t, start_t)
        outputs.append(y)
    np.testing.assert_allclose(np.stack(outputs), want, atol=1e-4)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(stepped), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_nothing_depends_on_how_long_an_episode_is():
    """The same inputs late in an episode give what they gave before, once they fill the window."""
    m = Transformer(features=H, num_layers=1, num_heads=N, context=4)
    params, x, _ = drawn(m, steps=7)
    scan = jax.jit(partial(m.apply, method="scan"))
    state, no_start = m.initial_state((B,)), np.zeros(x.shape[:2], bool)
    state, outputs = m.initial_state((B,)), []
    for _ in range(6):
        state, y = scan(params, state, x, no_start)
        outputs.append(y[3:])
        assert (np.asarray(state[0]) < 12).all()
    for y in outputs[1:]:
        np.testing.assert_allclose(y, outputs[0], atol=1e-5)


def test_bounded_ages_are_as_good():
    age = np.arange(1000)
    small = np.asarray(bounded(jnp.asarray(age), 5))
    np.testing.assert_array_equal(small % 10, age % 10)
    np.testing.assert_array_equal(small[:15], age[:15])
    assert set(small[15:]) == set(range(5, 15))


def test_products_of_rotated_heads_know_only_how_far_apart_they_are():
    context = 4096
    q, k = np.random.default_rng(0).normal(size=(2, 1, 64)).astype("float32")

    def product(age_q, age_k):
        turn = lambda x, age: rotate(x, rotations(jnp.int32(age), 64, context))  # noqa: E731
        return float(jnp.sum(turn(q, age_q) * turn(k, age_k)))

    for back in (0, 1, 100, 4095):
        near = product(back, 0)
        np.testing.assert_allclose(product(back + 8191, 8191), near, atol=1e-4)  # over a whole turn
        np.testing.assert_allclose(product(back + 10**6, 10**6), near, atol=1e-4)
    assert abs(product(4095, 0) - product(0, 0)) > 0.1  # the oldest is not taken for the newest


def test_memory_grows_with_length_not_with_its_square():
    m = Transformer(features=H, num_layers=1, num_heads=N, context=8)
    state = m.initial_state((1,))
    params, _, _ = drawn(m, steps=1)

    def temporaries(steps):
        def loss(params, x, start):
            return m.apply(params, state, x, start, method="scan")[1].sum()

        inputs = jnp.zeros((steps, 1, F)), jnp.zeros((steps, 1), bool)
        compiled = jax.jit(jax.grad(loss)).lower(params, *inputs).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(1024) < 2.2 * temporaries(512) < 4 * 512 * 512 * N


def test_what_is_not_finite_stays_in_its_episode():
    m = Transformer(features=H, num_layers=2, num_heads=N, context=8)
    params, x, _ = drawn(m, steps=10)
    start = np.zeros(x.shape[:2], bool)
    start[5, :2] = True
    x[2, 0] = np.inf
    _, y = jax.jit(partial(m.apply, method="scan"))(params, m.initial_state((B,)), x, start)
    assert np.isfinite(y[:2]).all()
    assert np.isnan(y[2:5, 0]).all()  # seen by those who may
    assert np.isfinite(y[5:]).all()
    assert np.isfinite(y[:, 1:]).all()


def test_bfloat16_layers_keep_a_float32_state():
    m = Transformer(features=H, num_layers=2, num_heads=N, context=4)
    params, x, start = drawn(m, steps=9)
    scan = jax.jit(partial(m.apply, method="scan"))
    state = m.initial_state((B,))
    (_, rings), want = scan(params, state, x, start)
    (_, got_rings), got = scan(params, state, x.astype(jnp.bfloat16), start)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype("float32"), want, atol=0.1)
    for ring, want_ring in zip(got_rings, rings, strict=True):
        assert ring.dtype == jnp.float32
        np.testing.assert_allclose(ring, want_ring, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 3}, "num_heads=3 must divide features=256 into heads of an even width"),
        ({"features": 12}, "num_heads=4 must divide features=12 into heads of an even width"),
        ({"num_heads": 0}, "num_heads must be at least 1, but is 0"),
        ({"context": 0}, "context must be at least 1, but is 0"),
        ({"context": 10**6}, "context must be at most 32768, but is 1000000"),
        ({"ff_multiplier": 0}, "ff_multiplier must be at least 1, but is 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, but is 0"),
    ],
)
def test_mistakes_end_in_one_sentence(options, message):
    with pytest.raises(UsageError, match=message) as error:
        Transformer(**options)
    assert "\n" not in str(error.value)
