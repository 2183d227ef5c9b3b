"""What else the recurrence promises: isolation, batching, second derivatives, memory, errors."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxprs_in_params

from benchmarks.recurrence import published, three_element
from ssmrl.errors import UsageError
from ssmrl.scan import IMPLEMENTATIONS, implementations, linear_scan

PORTABLE = [name for name in IMPLEMENTATIONS if name != "mosaic"]  # which has its own tests
T, B, P = 6, 2, 3
INF_AT, RESET_AT = 1, 4  # row 0 becomes infinite and resets later; row 1 stays finite


def planar_problem(num_steps=T, seed=0):
    rng = np.random.default_rng(seed)
    shape = (num_steps, B, 2 * P)
    a, b, initial_state = (rng.normal(size=s) for s in (2 * P, shape, shape[1:]))
    start = rng.random(shape[:2]) < 0.2
    return *(jnp.asarray(v, jnp.float32) for v in (a / 2, b, initial_state)), jnp.asarray(start)


def as_complex(planar):
    re, im = np.split(np.asarray(planar, np.float64), 2, axis=-1)
    return re + 1j * im


@pytest.mark.parametrize("operator", [published, three_element])
@pytest.mark.parametrize("implementation", PORTABLE)
def test_equals_the_published_three_element_operator(implementation, operator):
    """Lu et al. 2023, section 3.1, and as their code writes it."""
    a, b, initial_state, start = planar_problem()
    scan = jax.jit(partial(linear_scan, planar=True, implementation=implementation))
    got = scan(a, b, start, initial_state=initial_state)
    values = (as_complex(v).astype("complex64") for v in (a, b, initial_state))
    coefficients, inputs, state = map(jnp.asarray, values)
    want = jax.jit(operator)(coefficients, inputs, start, state)
    np.testing.assert_allclose(as_complex(got), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("varies", [False, True], ids=["constant", "varying"])
@pytest.mark.parametrize("source", ["b", "initial_state"])
def test_sequential_keeps_a_non_finite_state_in_its_episode(source, varies):
    a, b, initial_state, _ = planar_problem()
    start = jnp.zeros((T, B), bool).at[RESET_AT, 0].set(True)
    a = jnp.broadcast_to(a, b.shape) if varies else a
    if source == "b":
        b = b.at[INF_AT, 0].set(jnp.inf)
    else:
        initial_state = initial_state.at[0].set(jnp.inf)

    def loss(a, b, initial_state):
        x = linear_scan(
            a, b, start, initial_state=initial_state, planar=True, implementation="sequential"
        )
        return jnp.sum(x[RESET_AT:] ** 2), x

    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (value, x), gradients = gradient(a, b, initial_state)
    assert not jnp.isfinite(x[RESET_AT - 1, 0]).any()  # else nothing was put to the test
    assert jnp.isfinite(value)
    for gradient in gradients:
        assert jnp.isfinite(gradient).all()
    assert not gradients[1][:RESET_AT, 0].any()
    assert gradients[1][RESET_AT:].all()


def test_reset_state_meets_only_the_steps_that_start():
    a, b, _, _ = planar_problem()
    start = jnp.zeros((T, B), bool).at[RESET_AT].set(True)
    a = jnp.broadcast_to(a, b.shape).at[INF_AT].set(jnp.inf)

    @jax.jit
    def slope(reset_state, start):
        def loss(reset_state):
            x = linear_scan(
                a, b, start, reset_state=reset_state, planar=True, implementation="sequential"
            )
            return x[RESET_AT:].sum() + x[0].sum()

        return jax.value_and_grad(loss)(reset_state)

    value, d_reset_state = slope(jnp.ones(2 * P), start)
    assert jnp.isfinite(value)
    assert jnp.isfinite(d_reset_state).all()
    assert d_reset_state.all()
    only_first = jnp.zeros((T, B), bool).at[0, 0].set(True)
    x = linear_scan(a, b, only_first, reset_state=jnp.full((B, 2 * P), jnp.nan).at[0].set(1.0))
    assert jnp.isfinite(x[0]).all()


def gradients(v, implementation):
    def loss(a, b, initial_state):
        x = linear_scan(
            *(a, b, v["start"]),
            initial_state=initial_state,
            planar=True,
            implementation=implementation,
        )
        return jnp.sum(jnp.sin(x)), x

    return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(v["a"], v["b"], v["initial_state"])


gradients_of_one = jax.jit(gradients, static_argnames="implementation")


@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize("mapped", ["a", "b", "start", "initial_state", "all"])
def test_vmap_equals_a_loop(implementation, mapped):
    names = ["a", "b", "initial_state", "start"]
    arrays = dict(zip(names, planar_problem(), strict=True))
    for i, name in enumerate(names):
        if mapped in (name, "all"):
            arrays[name] = jnp.stack([planar_problem(seed=seed)[i] for seed in range(2)])
    axes = {name: 0 if mapped in (name, "all") else None for name in names}

    batched = jax.vmap(partial(gradients, implementation=implementation), in_axes=(axes,))
    got = jax.jit(batched)(arrays)
    for i in range(2):
        one = {k: v if axes[k] is None else v[i] for k, v in arrays.items()}
        want = gradients_of_one(one, implementation=implementation)
        for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(g[i], w, rtol=1e-5, atol=1e-5)


def plain_loop(a, b, start, initial_state):
    """Real recurrence under JAX's own derivatives."""

    def step(x, inputs):
        a_t, b_t, start_t = inputs
        x = a_t * jnp.where(start_t[:, None], 0, x) + b_t
        return x, x

    return lax.scan(step, initial_state, (jnp.broadcast_to(a, b.shape), b, start))[1]


@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize("varies", [False, True], ids=["constant", "varying"])
def test_second_derivatives(implementation, varies):
    a, b, initial_state, start = planar_problem()
    a = jnp.cos(b) if varies else a
    w = jnp.cos(2 * b).at[-2:].set(0)  # cotangents of zero must not cut the second derivatives

    def curvature(scan):
        def slope(*args):
            gradient = jax.grad(lambda a, b, h, w: jnp.sum(scan(a, b, h) * w), argnums=(0, 1, 2))
            return sum(jnp.sum(jnp.cos(g + 1.0)) for g in gradient(*args))

        return jax.jit(jax.grad(slope, argnums=(0, 1, 2, 3)))(a, b, initial_state, w)

    got = curvature(
        lambda a, b, h: linear_scan(a, b, start, initial_state=h, implementation=implementation)
    )
    want = curvature(lambda a, b, h: plain_loop(a, b, start, h))
    assert want[3][-1].any()
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", PORTABLE)
def test_reverse_equals_time_turned_round(implementation):
    a, b, initial_state, start = planar_problem()
    run = jax.jit(IMPLEMENTATIONS[implementation].scan, static_argnames=("planar", "reverse"))
    a_TxBxN = jnp.cos(b)
    for a_first, a_last in ((a[None], a[None]), (a_TxBxN, a_TxBxN[::-1])):
        got = run(a_first, b, start, initial_state, planar=True, reverse=True)
        want = run(a_last, b[::-1], start[::-1], initial_state, planar=True, reverse=False)
        np.testing.assert_allclose(got, want[::-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("implementation", PORTABLE)
def test_cotangent_may_be_the_states_themselves(implementation):
    a, b, _, start = planar_problem()

    @jax.jit
    def both(a, b):
        x, backward = jax.vjp(
            lambda a, b: linear_scan(a, b, start, planar=True, implementation=implementation), a, b
        )
        return backward(x), backward(x + 0.0 * b)

    for same, other in zip(*both(a, b), strict=True):
        np.testing.assert_allclose(same, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize("kind", ["real", "planar"])
def test_backward_keeps_the_states_alone(implementation, kind):
    a, b, initial_state, start = planar_problem(64)

    def residual_elements(scan):
        backward = jax.eval_shape(lambda *v: jax.vjp(scan, *v)[1], a, b, initial_state)
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    kept = residual_elements(
        lambda a, b, h: linear_scan(
            a, b, start, initial_state=h, planar=kind == "planar", implementation=implementation
        )
    )
    x, small = b.size, a.size + start.size + initial_state.size
    assert x <= kept <= x + small
    run = IMPLEMENTATIONS[implementation].scan
    plain = residual_elements(
        lambda a, b, h: run(a[None], b, start, h, planar=kind == "planar", reverse=False)
    )
    assert plain > x + small, "the count does not see residuals"


def test_sequential_never_repeats_a_constant_coefficient_along_time():
    a, b, initial_state, start = planar_problem()
    jaxpr = jax.make_jaxpr(partial(linear_scan, planar=True, implementation="sequential"))(
        a, b, start, initial_state=initial_state
    )
    of_b = [str(v.aval) for eqn in equations(jaxpr.jaxpr) for v in eqn.outvars]
    assert of_b.count(f"float32[{T},{B},{2 * P}]") == 2  # the loop's output, and the call's


def equations(jaxpr):
    """Yield the equations of a jaxpr and of those called by it, but not of loop bodies."""
    for eqn in jaxpr.eqns:
        yield eqn
        if eqn.primitive.name != "scan":
            for inner in jaxprs_in_params(eqn.params):
                yield from equations(inner)


def zeros(*shape, dtype="float32"):
    return jnp.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("backend", "capability", "planar", "expected"),
    [
        ("cpu", None, True, "sequential"),
        ("tpu", None, True, "associative"),
        ("gpu", "8.0", True, "associative"),
        ("gpu", "9.0", True, "mosaic"),
        ("gpu", "9.0", False, "associative"),
    ],
)
def test_choice_follows_the_device(monkeypatch, backend, capability, planar, expected):
    device = SimpleNamespace(compute_capability=capability) if capability else SimpleNamespace()
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    chosen = implementations.choose(None, zeros(4), zeros(5, 2, 4), planar)
    assert chosen is IMPLEMENTATIONS[expected]


@pytest.mark.parametrize(
    ("a", "b", "planar", "reason"),
    [
        (zeros(4), zeros(5, 2, 4), False, "planar float32 or bfloat16 inputs, not float32"),
        (zeros(4), zeros(5, 2, 4, dtype="float16"), True, "not planar float16"),
        (zeros(5, 2, 4), zeros(5, 2, 4), True, "constant in time"),
        (zeros(4), zeros(5, 2, 4), True, "needs an NVIDIA GPU"),
    ],
)
def test_the_kernel_says_why_it_cannot_run(monkeypatch, a, b, planar, reason):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(UsageError, match=f"'mosaic' cannot run here: .*{reason}"):
        implementations.choose("mosaic", a, b, planar)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((zeros(4), zeros(4)), {}, r"b must be \[T, ..., N\]"),
        ((zeros(4), zeros(0, 4)), {}, "at least one step"),
        ((zeros(3), zeros(5, 2, 4)), {}, r"a must have shape \(4,\)"),
        ((zeros(5, 1, 4), zeros(5, 2, 4)), {}, "a must have shape"),
        ((zeros(4, dtype=int), zeros(5, 2, 4, dtype=int)), {}, "floating or complex"),
        ((zeros(4), zeros(5, 2, 4), zeros(5, 2)), {}, "start must be bool, but is float32"),
        ((zeros(4), zeros(5, 2, 4), zeros(5, dtype=bool)), {}, r"start must .* \(5, 2\)"),
        ((zeros(3), zeros(5, 2, 3)), {"planar": True}, "even last axis"),
        ((zeros(4), zeros(5, 2, 4, dtype=complex)), {"planar": True}, "planar=True takes real"),
        ((zeros(4), zeros(5, 2, 4)), {"initial_state": zeros(3, 4)}, "initial_state must broad"),
        ((zeros(4), zeros(5, 2, 4)), {"reset_state": zeros(5, 2, 4)}, "reset_state must broad"),
        (
            (zeros(4), zeros(5, 2, 4)),
            {"implementation": "asociative"},
            "did you mean 'associative'",
        ),
    ],
)
def test_mistakes_end_in_one_sentence(args, options, message):
    with pytest.raises(UsageError, match=message) as error:
        linear_scan(*args, **options)
    assert "\n" not in str(error.value)
