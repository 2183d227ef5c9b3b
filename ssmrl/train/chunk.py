"""Updates as compiled programs, and what of their time goes into acting and into learning."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.train.lean import lean
from ssmrl.train.metrics import Metrics, add

# XLA's own choice of what becomes part of a CUDA graph, and loops. Not conditionals: inside an
# unrolled loop CUDA refuses them, and a loop with one is then left to the host.
_ONE_GRAPH = "CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,FUSION,WHILE"


class Agent(Protocol):
    """What the loop needs of an agent: pure functions of one state tree.

    An agent whose ``update`` is ``learn(*collect(state))`` may offer these two as well: what
    acting and learning take is then told apart.

    An agent whose numbers can be swept has a static ``hyperparameters(config)``, which returns a
    dataclass of scalar arrays that are named as the options of its section, and takes such a tree
    as ``init(key, hyper)``. The state then keeps those, and nothing looks at the section for them:
    members that differ in nothing else train in one program.

    An agent that acts without a large part of its state may say so: see ``ssmrl.train.lean``. One
    that has ``gpu_options`` asks the compiler for those as well, on a GPU.
    """

    steps_per_update: int
    num_updates: int

    def init(self, key: jax.Array) -> Any:
        """Return the first state."""

    def update(self, state: Any) -> tuple[Any, Metrics]:
        """Return the next state, whose ``update`` counts, and metrics with a loss."""

    def learnt(self, state: Any) -> Any:
        """Return the part of the state that has to stay finite."""


def init_seeds(agent: Agent, seed: int, num_seeds: int, hypers: Sequence[Any] = ()) -> Any:
    """Return the state of seed, or of seed, seed + 1, ... with a leading axis of members.

    With ``hypers``, members are all seeds with the first of these, then with the next, and so on.
    """
    # Not vmapped: batches of orthogonal matrices can deadlock a CPU of few cores (jaxlib 0.10).
    init = jax.jit(agent.init)
    given: list[tuple] = [(hyper,) for hyper in hypers] or [()]
    seeds = range(seed, seed + num_seeds)
    states = (init(jax.random.key(s), *hyper) for hyper in given for s in seeds)
    return _stack(states, len(given) * len(seeds))


def _stack(states: Iterator[Any], count: int) -> Any:
    """Return states with a leading axis, or the only one; one at a time is there beside them."""
    first = next(states)
    if count == 1:
        return first
    put = jax.lax.dynamic_update_index_in_dim
    write = jax.jit(
        lambda all_, one, i: jax.tree.map(lambda x, new: put(x, new, i, 0), all_, one),
        donate_argnums=0,
    )
    broadcast = lambda x: jnp.broadcast_to(x, (count, *x.shape))  # noqa: E731
    stacked = jax.jit(lambda one: jax.tree.map(broadcast, one))(first)
    del first
    for i, state in enumerate(states, 1):
        stacked = write(stacked, state, i)
    return stacked


class Chunk:
    """``chunk(state, count) -> state, metrics, broken``: so many updates of all members.

    ``state`` is donated; ``metrics`` are sums over the updates, as NumPy arrays. ``broken`` is
    the first update with a loss, gradient or result that is not finite, or 0. ``seconds`` adds up
    what acting and learning took. Programs are compiled at the first call, or by ``compile``.

    Acting and learning are two programs, which take the time of one to compile. On a GPU all is
    one loop, since a CUDA graph of thousands of kernels needs 5 ms to be told that its arrays
    moved; acting is timed there by a program of its own, now and then.
    """

    def __init__(self, agent: Agent, num_members: int):
        collect: Callable = getattr(agent, "collect", lambda state: (state, ()))
        learn: Callable = getattr(agent, "learn", lambda state, _: agent.update(state))
        self.tells_acting = hasattr(agent, "collect")
        self.seconds = {"acting": 0.0, "learning": 0.0}
        self._in_two = self.tells_acting and not on_gpu()
        self._calls, self._acting = 0, math.inf  # seconds, where they are measured now and then

        def checked_learn(state: Any, batch: Any) -> tuple:
            state, metrics = learn(state, batch)
            numbers = (metrics["loss"].total, metrics["grad_norm"].total, agent.learnt(state))
            finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(numbers)]
            return state, (metrics, jnp.where(jnp.stack(finite).all(), 0, state.update))

        def traced_once(fn: Callable) -> Callable:
            return jax.jit(fn if num_members == 1 else jax.vmap(fn), inline=True)

        first, second = traced_once(collect), traced_once(checked_learn)
        together = traced_once(lambda state: checked_learn(*collect(state)))

        def loop(state: Any, count: jax.Array) -> tuple:
            outcome = jax.eval_shape(together, state)[1]
            zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), outcome)

            def body(_: int, carry: tuple) -> tuple:
                state, new = together(carry[0])
                return state, _add(carry[1], new)

            return jax.lax.fori_loop(0, count, body, (state, zeros))

        def timed(state: Any) -> tuple:  # which is not donated, so that a replay would be copied
            state, batch = first(state)
            return lean(agent, state), batch

        self._loop_of_updates, self._gpu_options = loop, getattr(agent, "gpu_options", {})
        self._act = self._program(first) if self._in_two else self._program(timed, ())
        self._learn = self._program(lambda state, batch: second(state, batch))
        self._update = self._program(loop)

    def compile(self, state: Any) -> int | None:
        """Compile ahead of time; return the bytes that the programs need, if the backend tells."""
        return self.compile_lowered(self.lower(state))

    def lower(self, state: Any) -> dict[str, Any]:
        """Trace the programs for states of these shapes."""
        if self._in_two:
            acting = self._act.lower(state)
            return {"_act": acting, "_learn": self._learn.lower(*acting.out_info)}
        programs = {}
        if self.tells_acting:
            acting = self._act.lower(state)
            if "stablehlo.case" in acting.as_text():
                # First, since a loop with a conditional (the value where a time limit ends an
                # episode), if the compiler leaves it one, cannot be one CUDA graph.
                self._act = acting.compile()
                one_graph = " conditional(" not in self._act.as_text()
                self._update = self._program(self._loop_of_updates, one_graph=one_graph)
            else:
                programs["_act"] = acting
        return {**programs, "_update": self._update.lower(state, jnp.int32(1))}

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

    def _program(
        self, fn: Callable, donated: tuple[int, ...] = (0,), one_graph: bool = True
    ) -> Any:
        options = compiler_options(one_graph, **self._gpu_options)
        return jax.jit(fn, donate_argnums=donated, compiler_options=options)

    def __call__(self, state: Any, count: int) -> tuple[Any, Metrics, np.ndarray]:
        """Do ``count`` updates, and wait for them."""
        return self._act_and_learn(state, count) if self._in_two else self._all(state, count)

    def _act_and_learn(self, state: Any, count: int) -> tuple[Any, Metrics, np.ndarray]:
        sums: tuple[Metrics, np.ndarray] | None = None
        for _ in range(count):
            began = time.monotonic()
            state, batch = jax.block_until_ready(self._act(state))
            acted = time.monotonic()
            state, outcome = self._learn(state, batch)
            told = jax.device_get(outcome)  # waits
            sums = told if sums is None else _add(sums, told)
            self.seconds["acting"] += acted - began
            self.seconds["learning"] += time.monotonic() - acted
        return state, *sums  # type: ignore[misc]

    def _all(self, state: Any, count: int) -> tuple[Any, Metrics, np.ndarray]:
        self._calls += 1
        if self.tells_acting and self._calls & (self._calls - 1) == 0:  # calls 1, 2, 4, 8, ...
            self._acting = min(self._acting, _seconds_of(self._act, state))
        began = time.monotonic()
        state, outcome = self._update(state, jax.device_put(np.int32(count)))
        metrics, broken = jax.device_get(outcome)  # waits
        passed = time.monotonic() - began
        acted = min(count * self._acting, passed) if self.tells_acting else 0.0
        self.seconds["acting"] += acted
        self.seconds["learning"] += passed - acted
        return state, metrics, broken


def _seconds_of(fn: Callable, state: Any) -> float:
    jax.block_until_ready(fn(state))  # the first call sets up its graphs
    began = time.monotonic()
    jax.block_until_ready(fn(state))
    return time.monotonic() - began


def _add(sums: tuple[Metrics, Any], new: tuple[Metrics, Any]) -> tuple:
    """Add metrics; of the updates that broke, the first stays."""
    return add(sums[0], new[0]), sums[1] + (sums[1] == 0) * new[1]


def on_gpu() -> bool:
    """Return whether updates run on a GPU."""
    return jax.default_backend() == "gpu"


def compiler_options(one_graph: bool = True, **own: str | bool) -> dict[str, str | bool] | None:
    """Return what the compiler should do for an update on this machine's kind of device.

    On a GPU, kernels of one CUDA graph that do not need each other may overlap: PPO-S5 in the
    published setting ran 1.2 times as fast on an H100, with twice the temporary memory. With
    ``one_graph``, loops without conditionals become one CUDA graph each: 1.1 times as fast again,
    1.15 in bfloat16. ``own`` are options beside these. What XLA_FLAGS says of any comes first.
    """
    if not on_gpu():
        return None
    options = {"xla_gpu_command_buffer_scheduling_mode": "CONCURRENT", **own}
    if one_graph:
        options |= {
            "xla_gpu_enable_command_buffer": _ONE_GRAPH,
            "xla_gpu_command_buffer_unroll_loops": True,
        }
    said = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in said}
