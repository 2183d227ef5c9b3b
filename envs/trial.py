"""Play an environment with random actions, and look for what training would trip over."""

import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.check import check_environment
from envs.spaces import contains
from ssmrl.errors import UsageError

NUM_ENVS, NUM_STEPS = 32, 1024
ENOUGH_ENDS = 16  # of episodes, to say of all of them that they are alike


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what is wrong with it, in one sentence; None if nothing."""

    subject: str
    fault: str | None = None
    remark: str | None = None  # what is no fault, but good to know


def try_environment(
    env: Any, params: Any, *, seed: int = 0, num_steps: int = NUM_STEPS
) -> Iterator[Finding]:
    """Yield what was found, subject by subject; ends early where a fault bars all others.

    32 environments side by side take ``num_steps`` random actions in one compiled loop. What they
    are held against: their own spaces, the contract (``envs.check_environment``), finite numbers,
    the same numbers for the same keys and others for others, nothing kept outside the state, no
    second compilation, and an auto-reset that begins new, different episodes.
    """
    played: list[dict[str, np.ndarray]] = []

    def play_twice() -> None:
        play = jax.jit(lambda key: _play(env, params, key, num_steps))
        played.extend(jax.device_get(play(jax.random.key(seed))) for _ in range(2))

    for subject, look in (
        ("contract", lambda: check_environment(env, params)),
        ("purity", lambda: _impurity(env, params)),
        ("compilation", lambda: _second_compilation(env, params)),
        ("jit and vmap", play_twice),
    ):
        try:
            yield Finding(subject, fault=look())
        except Exception as error:  # of the environment's own code: nothing more can be tried
            words = str(error) if isinstance(error, UsageError) else _own_words(error)
            yield Finding(subject, fault=words)
            return
    seen, again = played
    yield Finding("determinism", fault=_chance(seen, again))
    yield from _spaces_and_numbers(seen)
    yield from _ends(seen, num_steps)


def _play(env: Any, params: Any, key: jax.Array, num_steps: int) -> dict[str, jax.Array]:
    """Return facts about every step, [T, B] each, and fingerprints of resets, [B]."""
    obs_space, action_space = env.observation_space(params), env.action_space(params)
    split = lambda key: jax.random.split(key, NUM_ENVS)  # noqa: E731
    key_reset, key = jax.random.split(key)
    first_obs, state = jax.vmap(env.reset, in_axes=(0, None))(split(key_reset), params)

    def one(key: jax.Array, state: Any) -> tuple[Any, dict[str, jax.Array]]:
        key_action, key_step = jax.random.split(key)
        step = env.step(key_step, state, action_space.sample(key_action), params)
        obs, state, reward, terminated, truncated, info = step
        final = info["final_observation"]
        return state, {
            "ended": terminated | truncated,
            "in space": contains(obs_space, obs),
            "final in space": contains(obs_space, final),
            "finite": _finite(obs) & _finite(final),
            "reward finite": jnp.isfinite(reward),
            "reward": jnp.asarray(reward, jnp.float32),
            "obs": _fingerprint(obs),
            "final": _fingerprint(final),
            "state": _fingerprint(state),
        }

    def step(state: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        return jax.vmap(one)(split(key), state)

    facts = {
        "first in space": jax.vmap(lambda obs: contains(obs_space, obs))(first_obs),
        "first obs": jax.vmap(_fingerprint)(first_obs),
        "first state": jax.vmap(_fingerprint)(state),
    }
    return facts | jax.lax.scan(step, state, jax.random.split(key, num_steps))[1]


def _impurity(env: Any, params: Any) -> str | None:
    """Trace twice: what differs came from outside, what stays on the environment leaks."""

    def both(key: jax.Array, key_step: jax.Array) -> Any:
        _, state = env.reset(key, params)
        state = jax.tree.map(jnp.asarray, state)  # as it comes out of a compiled reset
        return env.step(key_step, state, env.action_space(params).sample(key), params)

    keys = jax.random.split(jax.random.key(0))
    first, kept = _program(both, *keys), _kept(env)  # what is cached on first use is cached now
    second = _program(both, *keys)
    changed = [name for name, what in _kept(env).items() if kept.get(name) != what]
    if changed:
        return (
            f"reset or step changed the attribute {changed[0]!r} of the environment; compiled code "
            "does so once, not in every step, so keep it in the state"
        )
    if first != second:
        return (
            "tracing reset and step twice gave two programs; draw every random number from the "
            "key, and keep what changes in the state"
        )
    return None


def _program(function: Callable[..., Any], *args: Any) -> tuple[str, list[bytes]]:
    traced = jax.make_jaxpr(lambda *args: function(*args))(*args)  # a lambda is never cached
    constants = [np.asarray(_plain(constant)).tobytes() for constant in traced.consts]
    return re.sub(r"0x[0-9a-f]+", "", str(traced)), constants


def _kept(env: Any) -> dict[str, tuple[int, int]]:
    """Return what shows that attributes are replaced or grow."""
    sized = (list, dict, set)
    return {k: (id(v), len(v) if isinstance(v, sized) else 0) for k, v in vars(env).items()}


def _second_compilation(env: Any, params: Any) -> str | None:
    key = jax.random.key(0)
    _, state = jax.eval_shape(lambda key: env.reset(key, params), key)
    action = jax.eval_shape(env.action_space(params).sample, key)
    step = jax.eval_shape(lambda *args: env.step(*args, params), key, state, action)
    paths = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, old), new in zip(paths, jax.tree.leaves(step[1]), strict=True):
        if old.weak_type != new.weak_type:
            return (
                f"state{jax.tree_util.keystr(path)} is a plain Python number after reset or step "
                "only, so that a compiled step is compiled twice; give it a dtype (jnp.int32(0))"
            )
    return None


def _chance(seen: dict[str, np.ndarray], again: dict[str, np.ndarray]) -> str | None:
    for name, what in (("obs", "observations"), ("reward", "rewards"), ("state", "states")):
        if not np.array_equal(seen[name], again[name], equal_nan=seen[name].dtype.kind == "f"):
            return f"the same keys and actions gave other {what}; draw all chance from the key"
    return None


def _spaces_and_numbers(seen: dict[str, np.ndarray]) -> Iterator[Finding]:
    for subject, name, what in (
        ("observations", "first in space", "the first observation of an episode"),
        ("observations", "in space", "an observation"),
        ("observations", "final in space", "info['final_observation']"),
    ):
        outside = np.count_nonzero(~seen[name])
        if outside:
            share = f"{outside:,} of {seen[name].size:,}"
            fault = f"{what} lies outside the observation space ({share}); widen it or clip"
            yield Finding(subject, fault=fault)
            break
    else:
        yield Finding("observations")
    numbers = [("finite", "an observation"), ("reward finite", "a reward")]
    bad = [what for name, what in numbers if not seen[name].all()]
    fault = f"{bad[0]} is not finite (NaN or infinity) with random actions" if bad else None
    yield Finding("numbers", fault=fault)


def _ends(seen: dict[str, np.ndarray], num_steps: int) -> Iterator[Finding]:
    """Judge episodes' ends and the auto-reset from fingerprints."""
    ended, inside = seen["ended"], ~seen["ended"]
    wrong = inside & (seen["final"] != seen["obs"])
    fault = None
    if wrong.any():
        fault = "info['final_observation'] is not the observation where no episode ends; return it"
    elif _all_alike(seen["final"] == seen["obs"], ended) and _differ(seen["obs"][ended]):
        fault = (
            "the observation returned at an end is info['final_observation']; return the first of "
            "the next episode there"
        )
    yield Finding("final observation", fault=fault)
    if not ended.any():
        remark = f"no episode of {NUM_ENVS} ended within {num_steps:,} steps"
        yield Finding("auto-reset", remark=remark + ", so that the auto-reset was not seen")
        return
    yield Finding("auto-reset", fault=_auto_reset_fault(seen))
    remark = None
    if not _differ(seen["first state"]) and not _differ(seen["first obs"]):
        remark = "every episode begins alike, whatever the key"
    yield Finding("episodes", remark=remark)


def _auto_reset_fault(seen: dict[str, np.ndarray]) -> str | None:
    ended = seen["ended"]
    first = ended.argmax(axis=0)  # the step at which each environment's first episode ends
    later = np.arange(len(ended))[:, None] > first
    many = np.count_nonzero(later) >= ENOUGH_ENDS and ended.any(axis=0).all()
    if many and ended[later].all() and first.mean() > 1:
        return "after the first end every step ends an episode; step must reset the state there"
    enough = np.count_nonzero(ended) >= ENOUGH_ENDS
    if enough and _differ(seen["first state"]) and not _differ(seen["state"][ended]):
        return (
            "every episode after the first begins in the same state, though reset gives different "
            "ones; step must reset with (a split of) its own key"
        )
    return None


def _all_alike(condition: np.ndarray, where: np.ndarray) -> bool:
    """Return whether ``condition`` holds at all of at least ENOUGH_ENDS places."""
    return np.count_nonzero(where) >= ENOUGH_ENDS and bool(condition[where].all())


def _differ(fingerprints: np.ndarray) -> bool:
    return len(np.unique(fingerprints)) > 1


def _finite(tree: Any) -> jax.Array:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in floats] or [jnp.array(True)]).all()


def _fingerprint(tree: Any) -> jax.Array:
    """Return a number, uint32 [], that differs for almost all trees that differ."""
    total = jnp.uint32(0)
    for i, leaf in enumerate(map(_plain, jax.tree.leaves(tree))):
        leaf = jnp.asarray(leaf).ravel()
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            leaf = jax.lax.bitcast_convert_type(leaf.astype(jnp.float32), jnp.uint32)
        place = jnp.arange(leaf.size, dtype=jnp.uint32) + jnp.uint32(1 + 7919 * i)
        mixed = (leaf.astype(jnp.uint32) + 1) * (place * jnp.uint32(2654435761))
        total += jnp.sum(mixed ^ (mixed >> 15), dtype=jnp.uint32)
    return total


def _plain(leaf: Any) -> Any:
    is_key = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _own_words(error: Exception) -> str:
    """Return the error's first line and the line of the environment's code that it came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/jax/" not in f.filename]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    hint = ""
    if isinstance(error, jax.errors.ConcretizationTypeError):
        hint = "; Python's if, while, int() and float() cannot look at traced values: use jnp.where"
    elif isinstance(error, jax.errors.UnexpectedTracerError):
        hint = "; nothing that reset or step computes may be kept outside the state"
    return f"{type(error).__name__}: {text}{where}{hint}"
