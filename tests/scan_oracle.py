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
