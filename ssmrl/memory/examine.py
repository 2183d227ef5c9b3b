"""Try a memory against the whole of its contract, and say in plain words where it breaks it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ssmrl.errors import UsageError
from ssmrl.foreign import Finding, Remark, finding, own_words
from ssmrl.memory.check import BATCH, shape_faults
from ssmrl.memory.influence import Influence
from ssmrl.memory.states import scan_pieces, scan_states
from ssmrl.memory.tried import START, T, Tried, is_floating
from ssmrl.purity import changed_attribute, kept, program

NUM_FEATURES = 5  # of the inputs, other than those of most outputs
PIECE = 2  # steps, fewer than most windows hold
OF_STARTS = ("start at once", "start in value", "start in gradient")
TOLERANCE = {2: 3e-2, 4: 1e-5, 8: 1e-5}  # by bytes of a number, relative to the largest or 1
Judge = Callable[[], str | None]


def examine_memory(memory: nn.Module) -> Iterator[Finding]:
    """Yield what was found, subject by subject; ends early where a fault bars all others.

    The memory takes in short sequences of a small batch, compiled; every input in turn is changed
    to see which outputs change with it. What JAX has compiled before is forgotten, so that
    everything is traced anew. Give small sizes: larger ones show nothing more.
    """
    num_features, words = _width(memory)
    yield finding("contract", words)
    if words and not isinstance(words, Remark):
        return
    for subject, judge in _judges(memory, num_features):
        words = _words(judge)
        if words and subject in OF_STARTS and getattr(memory, "resets", True) is False:
            words = Remark(f"{words}; resets=False lets episodes leak into each other")
        yield finding(subject, words)
        if words and subject == "jit":  # nothing that it gives can be relied on
            return


def _judges(memory: Any, num_features: int) -> Iterator[tuple[str, Judge]]:
    yield "bfloat16 inputs", partial(_shapes, memory, num_features, dtype=jnp.bfloat16)
    yield "batch shapes", partial(_batch_shapes, memory, num_features)
    tried = Tried(memory, num_features)
    yield "purity", partial(_impurity, tried)
    for subject, judge in (
        ("jit", _jit),
        ("scan and step", _scan_and_step),
        ("pieces", _pieces),
        ("start at once", _start_at_once),
        ("numbers", _not_finite),
        ("vmap", _vmap),
        *([("scan_states", _scan_states)] if hasattr(memory, "scan_states") else []),
        *([("prepare", _prepare)] if hasattr(memory, "prepare") else []),
    ):
        yield subject, partial(judge, tried)
    influence = Influence(tried)
    yield "batch rows", influence.rows
    yield "order in time", influence.order
    yield "start in value", influence.start_in_value
    yield "start in gradient", influence.start_in_gradient
    yield "first input", influence.first_input
    yield "remembering", influence.remembering


def _words(judge: Judge) -> str | None:
    try:
        with jax.default_matmul_precision("highest"):
            return judge()
    except UsageError as error:
        return str(error)
    except Exception as error:  # of the memory's own code
        return own_words(error)


def _width(memory: Any) -> tuple[int, str | None]:
    """Return how wide inputs may be, and what is wrong with shapes."""
    fault = _words(partial(_shapes, memory, NUM_FEATURES))
    if fault is None or _words(partial(_shapes, memory, memory.features)):
        return NUM_FEATURES, fault
    return memory.features, Remark("only inputs as wide as its outputs fit; encode to that width")


def _shapes(memory: Any, num_features: int, **options: Any) -> str | None:
    return next(shape_faults(memory, num_features, **options), None)


def _batch_shapes(memory: Any, num_features: int) -> str | None:
    for batch in ((), (3, *BATCH)):
        fault = _words(partial(_shapes, memory, num_features, batch=batch))
        if fault:
            return f"a batch of shape {batch} does not do as {BATCH} does: {fault}"
    return None


def _impurity(t: Tried) -> str | None:
    """Trace twice: what differs came from outside, what stays on the memory leaks."""

    def all_methods(state: Any, x: jax.Array, start: jax.Array) -> Any:
        variables = t.memory.init(jax.random.key(0), state, x, start, method="scan")
        last, y = t.memory.apply(variables, state, x, start, method="scan")
        return y, t.memory.apply(variables, last, x[0], start[0], method="step")

    cls = type(t.memory)
    places = t.memory, *cls.__mro__[: cls.__mro__.index(nn.Module)]
    inputs = t.empty, t.x, t.start
    first, before = program(all_methods, *inputs), kept(places)  # what is cached at first is cached
    second = program(all_methods, *inputs)
    changed = changed_attribute(before, kept(places))
    if changed:
        return (
            f"scan or step changed the attribute {changed!r}; compiled code does so once, not in "
            "every step, so keep it in the state"
        )
    if first != second:
        return (
            "tracing scan and step twice gave two programs; only their arguments and the "
            "parameters may play in, not NumPy's chance nor a counter"
        )
    return None


def _jit(t: Tried) -> str | None:
    first, again = (t.outputs(t.state, t.x) for _ in range(2))
    if not np.array_equal(first, again, equal_nan=True):
        return "the same inputs twice gave other outputs"
    inputs = t.variables, t.state, t.x[0], t.start[0]
    _, y = jax.device_get(t.memory.apply(*inputs, method="step"))
    return _unlike("the outputs of step without jit and with it", y, t.by_steps.y_TxBxH[0])


def _scan_and_step(t: Tried) -> str | None:
    scan, steps = t.by_scan, t.by_steps
    return (
        _unlike("the outputs of scan and of repeated steps", scan.y_TxBxH, steps.y_TxBxH)
        or _unlike("the states after scan and after repeated steps", scan.state, steps.state)
        or _unlike("gradients through scan and through repeated steps", scan[2:], steps[2:])
    )


def _pieces(t: Tried) -> str | None:
    state, outputs = t.state, []
    for begin in range(0, T, PIECE):
        piece = slice(begin, begin + PIECE)
        state, y = t.scan(state, t.x[piece], t.start[piece])
        outputs.append(y)
    return (
        _unlike(
            f"the outputs of scans of {PIECE} steps and of one scan of {T}, the state carried,",
            np.concatenate(outputs),
            t.by_scan.y_TxBxH,
        )
        or _unlike(
            f"the states after scans of {PIECE} steps and after one of {T}", state, t.by_scan.state
        )
    )  # fmt: skip


def _start_at_once(t: Tried) -> str | None:
    for method in ("scan", "step"):
        run = partial(t.slopes, x=t.x, weights=t.weights, by_steps=method == "step")
        warm, cold = (run(s, start=t.start_at_once).y_TxBxH for s in (t.state, t.empty))
        if not np.array_equal(warm, cold, equal_nan=True):
            return f"{method} that begins with a start still depends on the state given to it"
    if _unlike("", cold, run(t.empty, start=t.no_start).y_TxBxH):
        return Remark("an episode begins otherwise after a start than from initial_state")
    broken = jax.tree.map(lambda s: s * np.nan if is_floating(s) else s, t.state)
    if np.isnan(t.scan(broken, t.x, t.start_at_once)[1]).any():
        return Remark("a state that is not finite outlives a start; select with jnp.where")
    return None


def _not_finite(t: Tried) -> str | None:
    still = t.slopes(t.empty, 0 * t.x, t.start, t.weights, t.made, of_state=1.0)
    for found, inputs in ((t.by_scan, "ordinary inputs"), (still, "inputs of zero")):
        for what, tree in zip(("a state", "y", *["a gradient"] * 3), found, strict=True):
            floats = filter(is_floating, jax.tree.leaves(tree))
            if not all(np.isfinite(leaf.astype(np.float32)).all() for leaf in floats):
                return f"{what} is not finite (NaN or infinity) with {inputs}"
    return None


def _vmap(t: Tried) -> str | None:
    """Seeds are trained side by side, each with parameters, states and inputs of its own."""
    changed = jax.tree.map(lambda v: (1.1 * v).astype(v.dtype), t.variables)
    seeds = [(t.variables, t.state, t.x, t.start), (changed, t.other_state, t.other_x, t.start)]
    together = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
    scan = jax.jit(jax.vmap(partial(t.memory.apply, method="scan")))
    got = jax.device_get(scan(*together))
    want = [t.scan(state, x, start, variables) for variables, state, x, start in seeds]
    return _unlike("scans in vmap and alone", got, jax.tree.map(lambda *v: np.stack(v), *want))


def _scan_states(t: Tried) -> str | None:
    """Held against scans piece by piece, which is how other memories have their states."""
    own, pieces = (t.by_states(run, PIECE) for run in (scan_states, scan_pieces))
    (last, states), (_, due) = own.state, pieces.state
    scans = f"scans of {PIECE} steps, the state carried,"
    return (
        _unlike(f"the outputs of scan_states and of {scans}", own.y_TxBxH, pieces.y_TxBxH)
        or _unlike(f"the states of scan_states and after {scans}", states, due)
        or _unlike(
            "the state that scan_states returns and the last of its states",
            last,
            jax.tree.map(lambda leaf: leaf[-1], states),
        )
        or _unlike(f"gradients through scan_states and through {scans}", own[2:], pieces[2:])
    )


def _prepare(t: Tried) -> str | None:
    @jax.jit
    def both(variables: Any, *inputs: Any) -> Any:
        step = partial(t.memory.apply, variables, *inputs, method="step")
        return step(), step(prepared=t.memory.apply(variables, jnp.float32, method="prepare"))

    without, with_it = jax.device_get(both(t.variables, t.state, t.x[0], t.start[START]))
    return _unlike("step with what prepare returned and without", with_it, without)


def _unlike(what: str, first: Any, second: Any) -> str | None:
    """Return that ``what`` differ, and by how much, where it is by more than rounding."""
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        tolerance = TOLERANCE[a.dtype.itemsize] if jnp.issubdtype(a.dtype, jnp.inexact) else 0.0
        a, b = (v.astype(complex if np.iscomplexobj(v) else float) for v in (a, b))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        apart = np.abs(a[~same] - b[~same]).max(initial=0)
        if not apart <= tolerance * max(1, np.abs(b).max(initial=0)):
            return f"{what} differ by up to {apart:.2g}"
    return None
