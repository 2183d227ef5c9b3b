"""Check a memory against the contract by tracing alone, before anything is compiled."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.errors import UsageError
from ssmrl.foreign import foreign
from ssmrl.memory.base import name_of
from ssmrl.shapes import describe, difference, is_numbers, kind_of

T, BATCH = 5, (7,)  # unlike each other, so that axes that changed places show
EVERY = 2  # steps between the states of scan_states


def check_shapes(memory: nn.Module, num_features: int, dtype: Any = jnp.float32) -> None:
    """Raise ``UsageError`` where ``memory`` breaks what tracing shows of the contract.

    Its methods are evaluated abstractly (``jax.eval_shape``) on inputs of ``num_features`` numbers
    of ``dtype``; nothing is compiled or run. The sentence names the memory, what was found, what
    is expected, and the command that tries the whole contract; so does that of an exception in the
    memory's own code, with the file and line that it came from.
    """
    name = name_of(memory)
    thing, way_out = f"memory {name!r}", f"try it with: ssmrl check --memory {name}"
    with foreign(thing, way_out):
        for fault in shape_faults(memory, num_features, dtype):
            raise UsageError(f"{thing}: {fault}; {way_out}")


def shape_faults(
    memory: Any, num_features: int, dtype: Any = jnp.float32, batch: tuple[int, ...] = BATCH
) -> Iterator[str]:
    """Yield faults, the first of which may bring the others about; see :func:`check_shapes`.

    Exceptions of the memory's own code come as they are.
    """
    yield from _attribute_faults(memory)
    state = jax.eval_shape(lambda: _of_numbers(memory.initial_state(batch)))
    yield from _state_faults(state, batch)
    inputs = {
        method: (
            jax.ShapeDtypeStruct((*lead, num_features), dtype),
            jax.ShapeDtypeStruct(lead, jnp.bool_),
        )
        for method, lead in (("step", batch), ("scan", (T, *batch)))
    }
    made = {
        method: jax.eval_shape(partial(memory.init, method=method), jax.random.key(0), state, *args)
        for method, args in inputs.items()
    }
    yield from _parameter_faults(memory, made)
    variables, step = made["step"], partial(memory.apply, method="step")
    for method, args in inputs.items():
        result = jax.eval_shape(partial(memory.apply, method=method), variables, state, *args)
        yield from _result_faults(method, result, state, (*args[1].shape, memory.features))
    if hasattr(memory, "prepare"):
        prepared = jax.eval_shape(lambda v: memory.apply(v, dtype, method="prepare"), variables)
        with_prepared = jax.eval_shape(
            lambda v, p, *args: step(v, *args, prepared=p),
            *(variables, prepared, state, *inputs["step"]),
        )
        width = (*batch, memory.features)
        yield from _result_faults("step with prepared", with_prepared, state, width)
    if hasattr(memory, "scan_states"):
        yield from _states_faults(memory, variables, state, inputs["scan"])


def _states_faults(memory: Any, variables: Any, state: Any, inputs: Any) -> Iterator[str]:
    """Yield faults of ``scan_states``, whose T states are of as many pieces."""
    longer = [jax.ShapeDtypeStruct((EVERY * T, *v.shape[1:]), v.dtype) for v in inputs]
    method = "scan_states"
    result = jax.eval_shape(
        lambda *args: memory.apply(*args, EVERY, method=method), variables, state, *longer
    )
    if not isinstance(result, tuple) or len(result) != 3:
        yield f"{method} returns {_count(result)}, but must return (state, y, states)"
        return
    width = (*longer[1].shape, memory.features)
    yield from _result_faults(method, result[:2], state, width)
    due = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((T, *leaf.shape), leaf.dtype), state)
    differs = difference(due, result[2])
    if differs:
        path, expected, returned = differs
        yield (
            f"{method} returns states{path} of {EVERY * T} steps, every {EVERY}, as {returned}, "
            f"but it must be {expected}"
        )


def _of_numbers(state: Any) -> Any:
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if not is_numbers(leaf):
            where = f"state{jax.tree_util.keystr(path)}"
            raise UsageError(
                f"initial_state gives {where} {kind_of(leaf)}, but must give arrays of numbers"
            )
    return state


def _attribute_faults(memory: Any) -> Iterator[str]:
    features = memory.features
    if not isinstance(features, int) or isinstance(features, bool) or features < 1:
        yield f"features is {features!r}, but must be the width of its outputs, a whole number"
    named = getattr(memory, "ssm_parameters", ())
    if not isinstance(named, tuple) or not all(isinstance(each, str) for each in named):
        yield f"ssm_parameters is {named!r}, but must be a tuple of parameters' names"


def _state_faults(state: Any, batch: tuple[int, ...]) -> Iterator[str]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if leaf.shape[: len(batch)] != batch:
            yield (
                f"initial_state({batch}) gives state{jax.tree_util.keystr(path)} of "
                f"{describe(leaf)}, but every leaf must begin with these axes of the batch"
            )


def _parameter_faults(memory: Any, made: dict[str, Any]) -> Iterator[str]:
    differs = difference(made["scan"], made["step"])
    if differs:
        where, by_scan, by_step = differs
        yield (
            f"parameter {where} is {by_step} where step makes it, but {by_scan} where scan does; "
            "both must make the same (setup makes them once for both)"
        )
    variables = made["scan"]
    others = sorted(set(variables) - {"params"})
    if others:
        yield (
            f"it keeps variables in {others[0]!r}, but only parameters are learnt and kept; "
            "what changes from step to step belongs into the state"
        )
    known = set()
    for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]:
        known.add(str(getattr(path[-1], "key", path[-1])))
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            yield (
                f"parameter {jax.tree_util.keystr(path)} is {describe(leaf)}, but must be floating "
                "to be learnt"
            )
    for name in getattr(memory, "ssm_parameters", ()):
        if name not in known:
            yield (
                f"ssm_parameters names {name!r}, but its parameters are "
                + (", ".join(sorted(known)) or "none")
            )


def _result_faults(
    method: str, result: Any, state: Any, shape_of_y: tuple[int, ...]
) -> Iterator[str]:
    if not isinstance(result, tuple) or len(result) != 2:
        yield f"{method} returns {_count(result)}, but must return (state, y)"
        return
    differs = difference(state, result[0])
    if differs:
        path, given, returned = differs
        yield (
            f"{method} is given {f'state{path}' if path else 'the state'} as {given} and returns "
            f"it as {returned}, but must keep structure, shape and dtype"
        )
    y = result[1]
    if getattr(y, "shape", None) != shape_of_y or not jnp.issubdtype(y.dtype, jnp.floating):
        axes = ",".join(map(str, shape_of_y))
        yield f"{method} returns y of {describe(y)}, but it must be float[{axes}]"


def _count(result: Any) -> str:
    return f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
