"""Train the same setting along several paths: what is faster must not learn worse.

    python -m benchmarks.learning [--preset paper/popgym] [--seeds 5] [--steps 4000000] [--only ...]

Writes learning-PRESET.json, .md and .png, the curves of all paths in one picture.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.commands.train import start
from benchmarks.ppo import ENV, SMALL, SMALL_S5
from benchmarks.report import Row, arguments, device_facts, new_table, slug
from ssmrl.report.plot import curve, plot_curves
from ssmrl.train.config import parse_overrides
from ssmrl.train.run_folder import RunFolder

PATHS = {
    "default": [],
    "associative": ["--memory.implementation=associative"],
    "bfloat16": ["--ppo.compute-dtype=bfloat16"],
}
LEARNT = 0.9  # a return near the greatest, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Train along each path, and compare how soon and how well they learn."""
    parser = arguments("Compare the learning curves of several paths through the code.")
    parser.add_argument("--preset", default="paper/popgym", help="of ssmrl train")
    parser.add_argument("--seeds", type=int, default=5, help="side by side, the same on each path")
    parser.add_argument("--steps", type=int, help="environment steps; by default the preset's")
    parser.add_argument("--only", nargs="+", choices=tuple(PATHS), default=tuple(PATHS))
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="where run folders are kept")
    options = parser.parse_args(argv)

    settings = {"preset": options.preset, "seeds": options.seeds, "options": " ".join(ENV)}
    table = new_table(options, device_facts(), f"learning-{slug(options.preset)}", settings)
    with tempfile.TemporaryDirectory() as scratch:
        runs = [
            (path, train(path, options, options.runs or Path(scratch))) for path in options.only
        ]
        for path, trained in runs:
            table.add({"path": path, **describe(trained)})
        title = f"{options.preset} on {ENV[0].split('=')[1]}"
        plot_curves(runs, title, table.folder / f"{table.name}.png")
    return 0


def train(path: str, options: argparse.Namespace, runs: Path) -> RunFolder:
    """Train along one path; returns its run folder."""
    own = [*ENV, *PATHS[path], f"--num-seeds={options.seeds}", f"--run-dir={runs / path}"]
    own += ["--checkpoint-every=1000000"]  # only the last
    own += [] if options.steps is None else [f"--total-steps={options.steps}"]
    own += [*SMALL, *SMALL_S5] if options.small else []
    start(options.preset, parse_overrides(own))
    return RunFolder.open(runs / path)


def describe(trained: RunFolder) -> Row:
    """Return when each seed first saw a mean return of ``LEARNT``, and the final evaluations."""
    steps, returns = curve(trained.read_rows())
    reached = [int(steps[np.argmax(r >= LEARNT)]) for r in returns.T if (r >= LEARNT).any()]
    row: Row = {"seeds": returns.shape[1], "env steps": int(steps[-1])}
    row[f"seeds that reached {LEARNT}"] = len(reached)
    for label, pick in (("mean", np.mean), ("first", np.min), ("last", np.max)):
        row[f"steps to {LEARNT}, {label}"] = int(pick(reached)) if reached else None
    return row | _evaluations(json.loads((trained.path / "evaluation.json").read_text()))


def _evaluations(results: dict[str, Any]) -> Row:
    row: Row = {}
    for kind in ("greedy", "sampled"):
        row[f"{kind} return"] = results[kind]["mean"]
        row[f"{kind} low"], row[f"{kind} high"] = results[kind]["mean_interval"]
    return row


if __name__ == "__main__":
    sys.exit(main())
