"""Plays many trials with a policy that may know the task."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Trials(NamedTuple):
    """What happened; every array is [copies, steps, ...]."""

    reward: np.ndarray
    episode: np.ndarray  # of the trial, the inner one that the step belongs to
    inner_return: np.ndarray  # of it, with the step
    episode_done: np.ndarray
    over: np.ndarray
    task: Any  # params of the inner environment


def play_trials(env, params, policy, num_steps, copies, seed=0):
    """Return ``Trials`` where ``policy(key, state)`` acts; ``state`` is the trial's."""

    def trial(key):
        def step(state, key):
            key_act, key_step = jax.random.split(key)
            task = state.task
            action = policy(key_act, state)
            _, state, reward, terminated, truncated, info = env.step(
                key_step, state, action, params
            )
            told = (info[k] for k in ("inner_episode", "inner_return", "episode_done"))
            return state, (reward, *told, terminated | truncated, task)

        key, key_reset = jax.random.split(key)
        keys = jax.random.split(key, num_steps)
        return jax.lax.scan(step, env.reset(key_reset, params)[1], keys)[1]

    keys = jax.random.split(jax.random.key(seed), copies)
    return Trials(*jax.tree.map(np.asarray, jax.jit(jax.vmap(trial))(keys)))


def optimal_returns(env, tasks):
    """Return the best expected return of an inner episode of each task: array [copies]."""
    return np.asarray(jax.jit(jax.vmap(env.env.optimal_return))(tasks))


def at_step(told, step):
    """Return the tasks at this step."""
    return jax.tree.map(lambda x: x[:, step], told.task)


def at_random(env, params):
    """Return the policy that draws any action."""
    return lambda key, state: env.action_space(params).sample(key)


def standard_error(x):
    """Return that of the mean of independent numbers."""
    return np.std(x) / np.sqrt(np.size(x))


def greedy(best):
    """Return the policy of a player that knows the task: ``best(env_state, task)`` acts."""
    return lambda key, state: jnp.int32(best(state.env_state, state.task))
