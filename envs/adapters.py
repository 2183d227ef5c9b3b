"""Bring environments with other step signatures to the contract of gymnax 1.x."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments.environment import Environment

from envs.check_space import check_action_space, like_action
from envs.dependence import depends
from envs.fixed import NoParams
from envs.spaces import Space
from envs.wrappers.base import Transition, Wrapper, name_of
from ssmrl.errors import UsageError
from ssmrl.shapes import describe

# Where old classes have the steps of an episode in their state, and the limit in their parameters.
TIME_LIMITS = (("time", "max_steps_in_episode"), ("timestep", "max_timesteps"))


def is_legacy(env: Any, params: Any) -> bool:
    """Return whether ``env`` is written for gymnax before 1.0; nothing is compiled.

    It is where its own ``step`` returns five values. A class that inherits the ``step`` of gymnax's
    own base is given six, whatever it was written for, and its ``step_env`` returns five either
    way: in 1.x the fourth is ``terminated``, and the base adds the time limit by ``is_truncated``;
    before, it was ``done`` with the time limit, if any, folded in. Such a class

    1. is of 1.x where it overrides ``is_terminated`` or ``is_truncated``, which are new there;
    2. is old where it overrides ``is_terminal``, to which the old base looked;
    3. is old where the base's ``is_truncated`` would find no ``time`` in its state, or no
       ``max_steps_in_episode`` in ``params``;
    4. is old where the fourth value depends on ``params.max_steps_in_episode``;
    5. is of 1.x in all other cases.
    """
    if getattr(type(env), "step", None) is Environment.step:
        return _is_old_class(env, params)

    counts: list[int] = []  # told by the side, since what is returned may be no arrays at all

    def one_step(key: jax.Array, action: jax.Array) -> None:
        first = call_with_params(env.reset, key, params=params)
        if isinstance(first, tuple) and len(first) == 2:  # else check_environment complains
            step = call_with_params(env.step, key, first[1], action, params=params)
            counts.append(len(step) if isinstance(step, tuple) else 0)

    jax.eval_shape(one_step, jax.random.key(0), _like_action(env, params))
    return counts == [5]


def _is_old_class(env: Any, params: Any) -> bool:
    if _overrides(env, "is_terminated") or _overrides(env, "is_truncated"):
        return False
    if _overrides(env, "is_terminal") or not hasattr(params, "max_steps_in_episode"):
        return True
    _, state = jax.eval_shape(lambda key: env.reset_env(key, params), jax.random.key(0))
    return not hasattr(state, "time") or _flag_depends_on("max_steps_in_episode", env, params)


def _overrides(env: Any, name: str) -> bool:
    """Return whether the class of ``env`` has a method, and not only that of gymnax's base.

    Asked of the class: a wrapper that passes on attributes would lend its inner environment's.
    """
    return getattr(type(env), name, None) not in (None, getattr(Environment, name))


def _flag_depends_on(limit: str, env: Any, params: Any) -> bool:
    """Return whether the fourth value of ``step_env`` depends on the field ``limit``."""

    def flag(value: jax.Array, action: jax.Array) -> Any:
        changed = jax.tree_util.tree_map_with_path(
            lambda path, leaf: value if jax.tree_util.keystr(path) == f".{limit}" else leaf, params
        )
        key = jax.random.key(0)
        _, state = call_with_params(env.reset_env, key, params=params)
        return call_with_params(env.step_env, key, state, action, params=changed)[3]

    return any(depends(flag, getattr(params, limit), _like_action(env, params)))


def _like_action(env: Any, params: Any) -> jax.ShapeDtypeStruct:
    space = _space_of(env.action_space, params)
    check_action_space(f"environment {name_of(env)!r}: the action space", space)
    return like_action(space)


def call_with_params(function: Callable[..., Any], *arguments: Any, params: Any) -> Any:
    """Call ``function(*arguments, params)``, or without ``params`` where only that is possible."""
    most = len(arguments) + 1
    without = _has_room(function, most - 1) and not _has_room(function, most)
    return function(*arguments) if without else function(*arguments, params)


def _has_room(function: Callable[..., Any], arguments: int) -> bool:
    """Return whether ``function`` can be called with so many arguments by position."""
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError:
        return False
    return True


class LegacyGymnax(Wrapper):
    """Gives an old gymnax environment (obs, state, reward, done, info) the six-value step.

    Where the class of ``env`` has ``step_env`` and ``reset_env``, as those of gymnax before 1.0
    have, the auto-reset happens here and ``final_observation`` is the true last observation. The
    old flag is split into truncations, where the time limit is over, and terminations. Whether it
    is over says ``info["truncated"]`` where ``step_env`` gives that; otherwise the state's ``time``
    against ``params.max_steps_in_episode``, or ``timestep`` against ``max_timesteps``, where the
    flag depends on that limit. A natural end exactly on the limit counts as a truncation: the old
    flag cannot tell the two apart. Without a limit that is known every end is a termination.

    Where there is only a ``step`` that resets by itself, the last observation and state are out
    of reach (``final_observation_is_lost``): every end counts as a termination, and
    ``final_observation`` is the observation that ``step`` returned, the first of the next episode.

    ``reset``, ``step`` and the spaces may take ``params`` or not; an environment without
    ``default_params`` gets ``NoParams()``. ``step_env`` is traced here, with these parameters.
    """

    def __init__(self, env: Any):
        super().__init__(_with_discount(env))
        self.final_observation_is_lost = not (
            _overrides(env, "step_env") and _overrides(env, "reset_env")
        )
        self._limits = [] if self.final_observation_is_lost else self._limits_in_flag()

    @property
    def default_params(self) -> Any:
        """The environment's default parameters, or ``NoParams()``."""
        return getattr(self.env, "default_params", NoParams())

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Return the first observation and state."""
        return call_with_params(self.env.reset, key, params=params)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Return obs, state, reward, terminated, truncated, info."""
        if not self.final_observation_is_lost:
            return self._step_and_reset(key, state, action, params)
        step = call_with_params(self.env.step, key, state, action, params=params)
        obs, state, reward, done, info = step
        info = {**self._mapping(info), "final_observation": obs}
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
        info = self._mapping(info)
        first_obs, first_state = call_with_params(self.env.reset_env, key_reset, params=params)

        done = jnp.asarray(done, bool)
        truncated = done & self._time_is_over(final_state, info, params)
        obs, state = jax.tree.map(
            lambda first, last: jnp.where(done, first, last),
            (first_obs, first_state),
            (final_obs, final_state),
        )
        info = {**info, "final_observation": final_obs}
        return obs, state, reward, done & ~truncated, truncated, info

    def _mapping(self, info: Any) -> Mapping[str, Any]:
        if isinstance(info, Mapping):
            return info
        raise UsageError(
            f"environment {self.name!r}: the last of the five values from step is "
            f"{describe(info)}, but must be a mapping: obs, state, reward, done, info"
        )

    def _limits_in_flag(self) -> list[tuple[str, str]]:
        params = self.default_params
        return [
            (clock, limit)
            for clock, limit in TIME_LIMITS
            if hasattr(params, limit) and _flag_depends_on(limit, self.env, params)
        ]

    def _time_is_over(self, state: Any, info: Mapping[str, Any], params: Any) -> jax.Array:
        if "truncated" in info:
            return jnp.asarray(info["truncated"], bool)
        for clock, limit in self._limits:
            if hasattr(state, clock):
                return jnp.asarray(getattr(state, clock) >= getattr(params, limit))
        return jnp.zeros((), bool)


def _with_discount(env: Any) -> Any:
    """Return an old class on gymnax's new base with the method to which ``discount`` looks there.

    The new base asks ``is_terminated``, the old one asked ``is_terminal``.
    """
    is_old = _overrides(env, "is_terminal") and not _overrides(env, "is_terminated")
    if is_old and isinstance(env, Environment):
        env = copy.copy(env)
        object.__setattr__(env, "is_terminated", env.is_terminal)  # of a frozen dataclass, too
    return env


def _space_of(space: Any, params: Any) -> Space:
    return call_with_params(space, params=params) if callable(space) else space
