"""Time whole training: PPO in the published setting, with other memories, seeds and batches.

    python -m benchmarks.ppo [--only s5 s5-seeds gru s5-wide] [--seeds 8] [-- --OPTION VALUE ...]
    python -m benchmarks.ppo --popjaxrl CHECKOUT [--only popjaxrl-s5 popjaxrl-gru ...]

Options after ``--`` are those of ``ssmrl train``, for every row of ours. Writes ppo.json and
ppo.md; with ``--name bfloat16`` ppo-bfloat16.json and .md.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.experiment import load_experiment
from agents.run import make_agent
from benchmarks.peer import RUNS, Peer, run_peer
from benchmarks.report import LEFT_OUT, Bench, arguments
from benchmarks.timing import Timing, sample, seconds_of
from ssmrl.errors import TrainingError
from ssmrl.train.chunk import Chunk, compiler_options, init_seeds
from ssmrl.train.config import parse_overrides

ENV = ["--env.name=popgym/RepeatPreviousEasy"]
SMALL = [
    "--memory.features=16", "--ppo.encoder-sizes=16", "--ppo.head-sizes=16", "--ppo.num-envs=8",
    "--ppo.num-steps=16", "--ppo.num-epochs=2", "--ppo.num-minibatches=2",
]  # fmt: skip
SMALL_S5 = ["--memory.state-size=16", "--memory.num-layers=2"]
MATRICES = ("kernel", "recurrent_kernel", "b", "c")  # parameters that enter a matrix product


@dataclass(frozen=True)
class Setting:
    """One row: a preset, what is changed of it, and whether seeds are vmapped."""

    preset: str
    overrides: tuple[str, ...] = ()
    many_seeds: bool = False


SETTINGS = {
    "s5": Setting("paper/popgym"),
    "s5-seeds": Setting("paper/popgym", many_seeds=True),
    "gru": Setting("paper/popgym_gru"),
    "s5-wide": Setting(
        "paper/popgym", ("--ppo.num-envs=1024", "--ppo.num-steps=128", "--ppo.num-epochs=4")
    ),
}
PEERS = {f"popjaxrl-{memory}": memory for memory in RUNS}


def main(argv: Sequence[str] | None = None) -> int:
    """Time the settings that were asked for."""
    argv = list(sys.argv[1:] if argv is None else argv)
    split = argv.index("--") if "--" in argv else len(argv)
    parser = arguments("Time the training of recurrent PPO.")
    parser.add_argument("--only", nargs="+", choices=(*SETTINGS, *PEERS), help="rows")
    parser.add_argument("--seeds", type=int, default=8, help="vmapped in the row s5-seeds")
    parser.add_argument("--updates", type=int, default=1, help="in each of the timed chunks")
    parser.add_argument("--repeats", type=int, default=5, help="timed chunks")
    parser.add_argument("--popjaxrl", type=Path, metavar="PATH", help="a checkout to compare with")
    options = parser.parse_args(argv[:split])
    overrides = argv[split + 1 :]
    rows = options.only or [*SETTINGS, *(PEERS if options.popjaxrl else [])]
    if options.popjaxrl is None and (peers := [name for name in rows if name in PEERS]):
        parser.error(f"{peers[0]} is timed in a checkout of popjaxrl: give --popjaxrl PATH")

    bench = Bench.start(options)
    table = bench.table("ppo", options=" ".join([*ENV, *overrides]))
    for name in rows:
        try:
            if name in PEERS:
                row = peer_row(name, run_peer(options.popjaxrl, PEERS[name], options.small))
            else:
                row = time_training(bench, name, options, overrides)
            table.add(row)
        except LEFT_OUT as error:
            table.skip(name, error)
    return 0


def time_training(
    bench: Bench, name: str, options: argparse.Namespace, overrides: Sequence[str]
) -> dict[str, Any]:
    """Compile and time the updates of one setting, and its halves apart."""
    setting = SETTINGS[name]
    num_seeds = options.seeds if setting.many_seeds else 1
    agent = make_small_or_published(setting, options.small, overrides)
    state = init_seeds(agent, 0, num_seeds)
    flops = update_flops(agent, state.params)
    compile_seconds, update = time_updates(
        agent, state, num_seeds, options.updates, options.repeats, bench.trace("ppo", name)
    )
    halves = time_halves(agent, state, num_seeds)
    c = agent.config
    steps = agent.steps_per_update * num_seeds
    floor = flops / bench.ceilings.matmul[c.compute_dtype]
    return {
        "setting": name,
        "seeds": num_seeds,
        "envs x steps": f"{c.num_envs} x {c.num_steps}",
        "epochs x minibatches": f"{c.num_epochs} x {c.num_minibatches}",
        "steps/s": steps / update.median,
        "low steps/s": steps / update.high,
        "high steps/s": steps / update.low,
        "update s": update.median,
        "roll-out s": halves["rollout"].median,
        "learning s": halves["learn"].median,
        "compile s": compile_seconds,
        "TFLOP of an update": flops / 1e12,
        "matmul floor s": floor,
        "share of matmul rate %": 100 * floor / update.median,
    }


def make_small_or_published(setting: Setting, small: bool, overrides: Sequence[str]) -> Any:
    """Return the agent of a setting; later overrides win."""
    own = [*ENV, *setting.overrides]
    if small:
        own += [*SMALL, *(SMALL_S5 if setting.preset == "paper/popgym" else [])]
    return make_agent(load_experiment(setting.preset, parse_overrides([*own, *overrides])))


def update_flops(agent: Any, params: Any) -> int:
    """Return the FLOPs of the matrix products in one update of all seeds in ``params``.

    Acting sees each step of the roll-out once; learning sees it once an epoch, forward and with
    twice as much backward.
    """
    return step_flops(params) * agent.steps_per_update * (1 + 3 * agent.config.num_epochs)


def step_flops(params: Any) -> int:
    """Return the FLOPs of one step of one environment: two for each number of each matrix."""
    named = jax.tree_util.tree_leaves_with_path(params)
    return 2 * sum(leaf.size for path, leaf in named if path[-1].key in MATRICES)


def time_updates(
    agent: Any, state: Any, num_seeds: int, updates: int, repeats: int, trace: Path | None
) -> tuple[float, Timing]:
    """Return the seconds of compiling, and of an update in chunks such as training runs."""
    state = jax.tree.map(jnp.copy, state)  # chunks overwrite it
    chunk = Chunk(agent, num_seeds)
    compile_seconds = seconds_of(chunk.compile, state)

    def run(count: int) -> Any:
        nonlocal state
        state, metrics, broken = chunk(state, count)
        if np.any(broken):
            raise TrainingError("an update gave a number that is not finite: it has no meaning")
        return metrics

    timing = sample(run, units=updates, repeats=repeats, trace=trace)
    return compile_seconds, timing


def time_halves(agent: Any, state: Any, num_seeds: int) -> dict[str, Timing]:
    """Time roll-out and learning as programs of their own, three times each."""

    def vmapped(fn: Callable[..., Any]) -> Callable[..., Any]:
        fn = fn if num_seeds == 1 else jax.vmap(fn)
        return jax.jit(fn, compiler_options=compiler_options())

    act, learn = vmapped(agent.collect), vmapped(agent.learn)
    state, batch = act(state)

    def repeat(fn: Callable[..., Any], *args: Any) -> Timing:
        return sample(lambda units: [fn(*args) for _ in range(units)], units=1, repeats=3)

    return {"rollout": repeat(act, state), "learn": repeat(learn, state, batch)}


def peer_row(name: str, peer: Peer) -> dict[str, Any]:
    """Return what is known of the peer, in the columns of the other rows."""
    return {
        "setting": name,
        "seeds": 1,
        "envs x steps": f"{peer.num_envs} x {peer.num_steps}",
        "epochs x minibatches": f"{peer.num_epochs} x {peer.num_minibatches}",
        "steps/s": peer.steps / peer.median,
        "low steps/s": peer.steps / peer.high,
        "high steps/s": peer.steps / peer.low,
        "update s": peer.median,
        "compile s": peer.compile_seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
