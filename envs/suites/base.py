"""What the adapters share: six values, one auto-reset, strict types, and packages that may lack."""

import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment

from envs.settings import as_number, check_range
from envs.spaces import Discrete
from envs.suites.auto_reset import reset_where
from envs.wrappers.base import Transition
from ssmrl.errors import UsageError
from ssmrl.registry import did_you_mean


class SuiteEnvironment(environment.Environment):
    """An environment of another suite in the contract of gymnax 1.x.

    Subclasses play the suite's own environment without its auto-reset: ``first`` begins an
    episode, ``advance`` takes one step and says whether the episode terminated, ``is_truncated``
    whether its time is over (both may hold at once). The rest is done here: the auto-reset to a
    freshly drawn state (``reset_where`` says why that is cheap), ``info["final_observation"]``,
    and the same types after a step as after a reset, which the suites do not always keep.
    """

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    @property
    def name(self) -> str:
        """The name by which ``envs.make`` knows it."""
        return self._name

    def action_space(self, params: Any = None) -> Any:
        """Return the space of actions, a Discrete unless a subclass has another."""
        return Discrete(self.num_actions)

    def first(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Return the first observation of a new episode, and the state."""
        raise NotImplementedError

    def advance(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Return observation, state, reward, terminated and info after one step, never reset."""
        raise NotImplementedError

    @partial(jax.jit, static_argnames=("self",))
    def step(
        self, key: jax.Array, state: Any, action: Any, params: Any | None = None
    ) -> Transition:
        """Return obs, state, reward, terminated, truncated, info; reset where an episode ended."""
        params = self.default_params if params is None else params
        key_step, key_reset = jax.random.split(key)
        *last, reward, terminated, info = self.step_env(key_step, state, action, params)
        truncated = self.is_truncated(last[1], params)
        ended = terminated | truncated
        obs, state = reset_where(self.reset_env, ended, key_reset, params, tuple(last))
        info = {**info, "final_observation": last[0]}
        return obs, state, reward, terminated, truncated, info

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Return the first observation and state."""
        with lenient():
            return jax.tree.map(_strong, self.first(key, params))

    def step_env(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, jax.Array, jax.Array, dict[str, Any]]:
        """Take one step without the auto-reset."""
        with lenient():
            stepped = self.advance(key, state, jnp.asarray(action), params)
        obs, new, reward, terminated, info = stepped
        state = jax.tree.map(lambda x, old: _strong(x, old.dtype), new, state)
        flag = jnp.asarray(terminated, bool)
        return jax.tree.map(_strong, obs), state, jnp.asarray(reward, jnp.float32), flag, info


def load(module: str, env: str, requirement: str) -> Any:
    """Return a module of a suite's package.

    Raises ``UsageError`` with the command that installs it where ``module``, or a package that it
    needs, is missing; ``env`` names the environment, ``requirement`` what pip takes.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what they print is no output of ours
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"environment {env!r} needs the package {error.name!r}, which is not installed: "
            f"pip install '{requirement}'"
        ) from None


@contextlib.contextmanager
def refusals(name: str) -> Iterator[None]:
    """Turn what a package says of settings that it refuses into ``UsageError``.

    A keyword that it does not know passes: ``envs.make`` has the nearest names.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        if "unexpected keyword argument" in str(error):
            raise
        raise UsageError(f"environment {name!r}: {error.args[0]}") from None


def check_id(prefix: str, env_id: str, known: Iterable[str]) -> None:
    """Raise ``UsageError`` where the suite has no ``env_id``."""
    known = list(known)
    if env_id not in known:
        name = f"{prefix}{env_id}"
        nearest = did_you_mean(name, [f"{prefix}{other}" for other in known])
        raise UsageError(f"unknown environment {name!r}{nearest}")


def time_limit(env: str, key: str, value: Any) -> int | None:
    """Return a number of steps, or None, which stands for the suite's own.

    Raises ``UsageError`` unless it is whole and at least 1.
    """
    if value is None:
        return None
    steps = as_number(env, key, value, default=1)
    check_range(env, key, steps, 1)
    return steps


def _strong(x: Any, dtype: Any = None) -> jax.Array:
    """Return an array of this dtype (its own by default) that is not weakly typed."""
    x = jnp.asarray(x)
    return jax.lax.convert_element_type(x, x.dtype if dtype is None else dtype)


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Let the packages promote ranks and types, whatever is set for our own code."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
