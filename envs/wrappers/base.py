"""The wrapper that changes nothing: what all others start from."""

from typing import Any

import jax

from envs.spaces import Space

Transition = tuple[Any, Any, jax.Array, jax.Array, jax.Array, dict[Any, Any]]


def name_of(env: Any) -> str:
    """Return the environment's ``name``, or that of its class where it has none."""
    name = getattr(env, "name", None)
    return name if isinstance(name, str) else type(env).__name__


class Wrapper:
    """Passes everything on to ``env``; subclasses change what they need.

    Unknown attributes are looked up in ``env``. ``params`` goes by position, as in the contract:
    ``reset(key, params)`` and ``step(key, state, action, params)``.
    """

    def __init__(self, env: Any):
        self.env = env

    def __getattr__(self, name: str) -> Any:
        if name == "env" or name.startswith("__"):  # not there yet while copying or unpickling
            raise AttributeError(name)
        return getattr(self.env, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.env!r})"

    @property
    def name(self) -> str:
        """The name of the innermost environment."""
        return name_of(self.env)

    @property
    def default_params(self) -> Any:
        """The default parameters of the innermost environment."""
        return self.env.default_params

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Return the first observation and state."""
        return self.env.reset(key, params)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Return obs, state, reward, terminated, truncated, info."""
        return self.env.step(key, state, action, params)

    def observation_space(self, params: Any) -> Space:
        """Return the space of the observations that this wrapper gives."""
        return self.env.observation_space(params)

    def action_space(self, params: Any) -> Space:
        """Return the space of the actions that this wrapper takes."""
        return self.env.action_space(params)
