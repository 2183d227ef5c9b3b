"""The ways to run the recurrence, and the choice among them."""

from dataclasses import dataclass
from typing import Protocol

import jax

from ssmrl.errors import UsageError
from ssmrl.registry import did_you_mean
from ssmrl.scan import mosaic
from ssmrl.scan.associative import associative
from ssmrl.scan.sequential import sequential


class Scan(Protocol):
    """The recurrence. It need not be differentiable: ``linear_scan`` sees to that.

    Shapes: ``b`` [T, ..., N]; ``a`` either b's shape or, constant in time, [1, ..., 1, N] with one
    axis fewer; ``start`` [T, ...] bool or None; ``initial_state`` [..., N]; all but ``start`` of
    one real dtype, or float32 and b bfloat16 where an implementation takes that. A reset is to the
    zero state. With ``reverse``, time runs from T-1 down to 0 and ``initial_state`` comes before
    step T-1. Returns x [T, ..., N], of b's dtype.
    """

    def __call__(
        self,
        a: jax.Array,
        b: jax.Array,
        start: jax.Array | None,
        initial_state: jax.Array,
        *,
        planar: bool,
        reverse: bool,
    ) -> jax.Array: ...


class Adjoint(Protocol):
    """The backward pass of a planar recurrence with constant coefficients, in one go.

    From the zero state it runs s_t = dx_t + conj(a) s', where s' is the state before step t, or
    zero where ``start_t``; returns s [T, ..., N] and the sum of s' conj(x_t) over all axes but the
    last, [N].
    """

    def __call__(
        self, a: jax.Array, dx: jax.Array, start: jax.Array | None, x: jax.Array, *, reverse: bool
    ) -> tuple[jax.Array, jax.Array]: ...


@dataclass(frozen=True)
class Implementation:
    """A scan and, where it pays, its backward pass in one go."""

    scan: Scan
    adjoint: Adjoint | None = None
    takes_bfloat16: bool = False  # as b, x and their cotangents, with all else float32


IMPLEMENTATIONS: dict[str, Implementation] = {
    "sequential": Implementation(sequential),
    "associative": Implementation(associative),
    "mosaic": Implementation(mosaic.scan, mosaic.adjoint, takes_bfloat16=True),
}


def choose(name: str | None, a: jax.Array, b: jax.Array, planar: bool) -> Implementation:
    """Return the implementation of that name, or for None the fastest for these arrays here.

    Raises ``UsageError`` where the name is unknown or that implementation cannot run them.
    """
    if name is None:
        if jax.default_backend() == "cpu":
            name = "sequential"
        else:
            name = "associative" if mosaic.why_not(a, b, planar) else "mosaic"
    elif name not in IMPLEMENTATIONS:
        hint = did_you_mean(name, IMPLEMENTATIONS)
        raise UsageError(f"unknown scan implementation {name!r}{hint}")
    elif name == "mosaic" and (reason := mosaic.why_not(a, b, planar)):
        raise UsageError(f"the scan implementation 'mosaic' cannot run here: {reason}")
    return IMPLEMENTATIONS[name]
