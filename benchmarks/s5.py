"""Time whole S5 layers, and S5 over sequences of growing length; run by benchmarks.scan."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import jax
import numpy as np

from benchmarks import recurrence as rec
from benchmarks.report import LEFT_OUT, Bench
from benchmarks.timing import DTYPES, measure
from ssmrl.memory.s5 import S5

LAYER_SHAPES = [(1024, 512, 256), (1024, 8, 128)]  # T, B, N complex states; 2N features
SMALL_LAYER_SHAPES = [(32, 4, 8)]
LAYERS: dict[str, dict[str, Any]] = {
    "without gate": {"glu": "none", "norm": "none"},
    "default": {},
}
LENGTHS = [2**i for i in range(8, 15)]
TOKENS = 2**18  # of all sequences together, at every length
SMALL_LENGTHS, SMALL_TOKENS = [16, 32, 64], 128


def layer_flops(features: int, states: int, gate_outputs: int, tokens: int, backward: bool) -> int:
    """Return the FLOPs of a layer's matrix products, two for each multiply-add.

    Per token: inputs [H] to states [2N], back to [H], and the gate from [H]. Backward has two
    products for every one forward, by the operand that each leaves out.
    """
    forward = 2 * (2 * features * 2 * states + features * gate_outputs) * tokens
    return 3 * forward if backward else forward


def time_layers(bench: Bench, names: Sequence[str], options: argparse.Namespace) -> None:
    """Time projections, scan, read-out and feed-through together, with and without the gate."""
    table = bench.table("scan-layer", resets=rec.RESETS, features="2N")
    shapes = SMALL_LAYER_SHAPES if options.small else LAYER_SHAPES
    rows = product(shapes, LAYERS, DTYPES, names, (False, True))
    for shape, label, dtype, name, backward in rows:
        num_steps, batch, states = shape
        direction = rec.DIRECTIONS[backward]
        trace = bench.trace("layer", *shape, label, dtype, direction, name)
        try:
            layer = make_layer(label, states, name)
            fn, args = layer_call(layer, num_steps, batch, dtype, backward)
            timing = measure(fn, *args, trace=trace)
        except LEFT_OUT as error:
            table.skip(f"layer {label}, {dtype}, {name}, {direction} at {shape}", error)
            continue
        gate_outputs = 0 if layer.glu == "none" else 2 * layer.features
        sizes = (layer.features, states, gate_outputs, num_steps * batch)
        flops = layer_flops(*sizes, backward)
        products = flops / bench.ceilings.matmul[dtype]
        scan = rec.floor_bytes(num_steps, batch, states, backward) / bench.ceilings.copy
        table.add(
            {
                **dict(zip("TBN", shape, strict=True)),
                "layer": label,
                "dtype": dtype,
                "direction": direction,
                "scan": name,
                **timing.columns(),
                "TFLOP": flops / 1e12,
                "matmul floor ms": products * 1e3,
                "share of matmul rate %": 100 * products / timing.median,
                "scan floor ms": scan * 1e3,
            }
        )


def make_layer(label: str, states: int, implementation: str) -> S5:
    """Return a layer of ``LAYERS`` that is as wide as its states are, real and imaginary."""
    options = {"features": 2 * states, "state_size": 2 * states, **LAYERS[label]}
    return S5(**options, num_layers=1, implementation=implementation)


def layer_call(
    layer: S5, num_steps: int, batch: int, dtype: str, backward: bool
) -> tuple[Callable, tuple]:
    """Return a function and its arguments: y and the last state, or the gradients by all inputs.

    Inputs and outputs are of the dtype; parameters and states stay float32.
    """
    problem = rec.draw_problem(num_steps, batch, layer.num_states)  # inputs as wide as states
    x, w, state = problem.b.astype(dtype), problem.w.astype(dtype), problem.initial_state

    def forward(params: Any, x: jax.Array, state: jax.Array, start: jax.Array) -> Any:
        return layer.apply(params, (state,), x, start, method="scan")[::-1]

    first = ((state,), x[0], problem.start[0])
    params = jax.jit(partial(layer.init, method="step"))(jax.random.key(0), *first)
    if not backward:
        return forward, (params, x, state, problem.start)
    return _gradients(forward), (params, x, state, problem.start, w)


def _gradients(forward: Callable) -> Callable:
    """Return the derivative of sum(w y) by parameters, inputs and first state."""

    def gradient(
        params: Any, x: jax.Array, state: jax.Array, start: jax.Array, w: jax.Array
    ) -> Any:
        def output(params: Any, x: jax.Array, state: jax.Array) -> jax.Array:
            return forward(params, x, state, start)[0]

        return jax.vjp(output, params, x, state)[1](w)

    return gradient


def time_lengths(bench: Bench, names: Sequence[str], options: argparse.Namespace) -> None:
    """Time S5 of four layers, forward and backward: fewer and longer sequences of all tokens.

    The note gives the slope of log time over log length: 0 if length costs nothing, 1 for a loop
    over time whose steps cost the same whatever the batch. The scan is the one that S5 picks.
    """
    lengths, tokens = (SMALL_LENGTHS, SMALL_TOKENS) if options.small else (LENGTHS, TOKENS)
    memory = S5(features=16, state_size=16, num_layers=2) if options.small else S5()
    table = bench.table("scan-length", tokens=tokens, layers=memory.num_layers)
    for num_steps in lengths:
        batch = tokens // num_steps
        trace = bench.trace("length", num_steps)
        try:
            fn, args = memory_call(memory, num_steps, batch)
            timing = measure(fn, *args, trace=trace)
        except LEFT_OUT as error:
            table.skip(f"length {num_steps}", error)
            continue
        shape = (memory.features, memory.num_states, 2 * memory.features, tokens)
        flops = memory.num_layers * layer_flops(*shape, backward=True)
        floor = flops / bench.ceilings.matmul["float32"]
        table.add(
            {
                "T": num_steps,
                "B": batch,
                **timing.columns(),
                "million tokens/s": tokens / timing.median / 1e6,
                "matmul floor ms": floor * 1e3,
                "share of matmul rate %": 100 * floor / timing.median,
            }
        )
    times = [(row["T"], row["median ms"]) for row in table.rows]
    if len(times) > 1:
        table.note(f"log-log slope of time over length: {slope(times):.3f}")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of log y over log x."""
    x, y = np.log(np.asarray(points)).T
    return float(np.polyfit(x, y, 1)[0])


def memory_call(memory: S5, num_steps: int, batch: int) -> tuple[Callable, tuple]:
    """Return the gradients of a stack by parameters, inputs and first state, and the arguments."""
    keys = jax.random.split(jax.random.key(0), 4)
    x, w = (jax.random.normal(key, (num_steps, batch, memory.features)) for key in keys[:2])
    start = jax.random.bernoulli(keys[2], rec.RESETS, (num_steps, batch))
    state = memory.initial_state((batch,))

    def forward(params: Any, x: jax.Array, state: jax.Array, start: jax.Array) -> Any:
        return memory.apply(params, state, x, start, method="scan")[::-1]

    params = jax.jit(partial(memory.init, method="step"))(keys[3], state, x[0], start[0])
    return _gradients(forward), (params, x, state, start, w)
