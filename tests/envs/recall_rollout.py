"""Plays many copies of a game with given actions, the same game every time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import envs

KEY = jax.random.key(7)


class Steps(NamedTuple):
    """What happened; every array is [copies, steps, ...]."""

    seen: np.ndarray  # the observation that the action answers
    after: np.ndarray  # the observation after it, before a reset
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


def make_rollout(name, num_steps, copies=500, **settings):
    """Return the environment, its parameters, and a compiled function from actions to ``Steps``.

    ``actions`` are int [copies, num_steps]; the keys are always the same. With twice the steps of
    an episode the second half is the episode after an auto-reset.
    """
    env, params = envs.make(name, **settings)

    def episode(key, actions):
        def step(carry, x):
            seen, state = carry
            obs, state, *signals, info = env.step(x[0], state, x[1], params)
            return (obs, state), (seen, info["final_observation"], *signals)

        keys = jax.random.split(key, num_steps)
        return jax.lax.scan(step, env.reset(key, params), (keys, actions))[1]

    batch = jax.jit(jax.vmap(episode))
    keys = jax.random.split(KEY, copies)

    def rollout(actions):
        actions = jnp.broadcast_to(jnp.asarray(actions, jnp.int32), (copies, num_steps))
        return Steps(*(np.asarray(x) for x in batch(keys, actions)))

    return env, params, rollout


def by_episode(array, num_steps):
    """Return [copies, k * num_steps, ...] as [copies * k, num_steps, ...]."""
    return array.reshape(-1, num_steps, *array.shape[2:])


def chi_square(counts):
    """Return the statistic against equal chances of all the cells."""
    counts = np.asarray(counts, float).ravel()
    return (((counts - counts.mean()) ** 2) / counts.mean()).sum()
