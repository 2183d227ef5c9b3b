"""Updates compiled as two programs, acting and learning, so that the time of each is known."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.train.metrics import Metrics, add

# XLA's own choice of what becomes part of a CUDA graph, and loops: "+WHILE" in XLA_FLAGS.
_ONE_GRAPH = "CONDITIONAL,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,FUSION,WHILE"


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

    What a program returns takes the place of what it returned before: a CUDA graph of thousands
    of kernels needs 10 ms to be told that its arrays have moved.
    """

    def __init__(self, agent: Agent, num_seeds: int):
        collect: Callable = getattr(agent, "collect", lambda state: (state, ()))
        learn: Callable = getattr(agent, "learn", lambda state, _: agent.update(state))
        self.tells_acting = hasattr(agent, "collect")
        self.seconds = {"acting": 0.0, "learning": 0.0}

        def checked_learn(state: Any, batch: Any) -> tuple:
            state, metrics = learn(state, batch)
            numbers = (metrics["loss"].total, metrics["grad_norm"].total, agent.learnt(state))
            finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(numbers)]
            return state, (metrics, jnp.where(jnp.stack(finite).all(), 0, state.update))

        def traced_once(fn: Callable) -> Callable:
            return jax.jit(fn if num_seeds == 1 else jax.vmap(fn), inline=True)

        self._collect, self._checked_learn = traced_once(collect), traced_once(checked_learn)
        self._places: Any = None  # batch and outcome of the last update
        options = compiler_options()
        self._act: Any = jax.jit(
            lambda state, _: self._collect(state),
            donate_argnums=(0, 1),
            keep_unused=True,
            compiler_options=options,
        )
        self._learn: Any = jax.jit(
            lambda state, batch, _: self._checked_learn(state, batch),
            donate_argnums=(0, 2),
            keep_unused=True,
            compiler_options=options,
        )

    def compile(self, state: Any) -> int | None:
        """Compile ahead of time; return the bytes that the programs need, if the backend tells."""
        return self.compile_lowered(self.lower(state))

    def lower(self, state: Any) -> list[Any]:
        """Trace both programs for states of these shapes."""
        batch, outcome = self._shapes(state)
        return [self._act.lower(state, batch), self._learn.lower(state, batch, outcome)]

    def compile_lowered(self, programs: list[Any]) -> int | None:
        """Compile what ``lower`` returned, both at once."""
        with ThreadPoolExecutor() as pool:
            self._act, self._learn = pool.map(lambda program: program.compile(), programs)
        needed = [program.memory_analysis() for program in (self._act, self._learn)]
        if None in needed:
            return None
        return max(n.argument_size_in_bytes + n.temp_size_in_bytes for n in needed)

    def __call__(self, state: Any, count: int) -> tuple[Any, Metrics, np.ndarray]:
        """Do ``count`` updates, and wait for them."""
        batch, outcome = self._places or _zeros(self._shapes(state))
        sums: tuple[Metrics, np.ndarray] | None = None
        for _ in range(count):
            began = time.monotonic()
            state, batch = jax.block_until_ready(self._act(state, batch))
            acted = time.monotonic()
            state, outcome = self._learn(state, batch, outcome)
            told = jax.device_get(outcome)  # waits
            sums = told if sums is None else _add(sums, told)
            self.seconds["acting"] += acted - began
            self.seconds["learning"] += time.monotonic() - acted
        self._places = batch, outcome
        return state, *sums  # type: ignore[misc]

    def _shapes(self, state: Any) -> tuple[Any, Any]:
        state, batch = jax.eval_shape(self._collect, state)
        return batch, jax.eval_shape(self._checked_learn, state, batch)[1]


def _zeros(shapes: Any) -> Any:
    return jax.jit(lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))()


def _add(sums: tuple[Metrics, np.ndarray], new: tuple[Metrics, np.ndarray]) -> tuple:
    broken = np.where(sums[1] == 0, new[1], sums[1])  # the first stays
    return add(sums[0], new[0]), broken


def compiler_options() -> dict[str, str | bool] | None:
    """Return what the compiler should do for an update on this machine's kind of device.

    On a GPU, kernels of one CUDA graph that do not need each other may overlap: PPO-S5 in the
    published setting ran 1.2 times as fast on an H100, with twice the temporary memory. Loops
    become one CUDA graph each: 1.1 times as fast again, 1.15 in bfloat16. What XLA_FLAGS says of
    these comes first.
    """
    if jax.default_backend() != "gpu":
        return None
    options: dict[str, str | bool] = {
        "xla_gpu_command_buffer_scheduling_mode": "CONCURRENT",
        "xla_gpu_enable_command_buffer": _ONE_GRAPH,
        "xla_gpu_command_buffer_unroll_loops": True,
    }
    said = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in said}
