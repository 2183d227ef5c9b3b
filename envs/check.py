"""Check an environment against the contract before anything is compiled."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple
from envs.wrappers.base import name_of
from ssmrl.errors import UsageError
from ssmrl.shapes import describe, difference

STEP_VALUES = "obs, state, reward, terminated, truncated, info"


def check_environment(env: Any, params: Any) -> None:
    """Raise ``UsageError`` where ``env`` breaks the contract of gymnax 1.x.

    ``reset`` and ``step`` are evaluated abstractly (``jax.eval_shape``); nothing is compiled or
    run. Exceptions from the environment's own code surface as they are. Each complaint is one
    sentence with the environment, the thing, what was found and what is expected.
    """
    name = f"environment {name_of(env)!r}"
    key = jax.random.key(0)
    action_space = env.action_space(params)
    if not isinstance(action_space, Discrete | MultiDiscrete | Box):
        raise UsageError(
            f"{name}: the action space is {action_space!r}, but must be one of Discrete, "
            "MultiDiscrete and Box of envs.spaces"
        )
    action = jax.eval_shape(action_space.sample, key)

    reset = jax.eval_shape(lambda key: env.reset(key, params), key)
    _check_count(name, "reset", reset, 2, "obs, state")
    obs, state = reset
    step = jax.eval_shape(lambda *args: env.step(*args, params), key, state, action)
    _check_count(name, "step", step, 6, STEP_VALUES)
    obs_step, state_step, reward, terminated, truncated, info = step

    space = env.observation_space(params)
    if not isinstance(space, Space):
        raise UsageError(
            f"{name}: the observation space is {space!r}, but must be one of those in envs.spaces"
        )
    _check_observation(f"{name}: the observation from reset", obs, space)
    _check_observation(f"{name}: the observation from step", obs_step, space)
    _check_state(name, state, state_step)
    _check_reward(name, reward)
    _check_flag(name, "terminated", terminated)
    _check_flag(name, "truncated", truncated)
    if not isinstance(info, Mapping) or "final_observation" not in info:
        raise UsageError(
            f"{name}: info from step has no 'final_observation', but must hold the observation "
            "before the auto-reset"
        )
    _check_observation(f"{name}: info['final_observation']", info["final_observation"], space)


def _check_count(name: str, method: str, found: Any, expected: int, values: str) -> None:
    if isinstance(found, tuple) and len(found) == expected:
        return
    count = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
    way_out = "; wrap it in envs.LegacyGymnax" if count == "5 values" else ""
    raise UsageError(f"{name}: {method} returns {count}, but must return ({values}){way_out}")


def _check_observation(what: str, obs: Any, space: Space) -> None:
    """Compare each leaf of an observation with its space; ``what`` grows into the leaf's path."""
    if isinstance(space, Dict | Tuple):
        is_dict = isinstance(space, Dict)
        children = dict(space.spaces.items() if is_dict else enumerate(space.spaces))
        parts = _named_parts(obs) if is_dict else _numbered_parts(obs)
        if set(parts) != set(children):
            raise UsageError(
                f"{what} has the parts {list(parts)}, but the observation space has "
                f"{list(children)}"
            )
        for key, child in children.items():
            _check_observation(f"{what}[{key!r}]", parts[key], child)
        return
    expected = jax.ShapeDtypeStruct(tuple(space.shape), jax.dtypes.canonicalize_dtype(space.dtype))
    if not hasattr(obs, "shape") or obs.shape != expected.shape or not _fits(obs.dtype, space):
        raise UsageError(
            f"{what} is {describe(obs)}, but the observation space says {describe(expected)}"
        )


def _fits(dtype: Any, space: Space) -> bool:
    """Flattening makes float32 of any number in a Box, but a category must be an integer."""
    kind = jnp.number if isinstance(space, Box) else jnp.integer
    return jnp.issubdtype(dtype, kind) or (isinstance(space, Box) and dtype == jnp.bool_)


def _named_parts(obs: Any) -> dict[Any, Any]:
    if isinstance(obs, Mapping):
        return dict(obs)
    # gymnax's Dict observations may be dataclasses or named tuples, whose parts are attributes.
    return obs._asdict() if hasattr(obs, "_asdict") else dict(getattr(obs, "__dict__", {}))


def _numbered_parts(obs: Any) -> dict[Any, Any]:
    return dict(enumerate(obs)) if isinstance(obs, Sequence) else {}


def _check_state(name: str, before: Any, after: Any) -> None:
    """Compare the state's leaves from reset and from step: a scan carries one into the other."""
    differs = difference(before, after)
    if differs:
        path, expected, found = differs
        raise UsageError(
            f"{name}: {f'state{path}' if path else 'the state'} is {found} after step, but "
            f"{expected} after reset; both must be the same for lax.scan"
        )


def _check_reward(name: str, reward: Any) -> None:
    dtype = getattr(reward, "dtype", None)
    is_real = dtype is not None and (
        jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
    )
    if not is_real or reward.shape != ():
        raise UsageError(f"{name}: the reward is {describe(reward)}, but must be a real scalar")


def _check_flag(name: str, flag_name: str, flag: Any) -> None:
    if describe(flag) != "bool[]":
        raise UsageError(f"{name}: {flag_name} is {describe(flag)}, but must be bool[]")
