"""How much arithmetic a function is: the matrix products of its jaxpr."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params


def flops_of(fn: Callable[..., Any], *args: Any) -> int:
    """Return the FLOPs of all matrix products in ``fn(*args)``, loops counted by their length."""
    return dot_flops(jax.make_jaxpr(fn)(*args).jaxpr)


def dot_flops(jaxpr: Any) -> int:
    """Return the FLOPs of all matrix products of a jaxpr."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            left = eqn.invars[0].aval.shape
            depth = math.prod(left[axis] for axis in contracted)
            total += 2 * depth * math.prod(eqn.outvars[0].aval.shape)
        times = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        total += times * sum(dot_flops(inner) for inner in jaxprs_in_params(eqn.params))
    return total
