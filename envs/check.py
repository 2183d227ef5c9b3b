"""Check an environment against the contract before anything is compiled."""

from collections.abc import Mapping, Sequence
from operator import and_
from typing import Any

import jax
import jax.numpy as jnp

from envs.check_space import check_action_space, check_space, like_action
from envs.dependence import depends
from envs.spaces import Box, Dict, Space, Tuple, dtype_of
from envs.wrappers.base import name_of
from ssmrl.errors import UsageError, shown
from ssmrl.foreign import foreign
from ssmrl.shapes import describe, difference, is_numbers, kind_of

RESET_VALUES = ("obs", "state")
STEP_VALUES = ("obs", "state", "reward", "terminated", "truncated", "info")
BATCH = 2  # environments side by side, as in training


def check_environment(env: Any, params: Any) -> None:
    """Raise ``UsageError`` where ``env`` breaks the contract of gymnax 1.x.

    ``reset`` and ``step`` are evaluated abstractly (``jax.eval_shape``), vmapped as in training;
    nothing is compiled or run. Each complaint is one sentence with the environment, the thing, what
    was found and what is expected, or what the environment's own code raised, and where.
    """
    with foreign(f"environment {type(env).__name__!r}"):
        name = f"environment {name_of(env)!r}"
    for method in ("action_space", "observation_space"):
        found = getattr(env, method)
        if not callable(found):
            raise UsageError(f"{name}: {method} is {shown(found)}, but must be a method of params")
    with foreign(name, ours_too=True):
        action_space, space = env.action_space(params), env.observation_space(params)
    check_action_space(f"{name}: the action space", action_space)
    check_space(f"{name}: the observation space", space)
    with foreign(name):
        (obs, state), step = _trace(name, env, params, action_space, space)
    obs_step, state_step, reward, terminated, truncated, info = step

    check_observation(f"{name}: the observation from reset", obs, space)
    check_observation(f"{name}: the observation from step", obs_step, space)
    _check_state(name, state, state_step)
    _check_reward(name, reward)
    _check_flag(name, "terminated", terminated)
    _check_flag(name, "truncated", truncated)
    if not isinstance(info, Mapping) or "final_observation" not in info:
        raise UsageError(
            f"{name}: info from step has no 'final_observation', but must hold the observation "
            "before the auto-reset"
        )
    check_observation(f"{name}: info['final_observation']", info["final_observation"], space)


def begins_anew(env: Any, params: Any) -> bool:
    """Return False where ``step`` seems to have no auto-reset; nothing is compiled.

    That is where ``reset`` draws parts of the state, and ``step`` draws none of them again from
    its own key. True where that cannot be told: where ``reset`` draws nothing, or puts into the
    state what may be a key. ``envs.examine`` plays, and sees more.
    """
    key = jax.random.key(0)
    _, state = jax.eval_shape(lambda key: env.reset(key, params), key)
    keys = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.uint32 or _is_key(leaf)]
    action = like_action(env.action_space(params))
    drawn = depends(lambda key: env.reset(key, params)[1], key)
    again = depends(lambda *args: env.step(*args, params)[1], key, state, action)
    return bool(keys) or not any(drawn) or any(map(and_, drawn, again))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _trace(name: str, env: Any, params: Any, action_space: Space, space: Space) -> tuple[Any, Any]:
    """Return the shapes of what reset and step give, after looking at their values one by one."""

    def reset(key: jax.Array) -> Any:
        return _checked_values(name, "reset", env.reset(key, params), RESET_VALUES)

    def step(key: jax.Array, state: Any, action: jax.Array) -> Any:
        try:
            values = env.step(key, state, action, params)
        except Exception:
            if hasattr(env, "step_env") and hasattr(env, "reset_env"):
                _check_halves(name, env, params, key, state, action, space)
            raise
        return _checked_values(name, "step", values, STEP_VALUES)

    def both(key: jax.Array, action: jax.Array) -> Any:
        keys = jax.random.split(key, BATCH)
        first = jax.vmap(reset)(keys)
        return first, jax.vmap(step, in_axes=(0, 0, None))(keys, first[1], action)

    traced = jax.eval_shape(both, jax.random.key(0), like_action(action_space))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), traced)


def _checked_values(name: str, method: str, found: Any, expected: tuple[str, ...]) -> Any:
    if not isinstance(found, tuple) or len(found) != len(expected):
        one = "an array" if hasattr(found, "shape") else f"a {type(found).__name__}"
        count = f"{len(found)} values" if isinstance(found, tuple) else one
        way_out = "; wrap it in envs.LegacyGymnax" if count == "5 values" else ""
        raise UsageError(
            f"{name}: {method} returns {count}, but must return ({', '.join(expected)}){way_out}"
        )
    for value, tree in zip(expected, found, strict=True):
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            if not is_numbers(leaf):
                raise UsageError(
                    f"{name}: {value}{jax.tree_util.keystr(path)} from {method} is "
                    f"{kind_of(leaf)}, but must be numbers or arrays of them"
                )
    return found


def _check_halves(
    name: str, env: Any, params: Any, key: Any, state: Any, action: Any, space: Space
) -> None:
    """Say what differs between step and reset, of which a class's auto-reset raises less plainly.

    ``step_env`` and ``reset_env`` are the halves that gymnax's base puts together.
    """
    first_obs, first = jax.tree.map(jnp.asarray, env.reset_env(key, params))
    obs, last = jax.tree.map(jnp.asarray, env.step_env(key, state, action, params)[:2])
    check_observation(f"{name}: the observation from reset", first_obs, space)
    check_observation(f"{name}: the observation from step", obs, space)
    _check_state(name, first, last)


def check_observation(what: str, obs: Any, space: Space) -> None:
    """Raise ``UsageError`` where the shapes of ``obs`` are not those of ``space``.

    ``what`` begins the sentence, and grows into the path of the leaf.
    """
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
            check_observation(f"{what}[{key!r}]", parts[key], child)
        return
    expected = jax.ShapeDtypeStruct(tuple(space.shape), dtype_of(space))
    if not hasattr(obs, "shape") or obs.shape != expected.shape or not _fits(obs.dtype, space):
        raise UsageError(
            f"{what} is {describe(obs)}, but the observation space says {describe(expected)}"
        )


def _fits(dtype: Any, space: Space) -> bool:
    """Flattening makes float32 of any real number in a Box, but a category must be an integer."""
    kinds = (jnp.integer, jnp.floating, jnp.bool_) if isinstance(space, Box) else (jnp.integer,)
    return any(jnp.issubdtype(dtype, kind) for kind in kinds)


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
