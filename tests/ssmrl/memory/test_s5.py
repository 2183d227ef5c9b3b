"""S5 against the published layer in double precision, its initial values, its options."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.errors import UsageError
from ssmrl.memory import S5
from ssmrl.memory.hippo import blocks_of_hippo, hippo_normal
from ssmrl.memory.s5_init import C_INITS, init_b, init_c, init_log_step
from ssmrl.memory.s5_layer import _gated_linear_unit

T, B, F, H, N, L = 7, 2, 5, 6, 8, 2


# The published model (Lu et al. 2023, after Smith et al. 2023), complex and step by step.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def layer_norm(x, p):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * p["scale"] + p["bias"]


def published_layer(p, x_TxBxH, state_BxP, start_TxB, m: S5):
    """``p`` holds one layer's parameters in double precision, ``m`` the options."""
    b_re, b_im = np.split(p["b"].T, 2)
    c_re, minus_c_im = np.split(p["c"].T, 2, axis=1)
    b_PxH, c_HxP = b_re + 1j * b_im, c_re - 1j * minus_c_im
    lam = p["lambda_re"] + 1j * p["lambda_im"]
    if m.clip_eigenvalues:
        lam = np.minimum(lam.real, -1e-4) + 1j * lam.imag
    dt = m.step_rescale * np.exp(p["log_step"])
    if m.discretization == "zoh":
        lam_bar = np.exp(lam * dt)
        b_bar = ((lam_bar - 1) / lam)[:, None] * b_PxH
    else:
        lam_bar = (1 + dt / 2 * lam) / (1 - dt / 2 * lam)
        b_bar = (dt / (1 - dt / 2 * lam))[:, None] * b_PxH

    first_re, first_im = np.split(p.get("reset_state", np.zeros(2 * len(lam))), 2)
    first = first_re + 1j * first_im

    u_TxBxH = layer_norm(x_TxBxH, p["layer_norm"]) if m.norm == "pre" else x_TxBxH
    z_TxBxH, state = np.empty_like(u_TxBxH), state_BxP
    for t in range(len(u_TxBxH)):
        state = np.where(start_TxB[t][:, None], first, state) * lam_bar + u_TxBxH[t] @ b_bar.T
        z_TxBxH[t] = (2 if m.conj_sym else 1) * (state @ c_HxP.T).real + p["d"] * u_TxBxH[t]

    z = layer_norm(z_TxBxH, p["layer_norm"]) if m.norm == "gate" else z_TxBxH
    g = gelu(z)
    if m.glu != "none":
        gated = g @ p["gate"]["kernel"] + p["gate"]["bias"]
        first = {"full": gated[..., :H], "half1": g, "half2": z}[m.glu]
        g = first * sigmoid(gated[..., -H:])
    y = x_TxBxH + g
    return state, layer_norm(y, p["layer_norm"]) if m.norm == "post" else y


def published_model(params, state, x_TxBxF, start_TxB, m: S5):
    params = jax.tree.map(lambda v: np.asarray(v, np.float64), params)
    y = np.asarray(x_TxBxF, np.float64)
    if "embed" in params:
        y = y @ params["embed"]["kernel"] + params["embed"]["bias"]
    states = []
    for i in range(m.num_layers):
        p = jax.tree.map(lambda v, i=i: v[i], params["layers"])
        re, im = np.split(np.asarray(state[i], np.float64), 2, axis=-1)
        last, y = published_layer(p, y, re + 1j * im, np.asarray(start_TxB), m)
        states.append(np.concatenate([last.real, last.imag], axis=-1))
    return tuple(states), y


def drawn(m: S5, num_steps: int, width: int):
    """Return parameters, a state, x and starts, all drawn: nothing hides behind zeros."""
    rng = np.random.default_rng(0)
    x_TxBxF = rng.normal(size=(num_steps, B, width)).astype("float32")
    start_TxB = rng.random((num_steps, B)) < 0.3
    state = tuple(rng.normal(size=h.shape).astype("float32") for h in m.initial_state((B,)))
    init = partial(m.init, method="scan")
    shapes = jax.eval_shape(init, jax.random.key(0), state, x_TxBxF, start_TxB)["params"]
    params = jax.tree.map(lambda v: rng.normal(0, 0.5, v.shape).astype("float32"), shapes)
    params["layers"]["log_step"] -= 3
    if not m.clip_eigenvalues:  # with clipping, about half of the real parts are above zero
        params["layers"]["lambda_re"] = -np.abs(params["layers"]["lambda_re"])
    return params, state, x_TxBxF, start_TxB


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "pre", "glu": "half1", "discretization": "bilinear"},
        {"norm": "post", "glu": "half2", "c_init": "trunc_standard_normal", "blocks": 2},
        {"norm": "gate", "glu": "none", "c_init": "complex_normal", "conj_sym": False},
        {"clip_eigenvalues": True, "step_rescale": 3.0, "unroll": 2},
        {"norm": "pre", "learned_start": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "published",
)
def test_equals_the_published_model(options):
    m = S5(features=H, state_size=N, num_layers=L, **options)
    width = H if not options else F  # the published model has no input layer of its own
    params, state, x_TxBxF, start_TxB = drawn(m, T, width)
    assert ("embed" in params) == (width != H)
    got = jax.jit(partial(m.apply, method="scan"))({"params": params}, state, x_TxBxF, start_TxB)
    want = published_model(params, state, x_TxBxF, start_TxB, m)
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert np.abs(g - w).max() <= 2e-5 * np.abs(w).max()


@pytest.mark.parametrize("implementation", ["sequential", "associative"])
def test_learned_start_and_resets_which_the_released_scan_of_r2i_gets_wrong(implementation):
    """Against one step after the other in double precision, with R2I's own settings of S5.

    Its scan resets one step early, and adds the learnt state anew each time that a segment which
    has been reset is joined to an earlier one.
    """
    m = S5(
        features=H, state_size=N, num_layers=L, blocks=2, conj_sym=False, norm="post",
        discretization="bilinear", learned_start=True, implementation=implementation,
    )  # fmt: skip
    params, state, x, start = drawn(m, 16, H)
    start[0] = [True, False]  # of one row the carried state counts, of the other the learnt one
    assert (start[1:].sum(axis=0) > 2).all()

    def weighted(run, reset_state):
        last, y = run({**params, "layers": {**params["layers"], "reset_state": reset_state}})
        return (y * np.cos(np.arange(y.size)).reshape(y.shape)).sum() + sum(h.sum() for h in last)

    scan = jax.jit(lambda p: m.apply({"params": p}, state, x, start, method="scan"))
    for starts, right in ((start, True), (np.roll(start, -1, axis=0), False)):
        want = published_model(params, state, x, starts, m)
        for g, w in zip(jax.tree.leaves(scan(params)), jax.tree.leaves(want), strict=True):
            assert (np.abs(g - w).max() <= 2e-5 * np.abs(w).max()) == right

    first = params["layers"]["reset_state"]
    along = np.random.default_rng(1).normal(size=first.shape)
    slope = (jax.grad(partial(weighted, scan))(first) * along).sum()
    by_steps = partial(weighted, lambda p: published_model(p, state, x, start, m))
    up, down = (by_steps(first.astype(float) + sign * 1e-5 * along) for sign in (1, -1))
    np.testing.assert_allclose(slope, (up - down) / 2e-5, rtol=1e-4)


def test_learned_start_adds_one_parameter_and_changes_no_other():
    def params(**options):
        m = S5(features=H, state_size=N, num_layers=L, **options)
        inputs = m.initial_state((B,)), jnp.zeros((B, F)), jnp.zeros((B,), bool)
        return m.init(jax.random.key(0), *inputs, method="step")["params"]

    with_it = params(learned_start=True)
    reset_state = with_it["layers"].pop("reset_state")
    np.testing.assert_array_equal(reset_state, np.zeros((L, N)))  # as without it, at first
    jax.tree.map(np.testing.assert_array_equal, with_it, params())


def test_scan_stacks_no_states_that_nobody_asked_for():
    m = S5(features=H, state_size=N, num_layers=L)
    state, x, start = m.initial_state((B,)), jnp.zeros((T, B, H)), jnp.zeros((T, B), bool)
    init = partial(m.init, method="scan")
    variables = jax.eval_shape(init, jax.random.key(0), state, x, start)

    def program(**options):
        run = jax.jit(lambda *inputs: m.apply(*inputs, **options))
        return run.lower(variables, state, x, start).as_text()

    stacked = f"tensor<{L}x{T}x{B}x{N}xf32>"
    assert stacked in program(every=1, method="scan_states")
    assert stacked not in program(method="scan")


def test_number_of_parameters_in_the_published_configuration():
    m = S5()
    shapes = jax.eval_shape(
        partial(m.init, method="scan"),
        *(
            jax.random.key(0),
            m.initial_state((1,)),
            jnp.zeros((1, 1, 256)),
            jnp.zeros((1, 1), bool),
        ),
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 1_053_184
    assert [h.shape for h in m.initial_state((3,))] == 4 * [(3, 256)]


def test_hippo_normal_is_the_normal_part_of_legs():
    n, k = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    legs = np.where(n > k, np.sqrt((2 * n + 1) * (2 * k + 1)), np.where(n == k, n + 1, 0.0))
    low_rank = np.sqrt(np.arange(16) + 0.5)
    eigenvalues, v = hippo_normal(16)
    np.testing.assert_allclose(
        v @ np.diag(eigenvalues) @ v.conj().T, np.outer(low_rank, low_rank) - legs, atol=1e-12
    )
    assert (eigenvalues.real == -0.5).all()
    np.testing.assert_allclose(v.conj().T @ v, np.eye(16), atol=1e-12)


def test_blocks_keep_the_half_below_the_real_axis():
    eigenvalues, v = blocks_of_hippo(16, 2, True)
    one, v_one = hippo_normal(8)
    assert (one[:4].imag < 0).all()
    np.testing.assert_array_equal(eigenvalues, [*one[:4], *one[:4]])
    assert v.shape == (16, 8)
    np.testing.assert_array_equal(v[8:, 4:], v_one[:, :4])
    assert not v[8:, :4].any()


@pytest.mark.parametrize("kind", C_INITS)
def test_read_out_has_the_published_variance(kind):
    features, states = 48, 64
    _, v = blocks_of_hippo(states, 1, True)
    c = np.asarray(init_c(jax.random.key(0), kind, v, features))
    assert c.shape == (states, features)  # 2P = N numbers of P = N / 2 states
    # E |C|²: a fan-in of H N, or of N row by row, real and imaginary part each, V orthonormal
    want = {
        "lecun_normal": 2 / (features * states),
        "trunc_standard_normal": 2 / states,
        "complex_normal": 1.0,
    }[kind]
    np.testing.assert_allclose((c**2).sum() / (features * states / 2), want, rtol=0.1)


def test_input_and_output_matrices_are_carried_into_the_eigenbasis():
    features, states = 48, 64
    _, v = blocks_of_hippo(states, 1, False)
    key, lecun = jax.random.key(0), jax.nn.initializers.lecun_normal()

    b_re, b_im = np.split(np.asarray(init_b(key, v, features)).T, 2)
    drawn = lecun(key, (states, features))
    np.testing.assert_allclose(v @ (b_re + 1j * b_im), drawn, atol=1e-5)
    np.testing.assert_allclose(drawn.var(), 1 / states, rtol=0.1)

    c_re, minus_c_im = np.split(np.asarray(init_c(key, "lecun_normal", v, features)).T, 2, 1)
    drawn = np.asarray(lecun(key, (features, states, 2)))
    want = drawn[..., 0] + 1j * drawn[..., 1]
    np.testing.assert_allclose((c_re - 1j * minus_c_im) @ v.conj().T, want, atol=1e-6)


def test_time_steps_begin_between_their_bounds():
    dt = np.exp(init_log_step(jax.random.key(0), 0.01, 0.1, 2000))
    assert dt.min() >= 0.00999
    assert dt.max() <= 0.10001
    np.testing.assert_allclose(np.median(np.log(dt)), np.log(0.01 * 0.1) / 2, atol=0.1)


def test_layers_begin_different():
    m = S5(features=H, state_size=N, num_layers=2)
    init = jax.jit(partial(m.init, method="step"))
    params = init(
        jax.random.key(0), m.initial_state((B,)), jnp.zeros((B, H)), jnp.zeros((B,), bool)
    )["params"]["layers"]
    for name in ("b", "c", "d", "log_step"):
        assert (params[name][0] != params[name][1]).all(), name
    assert (params["lambda_im"][0] == params["lambda_im"][1]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discretization": "zho"}, "there is no discretization 'zho'; did you mean 'zoh'"),
        ({"norm": "batch"}, "there is no norm 'batch'; known are gate, none, post, pre"),
        ({"glu": "half"}, "there is no glu 'half'; did you mean 'half1' or 'half2'"),
        ({"c_init": "lecun"}, "there is no c_init 'lecun'; did you mean 'lecun_normal'"),
        (
            {"implementation": "sequental"},
            "no implementation 'sequental'; did you mean 'sequential'",
        ),
        ({"state_size": 10, "blocks": 3}, "blocks=3 must divide state_size=10"),
        ({"state_size": 10, "blocks": 2}, "gives an odd 5"),
        ({"state_size": 0}, "state_size must be at least 1, but is 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, but is 0"),
        ({"learned_start": True, "resets": False}, "learned_start=True needs resets=True"),
        ({"dt_min": 0.2}, "0 < dt_min <= dt_max must hold, but they are 0.2 and 0.1"),
    ],
)
def test_mistakes_end_in_one_sentence(options, message):
    with pytest.raises(UsageError, match=message) as error:
        S5(**options)
    assert "\n" not in str(error.value)
    S5(state_size=5, conj_sym=False)  # odd sizes are fine without the symmetry


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_derivative_of_the_gate(monkeypatch, backend):
    """Written by hand, in one form for CPUs and one for others."""
    x_TxBx2H = jax.random.normal(jax.random.key(0), (T, B, 2 * H))

    def plain(x):
        v, g = jnp.split(x, 2, axis=-1)
        return v * jax.nn.sigmoid(g)

    def slope(function):
        return jax.grad(lambda x: jnp.sum(jnp.sin(function(x))))(x_TxBx2H)

    want = slope(plain)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    np.testing.assert_allclose(slope(_gated_linear_unit), want, rtol=1e-5, atol=1e-6)


def test_the_short_step_of_a_gpu_equals_the_ordinary_one(monkeypatch):
    m = S5(features=H, state_size=N, num_layers=L, norm="pre", learned_start=True)
    state = jax.tree.map(lambda h: h + 0.5, m.initial_state((B,)))
    x, start = jax.random.normal(jax.random.key(1), (B, H)), jnp.array([True, False])
    params = m.init(jax.random.key(0), state, x, start, method="step")
    params["params"]["layers"]["reset_state"] += 0.7
    want = m.apply(params, state, x, start, method="step")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    prepared = m.apply(params, method="prepare")
    assert prepared[0].direct_HxH is not None
    got = m.apply(params, state, x, start, prepared=prepared, method="step")
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


def test_without_resets_the_states_go_on():
    """A start changes nothing: scan and step give what they give where none is."""
    m = S5(features=H, state_size=N, num_layers=L, resets=False)
    x = jax.random.normal(jax.random.key(1), (T, B, H))
    state = jax.tree.map(lambda h: h + 0.5, m.initial_state((B,)))
    start, no_start = jnp.arange(T * B).reshape(T, B) % 3 == 1, jnp.zeros((T, B), bool)
    params = m.init(jax.random.key(0), state, x, start, method="scan")
    for method, time in (("scan", slice(None)), ("step", 0)):
        run = jax.jit(partial(m.apply, method=method))
        got, want = (run(params, state, x[time], s[time]) for s in (start, no_start))
        reset = m.clone(resets=True).apply(params, state, x[time], start[time], method=method)
        for g, w, r in zip(*map(jax.tree.leaves, (got, want, reset)), strict=True):
            np.testing.assert_array_equal(g, w)
            assert (g != r).any()


def test_bfloat16_layers_keep_float32_states():
    m = S5(features=H, state_size=N, num_layers=L)
    x = jax.random.normal(jax.random.key(1), (T, B, H))
    start, state = jnp.zeros((T, B), bool), m.initial_state((B,))
    params = m.init(jax.random.key(0), state, x, start, method="scan")
    want_state, want = m.apply(params, state, x, start, method="scan")
    got_state, got = m.apply(params, state, x.astype(jnp.bfloat16), start, method="scan")
    assert got.dtype == jnp.bfloat16
    assert all(h.dtype == jnp.float32 for h in got_state)
    np.testing.assert_allclose(got.astype("float32"), want, atol=0.05)
    for g, w in zip(got_state, want_state, strict=True):
        np.testing.assert_allclose(g, w, atol=0.05)
