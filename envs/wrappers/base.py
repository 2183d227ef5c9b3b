"""The wrapper that changes nothing: what all others start from."""

from typing import Any

import jax

from envs.spaces import Space

Transition = tuple[Any, Any, jax.Array, jax.Array, jax.Array, dict[Any, Any]]

# split(key, n)[i] equals fold_in(key, i), so that a small number would repeat the environment's.
_OWN = 0x57A99E00


def name_of(env: Any) -> str:
    """Return the environment's ``name``, or that of its class where it has none."""
    name = getattr(env, "name", None)
    return name if isinstance(name, str) else type(env).__name__


class Wrapper:
    """Passes everything on to ``env``; subclasses change what they need.

    Unknown attributes are looked up in ``env``. ``params`` goes by position, as in the contract:
    ``reset(key, params)`` and ``step(key, state, action, params)``. A wrapper with a state of its
    own derives from ``StatefulWrapper``, one that draws random numbers takes ``own_key``.
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

    def inner_state(self, state: Any) -> Any:
        """Return the state of ``env`` within that of the wrapper: here they are one."""
        return state

    def render(self, state: Any, params: Any = None) -> Any:
        """Return the innermost environment's picture of ``state``, None where it draws none.

        Ours draw text; gymnax's, where they draw, return a matplotlib figure and axes. For people:
        one concrete state, outside jit.
        """
        render = getattr(self.env, "render", None)
        return None if render is None else render(self.inner_state(state), params)


class StatefulWrapper(Wrapper):
    """A wrapper whose state is a dataclass with the wrapped environment's as ``env_state``."""

    def inner_state(self, state: Any) -> Any:
        """Return ``state.env_state``."""
        return state.env_state


def find(env: Any, kind: type[Wrapper]) -> Wrapper | None:
    """Return the outermost wrapper of this kind around or in ``env``, None where there is none."""
    while not isinstance(env, kind):
        if not isinstance(env, Wrapper):
            return None
        env = env.env
    return env


def innermost(env: Any) -> Any:
    """Return the environment within all wrappers."""
    while isinstance(env, Wrapper):
        env = env.env
    return env


def own_key(wrapper: Wrapper, key: jax.Array) -> jax.Array:
    """Return the key of the wrapper's own chance, derived from that of ``reset`` or ``step``.

    ``key`` itself goes on to the environment, which so lives through the same episodes with the
    wrapper as without. Wrappers at different heights get different keys.
    """
    height, below = 0, wrapper.env
    while hasattr(below, "env"):
        height, below = height + 1, below.env
    return jax.random.fold_in(key, _OWN + height)
