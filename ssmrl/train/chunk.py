"""Updates as compiled programs, and what of their time goes into acting and into learning."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.train.metrics import Metrics, add

# XLA's own choice of what becomes part of a CUDA graph, and loops. Not conditionals: inside an
# unrolled loop CUDA refuses them, and a loop with one is then left to the host.
_ONE_GRAPH = "CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,FUSION,WHILE"


class Agent(Protocol):
    """What the loop needs of an agent: pure functions of one state tree.

    An agent whose ``update`` is ``learn(*collect(state))`` may offer these two as well: what
    acting and learning take is then told apart.
    """

    steps_per_update: int
    num_updates: int

    def init(self, key: jax.Array) -> Any:
        """Return the first state."""

    def update(self, state: Any) -> tuple[Any, Metrics]:
        """Return the next state, whose ``update`` counts, and metrics with a loss."""

    def learnt(self, state: Any) -> Any:
        """Return the part of the state that has to stay finite."""


def init_seeds(agent: Agent, seed: int, num_seeds: int) -> Any:
    """Return the state of seed, or of seed, seed + 1, ... with a leading axis of seeds."""
    # Not vmapped: batches of orthogonal matrices can deadlock a CPU of few cores (jaxlib 0.10).
    init = jax.jit(agent.init)
    states = [init(jax.random.key(s)) for s in range(seed, seed + num_seeds)]
    return states[0] if num_seeds == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


class Chunk:
    """``chunk(state, count) -> state, metrics, broken``: so many updates of all seeds.

    ``state`` is donated; ``metrics`` are sums over the updates, as NumPy arrays. ``broken`` is
    the first update with a loss, gradient or result that is not finite, or 0. ``seconds`` adds up
    what acting and learning took. Programs are compiled at the first call, or by ``compile``.

    Acting and learning are two programs, which take the time of one to compile. On a GPU they are
    one, since a CUDA graph of thousands of kernels needs 5 ms to be told that its arrays moved;
    acting is timed there by a program of its own, once.
    """

    def __init__(self, agent: Agent, num_seeds: int):
        collect: Callable = getattr(agent, "collect", lambda state: (state, ()))
        learn: Callable = getattr(agent, "learn", lambda state, _: agent.update(state))
        self.tells_acting = hasattr(agent, "collect")
        self.seconds = {"acting": 0.0, "learning": 0.0}
        self._in_two = self.tells_acting and not on_gpu()
        self._acting: float | None = None  # seconds, where they are measured once

        def checked_learn(state: Any, batch: Any) -> tuple:
            state, metrics = learn(state, batch)
            numbers = (metrics["loss"].total, metrics["grad_norm"].total, agent.learnt(state))
            finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(numbers)]
            return state, (metrics, jnp.where(jnp.stack(finite).all(), 0, state.update))

        def traced_once(fn: Callable) -> Callable:
            return jax.jit(fn if num_seeds == 1 else jax.vmap(fn), inline=True)

        def program(fn: Callable, donated: tuple[int, ...] = (0,)) -> Any:
            return jax.jit(fn, donate_argnums=donated, compiler_options=compiler_options())

        first, second = traced_once(collect), traced_once(checked_learn)
        self._act = program(lambda state: first(state), (0,) if self._in_two else ())
        self._learn = program(lambda state, batch: second(state, batch))
        self._update = program(lambda state: second(*first(state)))

    def compile(self, state: Any) -> int | None:
        """Compile ahead of time; return the bytes that the programs need, if the backend tells."""
        return self.compile_lowered(self.lower(state))

    def lower(self, state: Any) -> dict[str, Any]:
        """Trace the programs for states of these shapes."""
        if not self._in_two:
            update = {"_update": self._update.lower(state)}
            return update | ({"_act": self._act.lower(state)} if self.tells_acting else {})
        acting = self._act.lower(state)
        return {"_act": acting, "_learn": self._learn.lower(*acting.out_info)}

    def compile_lowered(self, programs: dict[str, Any]) -> int | None:
        """Compile what ``lower`` returned, all at once."""
        with ThreadPoolExecutor() as pool:
            compiled = list(pool.map(lambda program: program.compile(), programs.values()))
        for name, program in zip(programs, compiled, strict=True):
            setattr(self, name, program)
        needed = [program.memory_analysis() for program in compiled]
        if None in needed:
            return None
        return max(n.argument_size_in_bytes + n.temp_size_in_bytes for n in needed)

    def __call__(self, state: Any, count: int) -> tuple[Any, Metrics, np.ndarray]:
        """Do ``count`` updates, and wait for them."""
        if self._acting is None and self.tells_acting and not self._in_two:
            self._acting = self._time_acting(state)
        sums: tuple[Metrics, np.ndarray] | None = None
        for _ in range(count):
            began = time.monotonic()
            if self._in_two:
                state, batch = jax.block_until_ready(self._act(state))
                acted = time.monotonic() - began
                state, outcome = self._learn(state, batch)
            else:
                acted = self._acting or 0.0
                state, outcome = self._update(state)
            told = jax.device_get(outcome)  # waits
            sums = told if sums is None else _add(sums, told)
            self.seconds["acting"] += acted
            self.seconds["learning"] += time.monotonic() - began - acted
        return state, *sums  # type: ignore[misc]

    def _time_acting(self, state: Any) -> float:
        jax.block_until_ready(self._act(state))  # the first call sets up its graphs
        began = time.monotonic()
        jax.block_until_ready(self._act(state))
        return time.monotonic() - began


def _add(sums: tuple[Metrics, np.ndarray], new: tuple[Metrics, np.ndarray]) -> tuple:
    broken = np.where(sums[1] == 0, new[1], sums[1])  # the first stays
    return add(sums[0], new[0]), broken


def on_gpu() -> bool:
    """Return whether updates run on a GPU."""
    return jax.default_backend() == "gpu"


def compiler_options() -> dict[str, str | bool] | None:
    """Return what the compiler should do for an update on this machine's kind of device.

    On a GPU, kernels of one CUDA graph that do not need each other may overlap: PPO-S5 in the
    published setting ran 1.2 times as fast on an H100, with twice the temporary memory. Loops
    become one CUDA graph each: 1.1 times as fast again, 1.15 in bfloat16. What XLA_FLAGS says of
    these comes first.
    """
    if not on_gpu():
        return None
    options: dict[str, str | bool] = {
        "xla_gpu_command_buffer_scheduling_mode": "CONCURRENT",
        "xla_gpu_enable_command_buffer": _ONE_GRAPH,
        "xla_gpu_command_buffer_unroll_loops": True,
    }
    said = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in said}
