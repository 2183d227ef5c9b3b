"""The host loop: calls a jitted chunk of updates and does all input and output between chunks."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from ssmrl.errors import TrainingError
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.metrics import Metrics, add, to_row
from ssmrl.train.progress import ProgressBar
from ssmrl.train.run_folder import RunFolder


class Agent(Protocol):
    """What the loop needs of an agent: pure functions of one state tree."""

    steps_per_update: int
    num_updates: int

    def init(self, key: jax.Array) -> Any:
        """Return the first state."""

    def update(self, state: Any) -> tuple[Any, Metrics]:
        """Return the next state, whose ``update`` counts, and metrics with a loss."""

    def learnt(self, state: Any) -> Any:
        """Return the part of the state that has to stay finite."""


@dataclass(frozen=True)
class Schedule:
    """When the loop stops to write."""

    log_every: int  # updates per row of metrics
    checkpoint_every: int  # updates per checkpoint, rounded up to whole rows


def init_seeds(agent: Agent, seed: int, num_seeds: int) -> Any:
    """Return the state of seed, or of seed, seed + 1, ... with a leading axis of seeds."""
    # Not vmapped: batches of orthogonal matrices can deadlock a CPU of few cores (jaxlib 0.10).
    init = jax.jit(agent.init)
    states = [init(jax.random.key(s)) for s in range(seed, seed + num_seeds)]
    return states[0] if num_seeds == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def make_chunk(agent: Agent, num_seeds: int) -> jax.stages.Wrapped:
    """Return jitted ``chunk(state, count) -> state, metrics, broken``.

    ``count`` is traced, so that one compilation serves the whole run; ``state`` is donated.
    ``broken`` is the first update with a loss, gradient or result that is not finite, or 0.
    """

    def checked_update(state: Any) -> tuple:
        state, metrics = agent.update(state)
        numbers = (metrics["loss"].total, metrics["grad_norm"].total, agent.learnt(state))
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(numbers)]
        return state, metrics, jnp.stack(finite).all()

    # Jitted, so that the shapes of metrics and the loop share one trace of it.
    update = jax.jit(checked_update if num_seeds == 1 else jax.vmap(checked_update), inline=True)

    def body(_: int, carry: tuple) -> tuple:
        state, metrics, broken = carry
        state, new, finite = update(state)
        broken = jnp.where((broken == 0) & ~finite, state.update, broken)
        return state, add(metrics, new), broken

    def chunk(state: Any, count: jax.Array) -> tuple:
        _, shapes, _ = jax.eval_shape(update, state)
        metrics = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        carry = (state, metrics, jnp.zeros_like(state.update))
        return jax.lax.fori_loop(0, count, body, carry)

    return jax.jit(chunk, donate_argnums=0, compiler_options=compiler_options())


def compiler_options() -> dict[str, str | bool] | None:
    """Return what the compiler should do for an update on this machine's kind of device.

    On a GPU, kernels of one CUDA graph that do not need each other may overlap: PPO-S5 in the
    published setting ran 1.2 times as fast on an H100, with twice the temporary memory.
    """
    if jax.default_backend() != "gpu":
        return None
    return {"xla_gpu_command_buffer_scheduling_mode": "CONCURRENT"}


def compile_chunk(
    agent: Agent, state: Any, num_seeds: int, console: Console
) -> Callable[[Any, jax.Array], tuple]:
    """Compile ahead of time, and say how long it took and what memory the program needs."""
    began = time.monotonic()
    compiled = make_chunk(agent, num_seeds).lower(state, jnp.int32(1)).compile()
    seconds = time.monotonic() - began
    memory = compiled.memory_analysis()
    needed = ""
    if memory is not None:  # some backends do not tell
        size = (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 2**20
        needed = f"; the update needs {size:,.0f} MiB"
    console.print(f"compiled in {seconds:.1f} s{needed}")
    return compiled


def train(
    agent: Agent,
    state: Any,
    chunk: Callable[[Any, jax.Array], tuple],
    folder: RunFolder,
    schedule: Schedule,
    num_seeds: int,
    console: Console,
) -> tuple[Any, bool]:
    """Update until the end or until interrupted; return the state and whether it is the end.

    ``chunk`` is that of ``compile_chunk``; ``state`` is donated to it.
    Raises ``TrainingError`` at a loss that is not finite; checkpoints keep the last good state.
    """
    from tensorboardX import SummaryWriter

    checkpoints = Checkpoints(folder.checkpoints)
    update = int(np.max(state.update))
    rows = folder.drop_rows_after(update)
    seconds = rows[-1]["seconds"] if rows else 0.0
    writer = SummaryWriter(str(folder.path), purge_step=update * agent.steps_per_update + 1)
    bar = ProgressBar(
        console, agent.num_updates * agent.steps_per_update, update * agent.steps_per_update
    )
    with writer, bar, _interruptible() as interrupted:
        while update < agent.num_updates and not interrupted:
            count = min(
                schedule.log_every - update % schedule.log_every, agent.num_updates - update
            )
            began = time.monotonic()
            state, metrics, broken = chunk(state, jax.device_put(np.int32(count)))
            metrics, broken = jax.device_get((metrics, broken))
            elapsed = time.monotonic() - began
            _check_finite(broken, checkpoints.newest(), folder)
            update += count
            seconds += elapsed
            row: dict[str, Any] = {
                "update": update,
                "env_steps": update * agent.steps_per_update,
                "seconds": round(seconds, 4),
                "steps_per_second": count * agent.steps_per_update * num_seeds / elapsed,
                **to_row(metrics),
            }
            folder.append_row(row)
            _write_events(writer, row)
            bar.update(row["env_steps"], row["steps_per_second"], mean(row["episode_return_mean"]))
            if update % schedule.checkpoint_every < count or update == agent.num_updates:
                writer.flush()  # a checkpoint must not be ahead of the events before it
                checkpoints.save(update, state)
        if checkpoints.newest() != update:
            checkpoints.save(update, state)
    return state, update >= agent.num_updates


def mean(value: float | list[float | None] | None) -> float | None:
    """Return the mean over seeds of a metric, leaving out seeds without one."""
    values = [v for v in (value if isinstance(value, list) else [value]) if v is not None]
    return float(np.mean(values)) if values else None


def _check_finite(broken: Any, saved: int | None, folder: RunFolder) -> None:
    left = "there is no checkpoint yet"
    if saved is not None:
        left = f"the checkpoint after update {saved} stays in {folder.checkpoints}"
    for seed, update in enumerate(np.atleast_1d(broken)):
        if update:
            which = f" (seed number {seed})" if np.ndim(broken) else ""
            raise TrainingError(
                f"update {update}{which} gave a loss, gradient or statistic that is not finite; "
                f"{left}; start anew with a smaller learning rate, or look for faulty rewards "
                "with ssmrl check"
            )


def _write_events(writer: Any, row: dict[str, Any]) -> None:
    for name, value in row.items():
        if name not in ("update", "env_steps") and (number := mean(value)) is not None:
            writer.add_scalar(name, number, row["env_steps"])


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C or a termination signal; a second one kills."""
    received: list[int] = []

    def receive(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(number, signal.default_int_handler)

    old = {s: signal.signal(s, receive) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
