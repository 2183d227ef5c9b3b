"""Environments without parameters."""

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
