"""Time starting up: a fresh process up to its first update, without and with cached programs.

    python -m benchmarks.compile [--presets paper/popgym quickstart]

Writes compile.json and compile.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Row, arguments, device_facts, new_table, slug
from benchmarks.timing import seconds_of

PRESETS = ("paper/popgym", "quickstart")


def main(argv: Sequence[str] | None = None) -> int:
    """Start each preset twice, with an empty folder of compiled programs and with a filled one."""
    parser = arguments("Time cold and warm starts.")
    parser.add_argument("--presets", nargs="+", default=PRESETS, metavar="PRESET")
    parser.add_argument("--start", metavar="PRESET", help=argparse.SUPPRESS)  # the fresh process
    options = parser.parse_args(argv)
    if options.start:
        print(json.dumps(start(options.start, options.small, options.profile)))
        return 0
    table = None
    for preset in options.presets:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("cold", "warm"):
                facts, row = time_start(preset, folder, cache, options)
                if table is None:  # this process leaves the device alone, and asks the others
                    table = new_table(options, facts, "compile", {})
                table.add({"preset": preset, "cache": cache, **row})
    return 0


def time_start(
    preset: str, folder: str, cache: str, options: argparse.Namespace
) -> tuple[dict[str, Any], Row]:
    """Return the facts about the device and the seconds of one fresh process."""
    command = [sys.executable, "-m", "benchmarks.compile", "--start", preset]
    command += ["--small"] if options.small else []
    if options.profile is not None:
        command += ["--profile", str(options.profile / slug(f"{preset} {cache}"))]
    # Half a second is what ssmrl train sets for its own folder of programs.
    own = {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    began = time.perf_counter()
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **own}
    ).stdout
    whole = time.perf_counter() - began
    found = json.loads(output.splitlines()[-1])
    seconds = {f"{name} s": value for name, value in found["seconds"].items()}
    share = 100 * found["seconds"]["first update"] / whole
    return found["facts"], {**seconds, "whole process s": whole, "share of update %": share}


def start(preset: str, small: bool, profile: Path | None) -> dict[str, Any]:
    """Do what ``ssmrl train`` does up to the end of the first update, part by part."""
    clock = [time.perf_counter()]
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        clock.append(time.perf_counter())
        seconds[name] = clock[-1] - clock[-2]

    import jax

    from agents.experiment import load_experiment
    from agents.run import make_agent
    from benchmarks.ppo import ENV, SMALL, SMALL_S5
    from ssmrl.train.chunk import Chunk, init_seeds
    from ssmrl.train.config import parse_overrides
    from ssmrl.train.runtime import enable_compilation_cache

    enable_compilation_cache()
    lap("imports")
    overrides = [*ENV, *SMALL, *SMALL_S5] if small else ENV
    agent = make_agent(load_experiment(preset, parse_overrides(overrides)))
    state = init_seeds(agent, 0, 1)
    jax.block_until_ready(state)
    lap("first state")
    chunk = Chunk(agent, 1)
    lowered = chunk.lower(state)
    lap("lowering")
    chunk.compile_lowered(lowered)
    lap("compiling")
    if profile is not None:
        with jax.profiler.trace(str(profile)):
            state, _, _ = jax.block_until_ready(chunk(state, 1))
    else:
        seconds_of(chunk, state, 1)
    lap("first update")
    return {"facts": device_facts(), "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
