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

    ``state`` is donated; ``metrics`` are sums over the updates. ``broken`` is the first update
    with a loss, gradient or result that is not finite, or 0. ``seconds`` adds up what acting and
    learning took. Programs are compiled at the first call, or before by ``compile``.
    """

    def __init__(self, agent: Agent, num_seeds: int, *, one_graph: bool = True):
        collect: Callable = getattr(agent, "collect", lambda state: (state, ()))
        learn: Callable = getattr(agent, "learn", lambda state, _: agent.update(state))
        self.tells_acting = hasattr(agent, "collect")
        self.seconds = {"acting": 0.0, "learning": 0.0}

        def checked_learn(state: Any, batch: Any) -> tuple:
            state, metrics = learn(state, batch)
            numbers = (metrics["loss"].total, metrics["grad_norm"].total, agent.learnt(state))
            finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(numbers)]
            return state, metrics, jnp.stack(finite).all()

        vmapped = lambda fn: fn if num_seeds == 1 else jax.vmap(fn)  # noqa: E731
        # Jitted, so that the shapes of metrics and the program share one trace of it.
        checked = jax.jit(vmapped(checked_learn), inline=True)

        def learn_and_add(state: Any, batch: Any, metrics: Metrics, broken: jax.Array) -> tuple:
            state, new, finite = checked(state, batch)
            broken = jnp.where((broken == 0) & ~finite, state.update, broken)
            return state, add(metrics, new), broken

        options = compiler_options(one_graph)
        self._act: Any = jax.jit(vmapped(collect), donate_argnums=0, compiler_options=options)
        self._learn: Any = jax.jit(
            learn_and_add, donate_argnums=(0, 2, 3), compiler_options=options
        )
        self._checked = checked
        self._zeros: tuple[Metrics, np.ndarray] | None = None

    def compile(self, state: Any) -> int | None:
        """Compile ahead of time; return the bytes that the programs need, if the backend tells."""
        return self.compile_lowered(self.lower(state))

    def lower(self, state: Any) -> list[Any]:
        """Trace both programs for states of these shapes."""
        acting = self._act.lower(state)
        state, batch = acting.out_info
        return [acting, self._learn.lower(state, batch, *self._nothing_yet(state, batch))]

    def compile_lowered(self, programs: list[Any]) -> int | None:
        """Compile what ``lower`` returned, both at once."""
        with ThreadPoolExecutor() as pool:
            self._act, self._learn = pool.map(lambda program: program.compile(), programs)
        needed = [program.memory_analysis() for program in (self._act, self._learn)]
        if None in needed:
            return None
        return max(n.argument_size_in_bytes + n.temp_size_in_bytes for n in needed)

    def __call__(self, state: Any, count: int) -> tuple[Any, Metrics, jax.Array]:
        """Do ``count`` updates, and wait for them."""
        sums: tuple = ()
        for _ in range(count):
            began = time.monotonic()
            state, batch = jax.block_until_ready(self._act(state))
            acted = time.monotonic()
            sums = sums or self._nothing_yet(state, batch)
            state, *sums = jax.block_until_ready(self._learn(state, batch, *sums))
            self.seconds["acting"] += acted - began
            self.seconds["learning"] += time.monotonic() - acted
        return state, *sums

    def _nothing_yet(self, state: Any, batch: Any) -> tuple[Metrics, np.ndarray]:
        if self._zeros is None:
            new, metrics, _ = jax.eval_shape(self._checked, state, batch)
            zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), metrics)
            self._zeros = zeros, np.zeros(new.update.shape, new.update.dtype)
        return jax.device_put(self._zeros)  # anew, since what is donated is gone


def compiler_options(one_graph: bool = True) -> dict[str, str | bool] | None:
    """Return what the compiler should do for an update on this machine's kind of device.

    On a GPU, kernels of one CUDA graph that do not need each other may overlap: PPO-S5 in the
    published setting ran 1.2 times as fast on an H100, with twice the temporary memory. With
    ``one_graph``, loops become one CUDA graph each: 1.1 to 1.15 times as fast again. What XLA_FLAGS
    says of either comes first.
    """
    if jax.default_backend() != "gpu":
        return None
    options: dict[str, str | bool] = {"xla_gpu_command_buffer_scheduling_mode": "CONCURRENT"}
    if one_graph:
        options |= {
            "xla_gpu_enable_command_buffer": _ONE_GRAPH,
            "xla_gpu_command_buffer_unroll_loops": True,
        }
    said = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in said}
