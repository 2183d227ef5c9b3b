"""The recurrence to be timed: a problem, operators to compare with, and a loop in float64."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ssmrl.scan import IMPLEMENTATIONS, linear_scan
from ssmrl.scan import planar as pl

Scan = Callable[..., jax.Array]  # (a, b, start, initial_state) -> x
RESETS = 0.02  # share of steps that start an episode
DIRECTIONS = {False: "forward", True: "forward+backward"}


class Problem(NamedTuple):
    """Coefficients [2N], inputs [T, B, 2N], flags [T, B], first state [B, 2N], cotangent of x.

    Planar float32, or complex64 with N in the place of 2N.
    """

    a: jax.Array
    b: jax.Array
    start: jax.Array
    initial_state: jax.Array
    w: jax.Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return T, B and N of a planar problem."""
        num_steps, batch, width = self.b.shape
        return num_steps, batch, width // 2

    def forward(self) -> tuple:
        """Return the arguments of a scan."""
        return self[:4]

    def as_complex(self) -> "Problem":
        """Return the same in complex64, with the cotangent in JAX's convention, conjugated."""
        a, b, initial_state, w = map(pl.to_complex, (self.a, self.b, self.initial_state, self.w))
        return Problem(a, b, self.start, initial_state, jnp.conj(w))


@partial(jax.jit, static_argnums=(0, 1, 2))
def draw_problem(num_steps: int, batch: int, states: int) -> Problem:
    """Draw coefficients that keep 0.9 to 1 of a state, and resets at random."""
    keys = jax.random.split(jax.random.key(0), 6)
    radius = jax.random.uniform(keys[0], (states,), minval=0.9, maxval=1.0)
    angle = jax.random.uniform(keys[1], (states,), minval=-np.pi, maxval=np.pi)
    shape = (num_steps, batch, 2 * states)
    return Problem(
        a=pl.join((radius * jnp.cos(angle), radius * jnp.sin(angle))),
        b=jax.random.normal(keys[2], shape),
        start=jax.random.bernoulli(keys[3], RESETS, shape[:2]),
        initial_state=jax.random.normal(keys[4], shape[1:]),
        w=jax.random.normal(keys[5], shape),
    )


def published(a: jax.Array, b: jax.Array, start: jax.Array, initial_state: jax.Array):
    """Scan (A, b, reset) as the code of Lu et al. 2023 does: resets are floats that weigh both."""

    def combine(earlier, later):
        (a_i, b_i, c_i), (a_j, b_j, c_j) = earlier, later
        keep = 1 - c_j
        return (
            a_j * a_i * keep + a_j * c_j,
            (a_j * b_i + b_j) * keep + b_j * c_j,
            c_i * keep + c_j,
        )

    return _with_resets(combine, a, b, start.astype(jnp.float32), initial_state)


def three_element(a: jax.Array, b: jax.Array, start: jax.Array, initial_state: jax.Array):
    """Scan (A, b, reset) with the operator of Lu et al. 2023, section 3.1: resets select."""

    def combine(earlier, later):
        (a_i, b_i, c_i), (a_j, b_j, c_j) = earlier, later
        return (
            jnp.where(c_j, a_j, a_j * a_i),
            jnp.where(c_j, b_j, a_j * b_i + b_j),
            c_i | c_j,
        )

    return _with_resets(combine, a, b, start, initial_state)


def _with_resets(combine: Callable, a, b, start, initial_state):
    """Scan (A, b, reset); the first state goes in front as the input of a step of its own."""
    b = jnp.concatenate([initial_state[None], b])
    start = jnp.concatenate([jnp.zeros_like(start[:1]), start])[..., None]
    return lax.associative_scan(combine, (jnp.broadcast_to(a, b.shape), b, start))[1][1:]


def folded(a: jax.Array, b: jax.Array, start: jax.Array, initial_state: jax.Array):
    """Scan (keep A, b) with the ordinary operator, in complex64."""

    def combine(earlier, later):
        (a_i, b_i), (a_j, b_j) = earlier, later
        return a_j * a_i, a_j * b_i + b_j

    a = jnp.where(start[..., None], 0, jnp.broadcast_to(a, b.shape))
    b = b.at[0].add(a[0] * initial_state)
    return lax.associative_scan(combine, (a, b))[1]


REFERENCES: dict[str, Scan] = {
    "published": published,
    "three-element": three_element,
    "folded": folded,
}


def scans(problem: Problem, names: Iterable[str]) -> Iterator[tuple[str, Scan, Problem]]:
    """Yield the references, in complex64 under plain autodiff, and the library's scans."""
    for name, reference in REFERENCES.items():
        yield name, reference, problem.as_complex()
    for name in names:
        yield name, of_library(name), problem


def of_library(name: str) -> Scan:
    """Return ``linear_scan`` as S5 calls it, by one implementation."""

    def scan(a: jax.Array, b: jax.Array, start: jax.Array, initial_state: jax.Array) -> jax.Array:
        return linear_scan(
            a, b, start, initial_state=initial_state, planar=True, implementation=name
        )

    return scan


def implementations(sequential: bool) -> list[str]:
    """Return the library's, without the sequential one where that takes 20 us a step."""
    sensible = sequential or jax.default_backend() == "cpu"
    return [name for name in IMPLEMENTATIONS if sensible or name != "sequential"]


def gradients(scan: Scan) -> Callable[..., tuple[jax.Array, ...]]:
    """Return the derivative of sum(w x) by a, b and the first state, as a function of a problem."""

    def gradient(a, b, start, initial_state, w):
        def states(a, b, initial_state):
            return scan(a, b, start, initial_state)

        return jax.vjp(states, a, b, initial_state)[1](w)

    return gradient


def floor_bytes(num_steps: int, batch: int, states: int, backward: bool) -> int:
    """Return the bytes that have to be moved at the least, with a coefficient constant in time.

    A complex element is 8 B. Forward reads b and writes x: 16 B, and 1 B of ``start`` per row.
    Backward reads the cotangent and x, and writes that of b: 24 B, and ``start`` again.
    """
    rows = num_steps * batch
    return rows * (states * 40 + 2) if backward else rows * (states * 16 + 1)


def in_float64(problem: Problem) -> tuple[np.ndarray, ...]:
    """Return x and the gradients by a, b and the first state from loops over time in float64."""
    a, b, h, w = (_to_complex(v) for v in (problem.a, problem.b, problem.initial_state, problem.w))
    keep = ~np.asarray(problem.start)[..., None]
    before, x = np.empty_like(b), np.empty_like(b)
    for t in range(len(b)):
        before[t] = keep[t] * (x[t - 1] if t else h)
        x[t] = a * before[t] + b[t]
    db, carried = np.empty_like(b), np.zeros_like(h)
    for t in reversed(range(len(b))):
        db[t] = w[t] + carried
        carried = keep[t] * np.conj(a) * db[t]
    return x, (db * np.conj(before)).sum((0, 1)), db, carried


def relative_errors(scan: Scan, problem: Problem, exact: tuple[np.ndarray, ...]) -> list[float]:
    """Return the largest error of x and of each gradient, relative to the largest number."""
    x = jax.jit(scan)(*problem.forward())
    found = [_to_complex(v) for v in (x, *jax.jit(gradients(scan))(*problem))]
    if jnp.iscomplexobj(x):  # JAX's gradients by complex numbers are conjugated
        found[1:] = map(np.conj, found[1:])
    return [np.abs(f - e).max() / np.abs(e).max() for f, e in zip(found, exact, strict=True)]


def _to_complex(array: jax.Array) -> np.ndarray:
    if jnp.iscomplexobj(array):
        return np.asarray(array, np.complex128)
    re, im = np.split(np.asarray(array, np.float64), 2, axis=-1)
    return re + 1j * im
