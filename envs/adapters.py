"""Bring environments with other step signatures to the contract of gymnax 1.x."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from envs.fixed import NoParams
from envs.spaces import Space
from envs.wrappers.base import Transition, Wrapper, name_of
from ssmrl.errors import UsageError


def is_legacy(env: Any, params: Any) -> bool:
    """Return whether ``env.step`` returns the five values of old gymnax; nothing is compiled.

    Raises ``UsageError`` where ``env`` lacks a method that every environment has.
    """
    for method in ("reset", "step", "action_space", "observation_space"):
        if not hasattr(env, method):
            raise UsageError(f"{name_of(env)!r} is not an environment: it has no {method!r}")

    def one_step(key):
        _, state = call_with_params(env.reset, key, params=params)
        action = _space_of(env.action_space, params).sample(key)
        return call_with_params(env.step, key, state, action, params=params)

    step = jax.eval_shape(one_step, jax.random.key(0))
    return isinstance(step, tuple) and len(step) == 5


def call_with_params(function: Callable[..., Any], *arguments: Any, params: Any) -> Any:
    """Call ``function(*arguments, params)``, or without ``params`` where it has no room for it."""
    try:
        inspect.signature(function).bind(*arguments, params)
    except TypeError:
        return function(*arguments)
    return function(*arguments, params)


class LegacyGymnax(Wrapper):
    """Gives an old gymnax environment (obs, state, reward, done, info) the six-value step.

    Where the class of ``env`` has ``step_env`` and ``reset_env``, as those of gymnax before 1.0
    have, the auto-reset happens here and ``final_observation`` is the true last observation. The
    old flag is split: an end with ``state.time >= params.max_steps_in_episode`` is a truncation
    (a natural end exactly on the limit too: the old flag cannot tell the two apart), any other a
    termination.

    Where there is only a ``step`` that resets by itself, the last observation and state are out
    of reach: every end counts as a termination, and ``final_observation`` is the observation
    that ``step`` returned, the first of the next episode.

    ``reset``, ``step`` and the spaces may take ``params`` or not; an environment without
    ``default_params`` gets ``NoParams()``.
    """

    def __init__(self, env: Any):
        super().__init__(env)
        # Asked of the class: a wrapper that passes on attributes would lend its inner step_env.
        self._resets_here = all(hasattr(type(env), name) for name in ("step_env", "reset_env"))

    @property
    def default_params(self) -> Any:
        """The environment's default parameters, or ``NoParams()``."""
        return getattr(self.env, "default_params", NoParams())

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Return the first observation and state."""
        return call_with_params(self.env.reset, key, params=params)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Return obs, state, reward, terminated, truncated, info."""
        if self._resets_here:
            return self._step_and_reset(key, state, action, params)
        step = call_with_params(self.env.step, key, state, action, params=params)
        obs, state, reward, done, info = step
        info = {**info, "final_observation": obs}
        return obs, state, reward, jnp.asarray(done, bool), jnp.zeros((), bool), info

    def observation_space(self, params: Any) -> Space:
        """Return the environment's observation space."""
        return _space_of(self.env.observation_space, params)

    def action_space(self, params: Any) -> Space:
        """Return the environment's action space."""
        return _space_of(self.env.action_space, params)

    def _step_and_reset(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        key_step, key_reset = jax.random.split(key)
        step = call_with_params(self.env.step_env, key_step, state, action, params=params)
        final_obs, final_state, reward, done, info = step
        first_obs, first_state = call_with_params(self.env.reset_env, key_reset, params=params)

        done = jnp.asarray(done, bool)
        truncated = done & _limit_reached(final_state, params)
        obs, state = jax.tree.map(
            lambda first, last: jnp.where(done, first, last),
            (first_obs, first_state),
            (final_obs, final_state),
        )
        info = {**info, "final_observation": final_obs}
        return obs, state, reward, done & ~truncated, truncated, info


def _limit_reached(state: Any, params: Any) -> jax.Array:
    if not hasattr(state, "time") or not hasattr(params, "max_steps_in_episode"):
        return jnp.zeros((), bool)
    return jnp.asarray(state.time >= params.max_steps_in_episode)


def _space_of(space: Any, params: Any) -> Space:
    return call_with_params(space, params=params) if callable(space) else space
