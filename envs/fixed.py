"""Environments without parameters, whose sizes are known when they are made."""

import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment

from ssmrl.errors import UsageError


def check_gymnax() -> None:
    """Raise ``UsageError`` where an older package has taken gymnax's place.

    stable-gymnax, which popgym-arcade asks for, installs itself over it under the same name.
    """
    if not hasattr(environment.Environment, "is_truncated"):
        raise UsageError(
            "the package gymnax is older than 1.0, or stable-gymnax was installed over it: "
            "pip install --force-reinstall --no-deps 'gymnax>=1.0.1'"
        )


check_gymnax()


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
