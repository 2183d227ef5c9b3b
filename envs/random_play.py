"""Many environments side by side under random actions, told in facts about every step."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.spaces import HUGE, Box, Dict, Space, Tuple, contains, dtype_of
from ssmrl.purity import plain

NUM_ENVS = 32


def play_randomly(env: Any, params: Any, key: jax.Array, num_steps: int) -> dict[str, jax.Array]:
    """Return facts about every step, [T, B] each, and fingerprints of resets, [B]."""
    obs_space, action_space = env.observation_space(params), env.action_space(params)
    categories = _unbounded(obs_space)
    split = lambda key: jax.random.split(key, NUM_ENVS)  # noqa: E731
    key_reset, key = jax.random.split(key)
    first_obs, state = jax.vmap(env.reset, in_axes=(0, None))(split(key_reset), params)

    def one(key: jax.Array, state: Any) -> tuple[Any, dict[str, jax.Array]]:
        key_action, key_step = jax.random.split(key)
        step = env.step(key_step, state, sample(action_space, key_action), params)
        obs, state, reward, terminated, truncated, info = step
        final = info["final_observation"]
        return state, {
            "terminated": terminated,
            "truncated": truncated,
            "ended": terminated | truncated,
            "categories": contains(categories, obs) & contains(categories, final),
            "in space": contains(obs_space, obs),
            "final in space": contains(obs_space, final),
            "finite": _finite(obs) & _finite(final),
            "reward finite": jnp.isfinite(reward),
            "reward": jnp.asarray(reward, jnp.float32),
            "obs": fingerprint(obs),
            "same": _near(obs, final),
            "state": fingerprint(state),
        }

    def step(state: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        return jax.vmap(one)(split(key), state)

    facts = {
        "first in space": jax.vmap(lambda obs: contains(obs_space, obs))(first_obs),
        "first obs": jax.vmap(fingerprint)(first_obs),
        "first state": jax.vmap(fingerprint)(state),
    }
    return facts | jax.lax.scan(step, state, jax.random.split(key, num_steps))[1]


def sample(space: Space, key: jax.Array) -> jax.Array:
    """Return a random element; where a Box has no bound, within 1 of 0 or of the other bound."""
    if not isinstance(space, Box) or not jnp.issubdtype(space.dtype, jnp.floating):
        return space.sample(key)
    low = jnp.where(space.low > -HUGE, space.low, jnp.minimum(space.high, 0) - 1)
    high = jnp.where(space.high < HUGE, space.high, jnp.maximum(space.low, 0) + 1)
    return jax.random.uniform(key, space.shape, dtype_of(space), low, high)


def _unbounded(space: Space) -> Space:
    """Return the space with Boxes that hold everything: what is left are its categories."""
    if isinstance(space, Box):
        return Box(-jnp.inf, jnp.inf, space.shape, space.dtype)
    if isinstance(space, Dict):
        return Dict({key: _unbounded(child) for key, child in space.spaces.items()})
    return Tuple(list(map(_unbounded, space.spaces))) if isinstance(space, Tuple) else space


def _finite(tree: Any) -> jax.Array:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in floats] or [jnp.array(True)]).all()


def _near(first: Any, second: Any) -> jax.Array:
    """Return whether two trees are equal but for rounding, as XLA may compute each for itself."""

    def is_near(a: Any, b: Any) -> jax.Array:
        if not jnp.issubdtype(jnp.result_type(a), jnp.floating):
            return jnp.all(a == b)
        return jnp.isclose(a, b, 1e-5, 1e-6, equal_nan=True).all()

    return jnp.stack(jax.tree.leaves(jax.tree.map(is_near, first, second))).all()


def fingerprint(tree: Any) -> jax.Array:
    """Return a number, uint32 [], that differs for almost all trees that differ."""
    total = jnp.uint32(0)
    for i, leaf in enumerate(map(plain, jax.tree.leaves(tree))):
        leaf = jnp.asarray(leaf).ravel()
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            leaf = jax.lax.bitcast_convert_type(leaf.astype(jnp.float32), jnp.uint32)
        place = jnp.arange(leaf.size, dtype=jnp.uint32) + jnp.uint32(1 + 7919 * i)
        mixed = (leaf.astype(jnp.uint32) + 1) * (place * jnp.uint32(2654435761))
        total += jnp.sum(mixed ^ (mixed >> 15), dtype=jnp.uint32)
    return total
