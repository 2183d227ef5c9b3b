"""The recurrence as one kernel, on NVIDIA GPUs from Hopper on."""

from typing import Any

import jax
import jax.numpy as jnp

from ssmrl.scan.mosaic_plan import FLAGS, LANES, make_plan

interpret: Any = None  # Pallas' interpreter of GPU kernels, with which tests run it on a CPU


def why_not(a: jax.Array, b: jax.Array, planar: bool) -> str | None:
    """Return why the kernel cannot run this recurrence here; None if it can."""
    if b.size == 0:
        return "there is nothing to run over"
    if not planar or a.dtype != jnp.float32 or b.dtype not in (jnp.float32, jnp.bfloat16):
        return f"it takes planar float32 or bfloat16 inputs, not {'planar ' * planar}{b.dtype}"
    if a.ndim == b.ndim:
        return "its coefficients must be constant in time"
    if interpret is None and not _is_supported_gpu():
        return "it needs an NVIDIA GPU of the Hopper or Blackwell data-centre line"
    return None


def _is_supported_gpu() -> bool:
    capability = getattr(jax.devices()[0], "compute_capability", "0.0")
    return jax.default_backend() == "gpu" and capability.split(".")[0] in ("9", "10")


def scan(
    a: jax.Array,
    b: jax.Array,
    start: jax.Array | None,
    initial_state: jax.Array,
    *,
    planar: bool,
    reverse: bool,
) -> jax.Array:
    """Run x_t = a x_{t-1} + b_t; see ``ssmrl.scan.implementations.Scan``. Resets select.

    Every input is read once and every state written once, at 90 % of the copy bandwidth of an
    H100 where there are many chains. Few chains leave most of the GPU idle, so time is then cut
    into chunks and the inputs are read twice.
    """
    del planar
    return _run(a, b, start, initial_state, None, reverse)[0]


def adjoint(
    a: jax.Array, dx: jax.Array, start: jax.Array | None, x: jax.Array, *, reverse: bool
) -> tuple[jax.Array, jax.Array]:
    """Run s_t = dx_t + conj(a) s' against time; also return the sum of s' conj(x_t), [2N]."""
    return _run(a, dx, start, None, x, reverse)


def _run(a, b, start, initial_state, x, reverse):
    from ssmrl.scan import mosaic_kernel  # Pallas for GPUs is imported where it is used

    num_states = b.shape[-1] // 2
    num_batch = b[0, ..., 0].size
    wide = next((w for w in (32, 64) if num_states <= w), LANES)
    rows = LANES // wide
    padding = (0, -num_batch % rows), (0, 0), (0, -num_states % wide)

    def axes(v, *leading):
        """Return v as [*leading, B, 2, N], padded to what a block takes."""
        v = v.reshape(*leading, num_batch, 2, num_states)
        none = ((0, 0),) * len(leading)
        return jnp.pad(v, (*none, *padding)) if any(after for _, after in padding) else v

    num_blocks = -(-num_batch // rows) * -(-num_states // wide)
    plan = make_plan(len(b), num_blocks, is_adjoint=x is not None)
    a = jnp.pad(a.reshape(2, 1, num_states), ((0, 0), (0, 0), padding[2]))
    if rows > 1:
        row = jnp.arange(rows, dtype=a.dtype)[:, None]
        a = jnp.stack(jnp.broadcast_arrays(*a, row))
    out, *products = mosaic_kernel.call(
        plan,
        a,
        axes(b, len(b)),
        _flags(start, len(b), num_batch, padding[0]),
        initial_state=None if initial_state is None else axes(initial_state),
        x=None if x is None else axes(x, len(b)),
        reverse=reverse,
        interpret=interpret,
    )
    out = out[:, :num_batch, :, :num_states].reshape(b.shape)
    if x is None:
        return out, None
    return out, products[0][..., :num_batch, :num_states].sum((0, 2)).reshape(-1)


def _flags(start, num_steps, num_batch, batch_padding):
    """Return flags [B, T...] int32, past T as far as the kernel reads."""
    padded = -(-num_steps // FLAGS) * FLAGS + FLAGS
    if start is None:
        return jnp.zeros((num_batch + batch_padding[1], padded), jnp.int32)
    flags = start.reshape(num_steps, num_batch).T.astype(jnp.int32)
    return jnp.pad(flags, (batch_padding, (0, padded - num_steps)))
