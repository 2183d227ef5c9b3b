"""Time gradient steps of Recall to Imagine: by the window's length, and what the time goes into.

    python -m benchmarks.world_model [--only lengths parts] [-- --OPTION VALUE ...]

Options after ``--`` are those of ``ssmrl train``. Writes world-model-lengths and world-model-parts,
.json and .md each. A step is of four windows. The memory (512 features, 128 complex states, 3
layers) is of the size that Samsami et al. 2024 use for POPGym, where a model has 12.7 million
parameters. So does this one have 13.0 million, with smaller heads and 20 x 16 latents for 32 x 32.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from agents.experiment import load_experiment
from agents.run import make_agent
from benchmarks.flops import flops_of
from benchmarks.report import LEFT_OUT, Bench, arguments
from benchmarks.timing import Timing, sample
from ssmrl.train.chunk import compiler_options
from ssmrl.train.config import parse_overrides
from ssmrl.train.sizes import bytes_of
from ssmrl.world_model.behaviour import critic_of, starts
from ssmrl.world_model.moments import with_states

BATCH = 4  # windows
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
SIZES = [
    "--r2i.num-envs=16", "--r2i.num-steps=16", "--r2i.groups=20", "--r2i.classes=16",
    "--r2i.units=512", "--r2i.encoder-sizes=512", "--r2i.decoder-sizes=512",
    "--r2i.head-sizes", "512", "512", "--r2i.policy-sizes", "512", "512",
    "--memory.features=512", "--memory.state-size=256", "--memory.num-layers=3",
    "--r2i.num-starts=128", "--r2i.horizon=15", "--r2i.replay-steps=131072",
]  # fmt: skip
SMALL = [
    "--r2i.num-envs=4", "--r2i.num-steps=4", "--r2i.groups=4", "--r2i.classes=4",
    "--r2i.units=16", "--r2i.encoder-sizes=16", "--r2i.decoder-sizes=16", "--r2i.head-sizes=16",
    "--r2i.policy-sizes=16", "--memory.features=16", "--memory.state-size=16",
    "--memory.num-layers=2", "--r2i.num-starts=8", "--r2i.horizon=3", "--r2i.replay-steps=1024",
]  # fmt: skip
STEPS = 64  # gradient steps of one call: the call itself can take as long as one of them


def main(argv: Sequence[str] | None = None) -> int:
    """Time what was asked for."""
    argv = list(sys.argv[1:] if argv is None else argv)
    split = argv.index("--") if "--" in argv else len(argv)
    parser = arguments("Time gradient steps of a world-model agent.")
    parser.add_argument("--only", nargs="+", choices=("lengths", "parts"), help="tables")
    parser.add_argument("--memory", nargs="+", default=["s5"], help="backbones")
    parser.add_argument("--lengths", nargs="+", type=int, help="of windows")
    options = parser.parse_args(argv[:split])
    bench, overrides = Bench.start(options), argv[split + 1 :]
    tables = options.only or ["lengths", "parts"]
    default = (8, 16) if options.small else LENGTHS
    if "lengths" in tables:
        table = bench.table("world-model-lengths", options=" ".join(overrides) or "none")
        for memory in options.memory:
            for length in options.lengths or default:
                try:
                    table.add(time_length(bench, memory, length, overrides))
                except LEFT_OUT as error:
                    table.skip(f"{memory} at length {length}", error)
    if "parts" in tables:
        table = bench.table("world-model-parts", options=" ".join(overrides) or "none")
        length = min(1024, max(options.lengths or default))
        for memory in options.memory:
            for row in time_parts(bench, memory, length, overrides):
                table.add({"memory": memory, "length": length, **row})
    return 0


def make(memory: str, length: int, small: bool, overrides: Sequence[str]) -> tuple[Any, Any]:
    """Return the agent, and a state whose replay holds nothing but counts as full."""
    own = [*(SMALL if small else SIZES), f"--r2i.window={length}", f"--r2i.batch-size={BATCH}"]
    own += [f"--memory.name={memory}"]
    if memory != "s5":
        own = [o for o in own if not o.startswith("--memory.state-size")]
    own += [f"--r2i.train-ratio={BATCH * length / (16 if small else 256)}"]  # one step in an update
    experiment = load_experiment("r2i/popgym", parse_overrides([*own, *overrides]))
    agent = make_agent(experiment)
    shapes = jax.eval_shape(agent.init, jax.random.key(0))
    actor = agent.policy.begin(agent.env, jax.random.key(1))
    params = jax.jit(agent.policy.init)(jax.random.key(2), actor).params
    data = {"params": params, "actor": actor, "key": jax.random.key(3)}
    rest = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes.replace(**data))
    slow = jax.tree.map(jnp.copy, critic_of(params))  # apart, to be donated
    state = rest.replace(**data, slow=slow)
    pieces = agent.config.capacity // agent.config.num_steps
    return agent, state.replace(replay=state.replay.replace(written=jnp.int32(pieces)))


def time_length(bench: Bench, memory: str, length: int, overrides: Sequence[str]) -> dict[str, Any]:
    """Return a row: one gradient step with windows of this length."""
    agent, state = make(memory, length, bench.options.small, overrides)
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    flops = flops_of(agent.descend, state, jax.random.key(0))
    timing = time_steps(agent, agent.descend, state)
    floor = flops / bench.ceilings.matmul[agent.config.compute_dtype]
    return {
        "memory": memory,
        "window": f"{agent.config.batch_size} x {length}",
        "starts": agent.config.num_starts,
        "parameters": parameters,
        **timing.columns(),
        "replayed steps/s": agent.config.batch_size * length / timing.median,
        "TFLOP": flops / 1e12,
        "matmul floor ms": 1e3 * floor,
    }


def time_steps(agent: Any, descend: Callable, state: Any) -> Timing:
    """Time gradient steps in a compiled loop of as many as asked for, as updates are."""

    def loop(state: Any, key: jax.Array, count: jax.Array) -> Any:
        step = lambda i, state: descend(state, jax.random.fold_in(key, i))[0]  # noqa: E731
        return jax.lax.fori_loop(0, count, step, state)

    key, count = jax.random.key(0), jnp.int32(STEPS)
    options = compiler_options(**agent.gpu_options)
    program = jax.jit(loop, donate_argnums=0, compiler_options=options)
    compiled = program.lower(state, key, count).compile()

    def run(units: int) -> Any:
        nonlocal state
        for _ in range(units):
            state = compiled(state, key, count)
        return state.update

    return sample(run, calls_per_unit=STEPS)


def time_parts(
    bench: Bench, memory: str, length: int, overrides: Sequence[str]
) -> list[dict[str, Any]]:
    """Return rows: the parts of a gradient step, each by itself, and the whole."""
    agent, state = make(memory, length, bench.options.small, overrides)
    c, keys = agent.config, jax.random.split(jax.random.key(0), 3)
    window = jax.jit(lambda s: s.replay.sample(keys[0], c.batch_size, length))(state)
    functions = part_functions(agent, window, keys)
    rows = []
    for name, fn in functions.items():
        timing = time_steps(agent, partial(_kept, fn), jax.tree.map(jnp.copy, state))
        flops = flops_of(fn, state)
        floor = flops / bench.ceilings.matmul[c.compute_dtype]
        rows.append({"part": name, **timing.columns(), "matmul floor ms": 1e3 * floor})
    timing = time_steps(agent, agent.descend, state)
    flops = flops_of(agent.descend, state, keys[0])
    floor = flops / bench.ceilings.matmul[c.compute_dtype]
    rows.append({"part": "whole", **timing.columns(), "matmul floor ms": 1e3 * floor})
    rows[-1]["replay MiB"] = bytes_of(state.replay) / 2**20
    return rows


def part_functions(agent: Any, window: Any, keys: jax.Array) -> dict[str, Callable[[Any], Any]]:
    """Return functions of the state: what a gradient step does, part by part."""
    c, d, apply = agent.config, window.data, agent.network.apply
    action = agent.policy.encode(d.action)

    def observe(params: Any) -> Any:
        seen = (window.carry, d.obs, action, d.start, keys[1], agent.every)
        return apply(params, *seen, method="observe")[1]

    def model(params: Any) -> jax.Array:
        happened = (d.obs, action, d.reward, d.return_ends, d.ended, c.free_nats)
        parts = apply(params, observe(params), *happened, method="losses")
        return sum(part.mean() for part in parts.values())

    def imagine(state: Any) -> Any:
        moments = with_states(observe(state.params).moments, agent.every)
        first = starts(moments, c.num_starts, keys[1])
        return agent.policy.imagine(state.params, first, jax.random.split(keys[2], c.horizon))

    return {
        "sample": lambda s: s.replay.sample(keys[0], c.batch_size, c.window),
        "observe, forward": lambda s: observe(s.params),
        "model, forward and backward": lambda s: jax.grad(model)(s.params),
        "observe and imagine, forward": imagine,
    }


def _kept(fn: Callable[[Any], Any], state: Any, _: jax.Array) -> tuple[Any, jax.Array]:
    """Call ``fn``; what comes of it decides upon the next state, so that none is left out."""
    out = fn(jax.lax.optimization_barrier(state))
    leaves = [x for x in jax.tree.leaves(out) if jnp.issubdtype(x.dtype, jnp.number)]
    total = jnp.stack([jnp.sum(x, dtype=jnp.float32) for x in leaves]).sum()
    return state.replace(update=state.update + jnp.isnan(total)), total


if __name__ == "__main__":
    sys.exit(main())
