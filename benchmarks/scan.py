"""Time the recurrence, the S5 layer around it and S5 over sequences of growing length.

    python -m benchmarks.scan [--only recurrence layer length accuracy] [--sequential]

Writes scan-recurrence, scan-layer, scan-length and scan-accuracy, each as JSON and Markdown.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from benchmarks import recurrence as rec
from benchmarks.report import LEFT_OUT, Bench, Table, arguments
from benchmarks.s5 import time_layers, time_lengths
from benchmarks.timing import CACHE_BYTES, Timing, measure

PARTS = ("recurrence", "layer", "length", "accuracy")
# T steps, B sequences, N complex states: many chains and few, long and short; (1024, 8, 128) is
# a minibatch of the published PPO.
SHAPES = [
    (1024, 512, 256),
    (4096, 64, 256),
    (1024, 64, 128),
    (1024, 8, 128),
    (4096, 8, 64),
    (128, 2048, 128),
    (128, 256, 128),
]
SMALL_SHAPES = [(32, 4, 8)]
ACCURACY_SHAPE = (512, 3, 128)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for."""
    parser = arguments("Time the recurrence, the S5 layer and S5 against length.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument(
        "--sequential", action="store_true", help="time the sequential scan on a GPU too"
    )
    options = parser.parse_args(argv)
    bench = Bench.start(options)
    names = rec.implementations(options.sequential)
    run = {
        "recurrence": time_recurrence,
        "layer": time_layers,
        "length": time_lengths,
        "accuracy": measure_accuracy,
    }
    for part in options.only:
        run[part](bench, names, options)
    return 0


def time_recurrence(bench: Bench, names: Sequence[str], options: argparse.Namespace) -> None:
    """Time every scan forward, and forward and backward, against the bytes it has to move."""
    table = bench.table("scan-recurrence", resets=rec.RESETS, dtype="float32 planar or complex64")
    for shape in SMALL_SHAPES if options.small else SHAPES:
        problem = rec.draw_problem(*shape)
        for backward in (False, True):
            time_scans(bench, table, problem, names, backward)


def time_scans(
    bench: Bench, table: Table, problem: rec.Problem, names: Sequence[str], backward: bool
) -> None:
    """Add a row for each scan of one problem in one direction, the references first."""
    shape, direction = problem.shape, rec.DIRECTIONS[backward]
    data_bytes = problem.b.nbytes * (4 if backward else 2)
    floor = rec.floor_bytes(*shape, backward) / bench.ceilings.copy
    references: dict[str, float] = {}
    for name, scan, arrays in rec.scans(problem, names):
        trace = bench.trace("recurrence", *shape, direction, name)
        try:
            timing = time_scan(scan, arrays, backward, trace)
        except LEFT_OUT as error:
            table.skip(f"{name} {direction} at {shape}", error)
            continue
        if name in rec.REFERENCES:
            references[name] = timing.median
        table.add(
            {
                **dict(zip("TBN", shape, strict=True)),
                "direction": direction,
                "scan": name,
                **timing.columns(),
                "floor ms": floor * 1e3,
                "share of copy %": 100 * floor / timing.median,
                **{f"x {r}": _over(references.get(r), timing) for r in rec.REFERENCES},
                "data MB": data_bytes / 1e6,
                "in cache": data_bytes < CACHE_BYTES,
            }
        )


def _over(reference: float | None, timing: Timing) -> float | None:
    """Return how many times as fast as a reference, or None before that has been timed."""
    return None if reference is None else reference / timing.median


def time_scan(scan: rec.Scan, problem: rec.Problem, backward: bool, trace: Path | None) -> Timing:
    """Time one scan."""
    if backward:
        return measure(rec.gradients(scan), *problem, trace=trace)
    return measure(scan, *problem.forward(), trace=trace)


def measure_accuracy(bench: Bench, names: Sequence[str], options: argparse.Namespace) -> None:
    """Compare states and gradients with loops in float64."""
    shape = SMALL_SHAPES[0] if options.small else ACCURACY_SHAPE
    table = bench.table("scan-accuracy", **dict(zip("TBN", shape, strict=True)))
    problem = rec.draw_problem(*shape)
    exact = rec.in_float64(jax.device_get(problem))
    for name, scan, arrays in rec.scans(problem, names):
        try:
            errors = rec.relative_errors(scan, arrays, exact)
        except LEFT_OUT as error:
            table.skip(f"{name} at {shape}", error)
            continue
        of = ("x", "gradient a", "gradient b", "gradient initial state")
        columns = {f"error of {o}": float(e) for o, e in zip(of, errors, strict=True)}
        table.add({"scan": name, **columns})


if __name__ == "__main__":
    sys.exit(main())
