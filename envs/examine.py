"""Play an environment with random actions, and look for what training would trip over."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.check import check_environment
from envs.check_space import like_action
from envs.random_play import play_randomly, sample
from ssmrl.errors import UsageError
from ssmrl.foreign import Finding, own_words
from ssmrl.purity import changed_attribute, kept, program

NUM_STEPS = 1024
ENOUGH_ENDS = 16  # of episodes, to say of all of them that they are alike
LOST = (
    "step begins the next episode by itself, so that the last observation is out of reach, and "
    "every end counts as a termination; a class with step_env and reset_env would show it"
)
Facts = dict[str, np.ndarray]  # of every step, [T, B], and of every reset, [B]


def examine(
    env: Any, params: Any, *, seed: int = 0, num_steps: int = NUM_STEPS
) -> Iterator[Finding]:
    """Yield what was found, subject by subject; ends early where a fault bars all others.

    32 environments side by side take ``num_steps`` random actions in one compiled loop. What they
    are held against: their own spaces, the contract (``envs.check_environment``), finite numbers,
    the same numbers for the same keys and others for others, nothing kept outside the state, no
    second compilation, and an auto-reset that begins new, different episodes. What JAX has compiled
    before is forgotten, so that everything is traced anew.
    """
    played: list[Facts] = []

    def play_twice() -> None:
        play = jax.jit(lambda key: play_randomly(env, params, key, num_steps))
        played.extend(jax.device_get(play(jax.random.key(seed))) for _ in range(2))

    for subject, look in (
        ("contract", lambda: check_environment(env, params)),
        ("purity", lambda: _impurity(env, params)),
        ("jit and vmap", play_twice),
    ):
        try:
            yield Finding(subject, fault=look())
        except Exception as error:  # of the environment's own code: nothing more can be tried
            own = not isinstance(error, UsageError)
            yield Finding(subject, fault=own_words(error) if own else str(error))
            return
    seen, again = played
    yield Finding("compilation", remark=_second_compilation(env, params))
    yield Finding("observations", _unknown_category(seen), _outside(seen))
    yield Finding("numbers", _not_finite(seen))
    if getattr(env, "final_observation_is_lost", None) is True:  # LegacyGymnax says so
        yield Finding("final observation", remark=LOST)
    else:
        yield Finding("final observation", _wrong_final(seen))
    yield Finding("auto-reset", _wrong_reset(seen), _odd_ends(seen))
    yield Finding("determinism", _chance(seen, again), _remark(seen))


def _impurity(env: Any, params: Any) -> str | None:
    """Trace twice: what differs came from outside, what stays on the environment leaks."""

    def both(key: jax.Array, key_step: jax.Array) -> Any:
        _, state = env.reset(key, params)
        state = jax.tree.map(jnp.asarray, state)  # as it comes out of a compiled reset
        return env.step(key_step, state, sample(env.action_space(params), key), params)

    keys = jax.random.split(jax.random.key(0))
    first, before = program(both, *keys), kept(_layers(env))  # what is cached at first is cached
    second = program(both, *keys)
    changed = changed_attribute(before, kept(_layers(env)))
    if changed:
        return (
            f"reset or step changed the attribute {changed!r} of the environment; compiled code "
            "does so once, not in every step, so keep it in the state"
        )
    if first != second:
        return (
            "tracing reset and step twice gave two programs; draw every random number from the "
            "key, and keep what changes in the state"
        )
    return None


def _layers(env: Any) -> Iterator[Any]:
    """Yield the environment, and those that it wraps."""
    while hasattr(env, "__dict__"):
        yield env
        env = vars(env).get("env")


def _second_compilation(env: Any, params: Any) -> str | None:
    key = jax.random.key(0)
    _, state = jax.eval_shape(lambda key: env.reset(key, params), key)
    action = like_action(env.action_space(params))
    step = jax.eval_shape(lambda *args: env.step(*args, params), key, state, action)
    paths = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, old), new in zip(paths, jax.tree.leaves(step[1]), strict=True):
        if old.weak_type != new.weak_type:
            return (
                f"state{jax.tree_util.keystr(path)} is a plain Python number after reset or step "
                "only: a step that is called by itself is compiled twice; jnp.int32(0) has a dtype"
            )
    return None


def _unknown_category(seen: Facts) -> str | None:
    if seen["categories"].all():
        return None
    share = f"{np.count_nonzero(~seen['categories']):,} of {seen['categories'].size:,}"
    return f"an observation holds a category that its space does not have ({share})"


def _outside(seen: Facts) -> str | None:
    for name, what in (
        ("first in space", "the first observation of an episode"),
        ("in space", "an observation"),
        ("final in space", "info['final_observation']"),
    ):
        outside = np.count_nonzero(~seen[name])
        if outside:
            share = f"{outside:,} of {seen[name].size:,}"
            return f"{what} lies outside the observation space ({share}); widen it or clip"
    return None


def _not_finite(seen: Facts) -> str | None:
    for name, what in (("finite", "an observation"), ("reward finite", "a reward")):
        if not seen[name].all():
            return f"{what} is not finite (NaN or infinity) with random actions"
    return None


def _wrong_final(seen: Facts) -> str | None:
    ended, same = seen["ended"], seen["same"]
    if not same[~ended].all():
        return "info['final_observation'] is not the observation where no episode ends; return it"
    if _enough(ended) and same[ended].all() and _differ(seen["obs"][ended]):
        return (
            "the observation returned at an end is info['final_observation']; return the first of "
            "the next episode there"
        )
    return None


def _wrong_reset(seen: Facts) -> str | None:
    ended = seen["ended"]
    first = ended.argmax(axis=0)  # the step at which each environment's first episode ends
    later = np.arange(len(ended))[:, None] > first
    if _enough(later) and ended.any(axis=0).all() and ended[later].all() and first.mean() > 1:
        return "after the first end every step ends an episode; step must reset the state there"
    if (ended.sum(axis=0) == 1).all() and first.max() < len(ended) / 8:
        return "after its first end no environment ended again; step must reset the state there"
    if _enough(ended) and _differ(seen["first state"]) and not _differ(seen["state"][ended]):
        return (
            "every episode after the first begins in the same state, though reset gives different "
            "ones; step must reset with (a split of) its own key"
        )
    return None


def _odd_ends(seen: Facts) -> str | None:
    if seen["ended"].all():
        return "every episode is one step long"
    terminated, truncated = seen["terminated"], seen["truncated"]
    if _enough(truncated) and terminated[truncated].all():
        return (
            "every truncation also terminates, so that no value is expected beyond the time limit; "
            "unless episodes end there by themselves, leave the limit out of terminated"
        )
    return None


def _chance(seen: Facts, again: Facts) -> str | None:
    for name, what in (("obs", "observations"), ("reward", "rewards"), ("state", "states")):
        if not np.array_equal(seen[name], again[name], equal_nan=seen[name].dtype.kind == "f"):
            return f"the same keys and actions gave other {what}; draw all chance from the key"
    return None


def _remark(seen: Facts) -> str | None:
    num_steps, num_envs = seen["ended"].shape
    if not seen["ended"].any():
        return f"no episode of {num_envs} ended within {num_steps:,} steps: no auto-reset was seen"
    if not _differ(seen["first state"]) and not _differ(seen["first obs"]):
        return "every episode begins alike, whatever the key"
    return None


def _enough(where: np.ndarray) -> bool:
    """Return whether there are enough places to say of all of them that they are alike."""
    return int(np.count_nonzero(where)) >= ENOUGH_ENDS


def _differ(fingerprints: np.ndarray) -> bool:
    return len(np.unique(fingerprints)) > 1
