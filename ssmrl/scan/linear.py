"""The resettable linear recurrence: one function, its derivative, its implementations."""

from functools import partial, reduce
from operator import and_

import jax
import jax.numpy as jnp
from jax import lax

from ssmrl.errors import UsageError
from ssmrl.scan import planar as pl
from ssmrl.scan.implementations import Implementation, choose


def linear_scan(
    a: jax.Array,
    b: jax.Array,
    start: jax.Array | None = None,
    *,
    initial_state: jax.Array | None = None,
    reset_state: jax.Array | None = None,
    planar: bool = False,
    implementation: str | None = None,
) -> jax.Array:
    """Return all x_t = a_t x_{t-1} + b_t, with x_{t-1} replaced where ``start_t`` is true.

    Lu et al. 2023, section 3.1. Arrays are real, complex, or with ``planar`` real arrays that
    hold complex numbers as ``[re | im]`` on the last axis. Reverse-mode derivatives of any order
    exist (forward mode does not); the backward pass keeps the states and no intermediates.

    Args:
      a: coefficients, [N] if constant in time, else [T, ..., N].
      b: inputs, [T, ..., N], time first.
      start: [T, ...] bool, true where x_{t-1} is to be forgotten; None for nowhere.
      initial_state: x_{-1}, broadcast to [..., N]; zeros if None.
      reset_state: what replaces x_{t-1} at a start, broadcast to [..., N]; zeros if None.
      planar: whether the last axis holds ``[re | im]``.
      implementation: a key of ``IMPLEMENTATIONS``; None takes "sequential" on a CPU, on NVIDIA
        GPUs from Hopper on "mosaic" where it can (planar float32, constant coefficients), and
        "associative" elsewhere. Only "associative" lets a non-finite state out of its episode.

    Returns:
      x, [T, ..., N], of the arguments' common dtype. If b is bfloat16 or float16 and nothing is
      complex, x has b's dtype, and the states before they are rounded to it are float32.

    Raises:
      UsageError: on shapes, dtypes or an implementation that do not fit.
    """
    states = [s for s in (initial_state, reset_state) if s is not None]
    dtype, out_dtype = _dtypes(a, jnp.asarray(b), states)
    a, b = jnp.asarray(a, dtype), jnp.asarray(b, out_dtype)
    start = None if start is None else jnp.asarray(start)
    _check(a, b, start, planar)
    initial_state = _state("initial_state", initial_state, b, dtype)
    reset_state = None if reset_state is None else _state("reset_state", reset_state, b, dtype)

    is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
    if is_complex:
        planar = True
        a, b, initial_state = map(pl.from_complex, (a, b, initial_state))
        reset_state = None if reset_state is None else pl.from_complex(reset_state)

    if a.ndim < b.ndim:
        a = a.reshape((1,) * (b.ndim - 2) + a.shape)
    if start is not None and reset_state is not None:
        b = _add_reset_state(a, b, start, reset_state, planar).astype(b.dtype)
    run = choose(implementation, a, b, planar)
    b = b if run.takes_bfloat16 else b.astype(a.dtype)
    x = _recurrence(run, planar, False, a, b, start, initial_state)
    return pl.to_complex(x) if is_complex else x.astype(out_dtype)


def _dtypes(a, b, states):
    """Return the dtypes to compute in and of x; see the dtypes that ``linear_scan`` returns."""
    halves = (jnp.bfloat16, jnp.float16)
    dtype = jnp.result_type(a, b, *states)
    dtype = jnp.dtype(jnp.float32) if dtype in halves else dtype
    is_real = not jnp.issubdtype(dtype, jnp.complexfloating)
    return dtype, b.dtype if b.dtype in halves and is_real else dtype


def _check(a: jax.Array, b: jax.Array, start: jax.Array | None, planar: bool) -> None:
    if b.ndim < 2 or b.shape[0] == 0:
        raise UsageError(f"b must be [T, ..., N] with at least one step, but has shape {b.shape}")
    if a.shape not in (b.shape[-1:], b.shape):
        raise UsageError(
            f"a must have shape {b.shape[-1:]} (constant in time) or b's shape {b.shape}, "
            f"but has shape {a.shape}"
        )
    if not jnp.issubdtype(b.dtype, jnp.inexact):
        raise UsageError(f"a and b must be floating or complex, but are {b.dtype}")
    if planar and jnp.issubdtype(b.dtype, jnp.complexfloating):
        raise UsageError(f"planar=True takes real arrays [re | im], but the dtype is {b.dtype}")
    if planar and b.shape[-1] % 2:
        raise UsageError(f"planar=True needs an even last axis [re | im], but b's is {b.shape[-1]}")
    if start is None:
        return
    if start.dtype != jnp.bool_:
        raise UsageError(f"start must be bool, but is {start.dtype}; compare it with 0 first")
    if start.shape != b.shape[:-1]:
        raise UsageError(
            f"start must have b's shape without the last axis, {b.shape[:-1]}, "
            f"but has shape {start.shape}"
        )


def _state(name: str, state: jax.Array | None, b: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Return a state of shape [..., N], zeros for None."""
    state = jnp.asarray(0 if state is None else state, dtype)
    try:
        return jnp.broadcast_to(state, b.shape[1:])
    except ValueError:
        raise UsageError(
            f"{name} must broadcast to {b.shape[1:]}, but has shape {state.shape}"
        ) from None


def _add_reset_state(a, b, start, reset_state, planar):
    """Return b_t + start_t a_t h with the reset state h, so that a reset is to zero from here on.

    Selected on both sides of the product: neither a coefficient of another step nor a reset state
    that is never used can bring a NaN into the values or the derivatives.
    """
    start = start[..., None]
    a = a[None] if a.ndim < b.ndim else jnp.where(start, a, 0)
    after_reset = pl.multiply(pl.split(a, planar), pl.split(reset_state[None], planar))
    return b + jnp.where(start, pl.join(after_reset), 0)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _recurrence(run: Implementation, planar: bool, reverse: bool, a, b, start, initial_state):
    return run.scan(a, b, start, initial_state, planar=planar, reverse=reverse)


def _recurrence_fwd(run, planar, reverse, a, b, start, initial_state):
    x = _recurrence(run, planar, reverse, a, b, start, initial_state)
    return x, (a, x, start, initial_state)


def _recurrence_bwd(run, planar, reverse, residuals, dx):
    """Derivative: the recurrence s_t = dx_t + conj(a_{t+1}) s_{t+1}, run against time.

    Then db = s, da_t = s_t conj(x_{t-1}) and d x_{-1} = conj(a_0) s_0, the last two without the
    steps that start an episode.
    """
    a, x, start, initial_state = residuals
    varies = a.ndim == x.ndim
    # The sequence of step t+1 (t-1 when time runs backwards); what lies beyond the end is unused.
    a_next = _shifted(a, reverse) if varies else a
    start_next = None if start is None else _shifted(start, reverse)
    adjoint = _adjoint if run.adjoint is None or varies else _adjoint_in_one_go
    s, da_later = adjoint(run, planar, reverse, a_next, dx, start_next, x)

    first = -1 if reverse else 0
    start_first = None if start is None else start[first]
    da_first = _coefficient_cotangent(s[first], initial_state, start_first, planar)
    if varies:
        pieces = [pl.join(da_first)[None], da_later]
        da = jnp.concatenate(pieces[::-1] if reverse else pieces)
    else:
        da = (pl.join(_totals(da_first)) + da_later).reshape(a.shape)

    a_first = pl.conjugate(pl.split(a[first] if varies else a, planar))
    d_state = pl.join(pl.multiply(a_first, pl.split(s[first], planar)))
    if start_first is not None:
        d_state = jnp.where(start_first[..., None], 0, d_state)
    return da, s, None, d_state


_recurrence.defvjp(_recurrence_fwd, _recurrence_bwd)


def _adjoint(run, planar, reverse, a_next, dx, start_next, x):
    """Return s and the s_t conj(x_{t-1}) of all steps but the first, summed if a is constant."""
    a_conj = pl.join(pl.conjugate(pl.split(a_next, planar)))
    nothing = jnp.zeros_like(dx[0], a_next.dtype)
    s = _recurrence(run, planar, not reverse, a_conj, dx, start_next, nothing)
    # Keeps XLA from fusing the end of a parallel scan into the sum of da: up to 1.4 times faster,
    # forward and backward, on an H100, and with fewer temporaries.
    s = lax.optimization_barrier(s)
    later, before = slice(1, None), slice(None, -1)
    if reverse:
        later, before = before, later
    start_later = None if start_next is None else start_next[before]
    da_later = _coefficient_cotangent(s[later], x[before], start_later, planar)
    # summed before joined: the other way round took up to twice as long on an H100
    return s, pl.join(da_later if a_next.ndim == x.ndim else _totals(da_later))


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _adjoint_in_one_go(run: Implementation, planar: bool, reverse: bool, *arrays):
    """``_adjoint`` as the implementation does it, with the derivatives of the one above."""
    assert run.adjoint is not None
    return run.adjoint(*arrays, reverse=not reverse)


_adjoint_in_one_go.defvjp(
    lambda *args: (_adjoint_in_one_go(*args), args[3:]),
    lambda run, planar, reverse, arrays, cotangents: jax.vjp(
        partial(_adjoint, run, planar, reverse), *arrays
    )[1](cotangents),
)


def _shifted(v: jax.Array, reverse: bool) -> jax.Array:
    """Return v_{t+1} at t, or v_{t-1} if ``reverse``, with zeros beyond the end."""
    edge = jnp.zeros_like(v[:1])
    return jnp.concatenate([edge, v[:-1]] if reverse else [v[1:], edge])


def _coefficient_cotangent(s, x_before, start, planar) -> pl.Parts:
    """Return the parts of s conj(x_before), zero at a start and where nothing depends on the step.

    A step on which nothing depends has s = 0, but its product with an infinite state would be
    NaN. Finite states stay in the product even then: its own derivative needs them.
    """
    s_parts = pl.split(s, planar)
    unused = reduce(and_, (part == 0 for part in s_parts))

    def finite_where_unused(part):
        drop = unused & ~jnp.isfinite(part)
        if start is not None:
            drop |= start[..., None]
        return jnp.where(drop, 0, part)

    x_parts = tuple(map(finite_where_unused, pl.split(x_before, planar)))
    return pl.multiply(s_parts, pl.conjugate(x_parts))


def _totals(parts: pl.Parts) -> pl.Parts:
    """Return the sum of each part over all axes but the last."""
    return tuple(part.sum(tuple(range(part.ndim - 1))) for part in parts)
