"""How long a computation takes on the device, and how long it would take at the least.

Kernels of some microseconds cannot be timed call by call, since the host needs about 35 us to
launch a program. So a computation runs ``UNIT`` times in one compiled loop of known length, and
such loops are launched one behind the other without waiting until a batch lasts ``AT_LEAST``.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint

UNIT = 16  # calls in one compiled loop
AT_LEAST = 0.05  # seconds of a batch
REPEATS = 5  # batches
DTYPES = ("float32", "bfloat16")  # of matrix products
CACHE_BYTES = 50e6  # the L2 cache of an H100: less data than this may never leave it between calls


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median, fastest and slowest of several batches."""

    median: float
    low: float
    high: float
    repeats: int  # batches
    calls: int  # in each batch

    def columns(self) -> dict[str, float]:
        """Return what goes into a table, in milliseconds."""
        return {
            "median ms": self.median * 1e3,
            "low ms": self.low * 1e3,
            "high ms": self.high * 1e3,
        }


def measure(
    fn: Callable[..., Any], *args: Any, trace: Path | None = None, repeats: int = REPEATS
) -> Timing:
    """Time ``fn(*args)`` inside a compiled loop; ``trace`` is a folder for a profile of it."""
    run = repeated(fn, *args)
    return sample(run, trace=trace, repeats=repeats, calls_per_unit=UNIT)


def repeated(fn: Callable[..., Any], *args: Any) -> Callable[[int], Any]:
    """Return ``run(units)``, which calls ``fn(*args)`` ``UNIT`` times as often, for its output.

    What keeps every call honest: the barrier makes the arguments of a call depend on the output of
    the call before, so that XLA can neither move work out of the loop nor drop a call; the whole
    output is carried, so that none of it can be left out; and arrays come and go in their ordinary
    layout, since the loop would otherwise be given transposed ones where that saves time inside.
    Outputs overwrite one another in donated memory. No argument may hold typed random keys.
    """
    shapes = jax.eval_shape(fn, *args)
    drops_barriers = jax.default_backend() == "cpu"

    def loop(out: Any, limit: jax.Array, *args: Any) -> Any:
        def body(i: jax.Array, out: Any) -> Any:
            fresh, out = _row_major(lax.optimization_barrier((args, out)))
            if drops_barriers:  # XLA for CPUs does, before it looks for work to move out of loops;
                # it leaves a branch alone whose condition only the run can tell.
                return lax.cond(i < limit, lambda: fn(*fresh), lambda: out)
            return _row_major(fn(*fresh))

        return lax.fori_loop(0, UNIT, body, out)

    limit = jnp.int32(UNIT)
    compiled = jax.jit(loop, donate_argnums=0).lower(shapes, limit, *args).compile()
    out = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def run(units: int) -> Any:
        nonlocal out
        for _ in range(units):
            out = compiled(out, limit, *args)
        return out

    return run


def _row_major(tree: Any) -> Any:
    def constrain(leaf: jax.Array) -> jax.Array:
        return with_layout_constraint(leaf, Layout(tuple(range(leaf.ndim))))

    return jax.tree.map(constrain, tree)


def sample(
    run: Callable[[int], Any],
    *,
    units: int | None = None,
    repeats: int = REPEATS,
    calls_per_unit: int = 1,
    trace: Path | None = None,
) -> Timing:
    """Time ``run(units)``, which returns arrays to wait for, once it is compiled and warm.

    Where ``units`` is None it is doubled until a batch lasts ``AT_LEAST``. The profile is of one
    more batch, of one unit, since profiling takes time of its own.
    """
    seconds_of(run, 1)
    if units is None:
        units = 1
        while seconds_of(run, units) < AT_LEAST:
            units *= 2
    calls = units * calls_per_unit
    batches = [seconds_of(run, units) / calls for _ in range(repeats)]
    if trace is not None:
        with jax.profiler.trace(str(trace)):
            jax.block_until_ready(run(1))
    return Timing(statistics.median(batches), min(batches), max(batches), repeats, calls)


def seconds_of(run: Callable[..., Any], *args: Any) -> float:
    """Return how long ``run(*args)`` takes until its arrays are there."""
    began = time.perf_counter()
    jax.block_until_ready(run(*args))
    return time.perf_counter() - began


@dataclass(frozen=True)
class Ceilings:
    """What this device can do at the most, measured."""

    copy: float  # bytes read and written per second by a large elementwise copy
    matmul: dict[str, float]  # FLOP per second by dtype; float32 at default precision, often tf32
    call: float  # seconds of the smallest call in the compiled loop

    def facts(self) -> dict[str, float]:
        """Return them as they are printed, with units."""
        return {
            "copy GB/s": self.copy / 1e9,
            **{f"matmul {dtype} TFLOP/s": rate / 1e12 for dtype, rate in self.matmul.items()},
            "smallest call in the loop us": self.call * 1e6,
        }


def measure_ceilings(small: bool) -> Ceilings:
    """Time a copy of 1 GiB and products of 8192 x 8192 matrices; of 1 MiB and 256 if ``small``.

    Raises ``RuntimeError`` where the loop is found to skip work; see ``repeated``.
    """
    elements = 2**18 if small else 2**28
    size = 256 if small else 8192

    def matmul_rate(dtype: str) -> float:
        key_a, key_b = jax.random.split(jax.random.key(0))
        a, b = (jax.random.normal(key, (size, size), dtype) for key in (key_a, key_b))
        seconds, multiply = measure(jnp.matmul, a, b).median, jax.jit(jnp.matmul)
        alone = sample(lambda units: [multiply(a, b) for _ in range(units)], units=4).median
        if seconds < alone / 4:  # skipped work would show as a sixteenth
            raise RuntimeError(f"a product takes {alone} s, but {seconds} s in the timing loop")
        return 2 * size**3 / seconds

    copy = measure(lambda x: x + 1, jnp.zeros(elements)).median
    call = measure(lambda x: x + 1, jnp.zeros(1)).median
    return Ceilings(
        copy=2 * 4 * elements / copy,
        matmul={dtype: matmul_rate(dtype) for dtype in DTYPES},
        call=call,
    )
