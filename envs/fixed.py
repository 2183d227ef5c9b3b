"""Environments without parameters, whose sizes are known when they are made."""

import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment


@struct.dataclass
class NoParams:
    """Nothing may vary: whatever can be set is an argument of the constructor."""


class FixedEnvironment(environment.Environment):
    """An environment whose settings determine shapes, so that its constructor takes them all."""

    @property
    def default_params(self) -> NoParams:
        """No parameters."""
        return NoParams()


def narrow_int(most: int) -> type[jnp.signedinteger]:
    """Return the narrowest type of integers that holds -1 to ``most``.

    Where tens of thousands of environments take a step at once, it is their states that have to
    be moved.
    """
    return next(t for t in (jnp.int8, jnp.int16, jnp.int32) if most <= jnp.iinfo(t).max)
