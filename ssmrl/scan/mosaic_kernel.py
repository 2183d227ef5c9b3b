"""The GPU kernel of the recurrence, in Pallas for Mosaic GPU."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas
from jax.experimental.pallas import mosaic_gpu as plgpu

from ssmrl.scan import planar as pl
from ssmrl.scan.mosaic_plan import FLAGS, LANES, Plan

BATCHED_LOADS = 8  # steps whose values are in registers before they are needed


@partial(jax.jit, static_argnames=("plan", "reverse", "interpret"))  # lowered once per shape
def call(
    plan: Plan,
    a: jax.Array,
    b: jax.Array,
    flags: jax.Array,
    *,
    initial_state: jax.Array | None = None,
    x: jax.Array | None = None,
    reverse: bool,
    interpret: Any,
) -> list[jax.Array]:
    """Run the recurrence over b [T, B, 2, N]; N divides or is a multiple of LANES.

    b may be bfloat16, x and the returned states with it; everything else is float32.

    ``a`` [2 or 3, R, N] holds the coefficients for each of the R batch rows that share a block and,
    if R > 1, the row's number. ``flags`` [B, T or more] int32 say where the state is forgotten,
    ``initial_state`` [B, 2, N] comes before the first step, None is zero; beyond the ends of arrays
    all is zero. Returns the states.

    With ``x``, the states of another recurrence, it runs with conj(a) and also returns the sums
    over time of conj(x_t) times the state that reaches step t, [chunks, 2, B, N].

    With more than one chunk there are two launches. The first runs every chunk from zero and keeps
    its last state and whether it goes on from the chunk before; from these, every block of the
    second works out the state that its own chunk begins with.
    """
    _, batch, _, num_states = b.shape
    inputs = {"a": a, "b": b, "flags": flags}
    outputs = {"states": jax.ShapeDtypeStruct(b.shape, b.dtype)}
    run = partial(_launch, plan, conjugate=x is not None, reverse=reverse, interpret=interpret)
    if plan.chunks > 1:
        ends = jax.ShapeDtypeStruct((plan.chunks, 3, batch, num_states), jnp.float32)
        inputs = inputs | {"ends": run(inputs, {"ends": ends})[0]}
    if initial_state is not None:
        inputs = inputs | {"initial_state": initial_state}
    if x is not None:
        inputs = inputs | {"x": x}
        outputs["products"] = jax.ShapeDtypeStruct((plan.chunks, 2, batch, num_states), jnp.float32)
    return run(inputs, outputs)


def _launch(plan, inputs, outputs, *, conjugate, reverse, interpret):
    rows = inputs["a"].shape[1]
    wide = LANES // rows
    tiles = plgpu.SMEM((plan.stages, plan.steps, rows, 2, wide), inputs["b"].dtype)
    scratch: dict[str, Any] = {
        "b_tiles": tiles,
        "flag_tiles": plgpu.SMEM((plan.stages, rows, FLAGS), jnp.int32),
    }
    if "x" in inputs:
        scratch["x_tiles"] = tiles
    arrivals = len(scratch)
    scratch["loaded"] = plgpu.Barrier(num_arrivals=arrivals, num_barriers=plan.stages)
    _, batch, _, num_states = inputs["b"].shape

    names = (*inputs, *(f"{name}_out" for name in outputs))

    def block(*refs, **scratch_refs):
        _block(plan, conjugate, reverse, dict(zip(names, refs, strict=True)) | scratch_refs)

    kernel = plgpu.kernel(
        block,
        out_type=list(outputs.values()),
        scratch_types=scratch,
        grid=(plan.chunks, num_states // wide, batch // rows),
        grid_names=("chunk", "column", "row"),  # the last one may be the largest
        # A thread reads in shared memory what it or the copy engine wrote, never what another
        # thread wrote, and the copy engine waits for all threads (commit_smem). Lane semantics
        # lower five times as fast as the default of newer versions.
        compiler_params=plgpu.CompilerParams(
            unsafe_no_auto_barriers=True, lowering_semantics=plgpu.LoweringSemantics.Lane
        ),
        interpret=interpret,
    )
    return kernel(*inputs.values())


def _block(plan: Plan, conjugate: bool, reverse: bool, refs: dict[str, Any]) -> None:
    """128 states of one chunk of time: a ring of tiles is fetched ahead, walked, and written."""
    b, b_tiles, loaded = refs["b"], refs["b_tiles"], refs["loaded"]
    _, _, rows, _, wide = b_tiles.shape
    chunk = lax.axis_index("chunk")
    in_batch = pallas.ds(lax.axis_index("row") * rows, rows)
    in_states = pallas.ds(lax.axis_index("column") * wide, wide)
    num_tiles = pallas.cdiv(b.shape[0], plan.steps * plan.chunks)

    def window(i):
        tile = chunk * num_tiles + i
        tile = plan.chunks * num_tiles - 1 - tile if reverse else tile
        return pallas.ds(tile * plan.steps, plan.steps), in_batch, slice(None), in_states

    def fetch(i):
        stage = lax.rem(i, jnp.int32(plan.stages))
        where = window(i)
        flags = refs["flags"].at[in_batch, pallas.ds(where[0].start, FLAGS)]
        plgpu.copy_gmem_to_smem(flags, refs["flag_tiles"].at[stage], loaded.at[stage])
        for name in ("b", "x"):
            if name in refs:
                tile = refs[f"{name}_tiles"].at[stage]
                plgpu.copy_gmem_to_smem(refs[name].at[where], tile, loaded.at[stage])

    for i in range(min(plan.stages - 1, num_tiles)):
        fetch(jnp.int32(i))

    a = tuple(refs["a"][i, :, in_states] for i in range(2))
    zero = jnp.where(a[0] == a[0], 0.0, 0.0)  # in a register of each thread, as loops want it
    row = refs["a"][2, :, in_states] if rows > 1 else zero
    a = pl.conjugate(a) if conjugate else a
    state = (zero, zero)
    if "initial_state" in refs:
        state = tuple(refs["initial_state"][in_batch, i, in_states] for i in range(2))
    if "ends" in refs:
        ends = refs["ends"].at[:, :, in_batch, in_states]
        state = _state_before(chunk, ends, _power(a, plan.steps * num_tiles), state, zero)

    def body(i, carry):
        stage = lax.rem(i, jnp.int32(plan.stages))
        plgpu.barrier_wait(loaded.at[stage])
        tiles = {k: v.at[stage] for k, v in refs.items() if k.endswith("_tiles")}
        carry = _walk(plan.steps, reverse, "states_out" in refs, tiles, a, row, zero, carry)
        # All threads are done with this tile, and so with the one before, whose stage is next.
        plgpu.commit_smem()
        if "states_out" in refs:
            plgpu.copy_smem_to_gmem(b_tiles.at[stage], refs["states_out"].at[window(i)])
            plgpu.wait_smem_to_gmem(1, wait_read_only=True)  # the tile before has left its stage

        @pallas.when(i + plan.stages - 1 < num_tiles)
        def _():
            fetch(i + plan.stages - 1)

        return carry

    results = {"state": state, "cut": zero}
    if "x" in refs:
        results["products"] = (zero, zero)
    results = lax.fori_loop(jnp.int32(0), jnp.int32(num_tiles), body, results)
    if "ends_out" in refs:
        goes_on = jnp.where(results["cut"] != 0, zero, 1.0)
        for i, part in enumerate((*results["state"], goes_on)):
            refs["ends_out"][chunk, i, in_batch, in_states] = part
    for i, part in enumerate(results.get("products", ())):
        refs["products_out"][chunk, i, in_batch, in_states] = part
    plgpu.wait_smem_to_gmem(0)


def _walk(steps, reverse, write, tiles, a, row, zero, carry):
    """Take the steps of one tile; states replace the inputs in it."""
    state, cut, products = carry["state"], carry["cut"], carry.get("products")
    b, x, flags = tiles["b_tiles"], tiles.get("x_tiles"), tiles["flag_tiles"]
    times = range(steps)[::-1] if reverse else range(steps)
    for some in (times[i : i + BATCHED_LOADS] for i in range(0, steps, BATCHED_LOADS)):
        # All loads first: the compiler cannot move them over the stores.
        is_cut = [_by_row([flags[r, t] for r in range(row.shape[0])], row) for t in some]
        b_some = [_parts_at(t, b) for t in some]
        x_some = [None if x is None else _parts_at(t, x) for t in some]
        for t, flag, b_t, x_t in zip(some, is_cut, b_some, x_some, strict=True):
            state = tuple(jnp.where(flag != 0, zero, part) for part in state)
            cut = jnp.where(flag != 0, 1.0, cut)
            if x_t is not None:
                unused = (state[0] == 0) & (state[1] == 0)  # where a product with infinity is NaN
                new = pl.multiply(pl.conjugate(x_t), state)
                products = tuple(
                    p + jnp.where(unused, zero, n) for p, n in zip(products, new, strict=True)
                )
            state = _multiply_add(a, state, b_t)
            if write:
                for i in range(2):
                    b[t, :, i] = state[i].astype(b.dtype)
    return carry | {"state": state, "cut": cut} | ({} if x is None else {"products": products})


def _parts_at(t, tile):
    return tuple(tile[t, :, i].astype(jnp.float32) for i in range(2))


def _state_before(chunk, ends, a_to_chunk, state, zero):
    """Return the state that a chunk begins with, from the ends of those before it."""
    num_chunks = ends.shape[0]
    for j in range(num_chunks - 1):
        *end, goes_on = (ends[j, i] for i in range(3))
        # Selected, since the power of a coefficient above one may be infinite.
        unused = (goes_on == 0) | ((state[0] == 0) & (state[1] == 0))
        after = _multiply_add(a_to_chunk, state, end)
        after = tuple(jnp.where(unused, e, p) for e, p in zip(end, after, strict=True))
        earlier = jnp.broadcast_to(chunk, zero.shape) > j
        state = tuple(jnp.where(earlier, n, s) for n, s in zip(after, state, strict=True))
    return state


def _multiply_add(a, x, b):
    """Return a x + b in two steps that depend on each other, not three."""
    (a_re, a_im), (x_re, x_im), (b_re, b_im) = a, x, b
    return b_re + a_re * x_re - a_im * x_im, b_im + a_re * x_im + a_im * x_re


def _power(a, exponent):
    """Return a ** exponent by squaring."""
    result = None
    while exponent:
        if exponent % 2:
            result = a if result is None else pl.multiply(result, a)
        a, exponent = pl.multiply(a, a), exponent // 2
    return result


def _by_row(scalars, row):
    """Spread a scalar per batch row over the threads of that row."""
    first, *rest = (jnp.broadcast_to(s, row.shape) for s in scalars)
    for number, scalar in enumerate(rest, start=1):
        first = jnp.where(row == number, scalar, first)
    return first
