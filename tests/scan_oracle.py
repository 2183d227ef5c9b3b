"""The recurrence as loops in double precision, against which implementations are held."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.scan import linear_scan

BATCH, STATES = 2, 3


class Problem(NamedTuple):
    """Complex128 or float64 arrays: a is [N] or [T, B, N], w the cotangent of all states."""

    a: np.ndarray
    b: np.ndarray
    start: np.ndarray
    initial_state: np.ndarray
    reset_state: np.ndarray
    w: np.ndarray


def draw_problem(
    seed, num_steps, *, is_complex, varies, density, forced, num_states=STATES
) -> Problem:
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if is_complex else 0)

    shape = (num_steps, BATCH, num_states)
    angle = rng.uniform(-np.pi, np.pi, shape if varies else num_states)
    unit = np.exp(1j * angle) if is_complex else np.sign(angle)
    start = rng.random((num_steps, BATCH)) < density
    for t, row in forced:
        start[t % num_steps, row] = True
    return Problem(
        a=rng.uniform(0.5, 1.0, angle.shape) * unit,
        b=normal(*shape),
        start=start,
        initial_state=normal(BATCH, num_states),
        reset_state=normal(num_states),
        w=normal(*shape),
    )


def reference(p: Problem) -> dict[str, np.ndarray]:
    """Loop forwards for the states, backwards for the gradients of Re sum(conj(w) x)."""
    a = np.broadcast_to(p.a, p.b.shape)
    before, x = np.empty_like(p.b), np.empty_like(p.b)
    last = p.initial_state
    for t in range(len(a)):
        before[t] = np.where(p.start[t][:, None], p.reset_state, last)
        x[t] = last = a[t] * before[t] + p.b[t]

    db, d_reset = np.empty_like(p.b), np.zeros_like(p.reset_state)
    d_state = np.zeros_like(p.initial_state)
    for t in reversed(range(len(a))):
        db[t] = p.w[t] + d_state
        through = np.conj(a[t]) * db[t]
        d_reset += through[p.start[t]].sum(0)
        d_state = np.where(p.start[t][:, None], 0, through)
    da = db * np.conj(before)
    da = da.sum((0, 1)) if p.a.ndim == 1 else da
    return {"x": x, "a": da, "b": db, "initial_state": d_state, "reset_state": d_reset}


@partial(jax.jit, static_argnames=("planar", "implementation"))
def states_and_gradients(p: Problem, *, planar, implementation):
    def loss(a, b, initial_state, reset_state):
        x = linear_scan(
            *(a, b, p.start),
            initial_state=initial_state,
            reset_state=reset_state,
            planar=planar,
            implementation=implementation,
        )
        return jnp.sum((jnp.conj(p.w) * x).real), x

    gradient = jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True)
    (da, db, d_state, d_reset), x = gradient(p.a, p.b, p.initial_state, p.reset_state)
    return {"x": x, "a": da, "b": db, "initial_state": d_state, "reset_state": d_reset}


def to_kind(array, kind):
    if array.dtype == bool:
        return array
    if kind == "planar":
        array = np.concatenate([array.real, array.imag], axis=-1)
    return array.astype(np.complex64 if kind == "complex" else np.float32)


def from_kind(name, array, kind):
    array = np.asarray(array)
    if kind == "planar":
        re, im = np.split(array.astype(np.float64), 2, axis=-1)
        return re + 1j * im
    # jax.grad gives the conjugate of the gradient with respect to a complex number
    return array.conj() if kind == "complex" and name != "x" else array


def assert_near(name, got, want):
    error = np.abs(got - want).max()
    assert error <= 1e-4 * np.abs(want).max(), f"{name}: {error} of {np.abs(want).max()}"


def check(implementation, kind, problem):
    arrays = Problem(*(to_kind(array, kind) for array in problem))
    got = states_and_gradients(arrays, planar=kind == "planar", implementation=implementation)
    want = reference(problem)
    for name in want:
        assert_near(name, from_kind(name, got[name], kind), want[name])


def check_half_precision(implementation):
    """Inputs and states may be bfloat16, but what is carried from step to step is float32."""
    num_steps = 304
    b = jnp.full((num_steps, 1, 6), 0.01, jnp.bfloat16)
    a, h = jnp.array([0.999, 1.0, 0.5, 0.0, 0.0, 0.0]), jnp.ones((1, 6))
    start = jnp.zeros((num_steps, 1), bool).at[200].set(True)

    @partial(jax.jit, static_argnames="dtype")
    def states_and_gradients(dtype):
        def loss(a, b, h):
            x = linear_scan(
                *(a, b.astype(dtype), start),
                initial_state=h,
                planar=True,
                implementation=implementation,
            )
            return jnp.sum(x.astype("float32") @ jnp.arange(6.0)), x

        gradients, x = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(a, b.astype("float32"), h)
        return x, *gradients

    got, want = states_and_gradients(jnp.bfloat16), states_and_gradients(jnp.float32)
    assert got[0].dtype == jnp.bfloat16
    for g, w in zip(got, want, strict=True):
        # A state of bfloat16 would stop growing at 1.3, where 0.01 is less than half a digit.
        np.testing.assert_allclose(np.asarray(g, "float32"), w, rtol=0.01, atol=1e-3)
