"""An environment full of chance, and a recorder of what a wrapped environment does in a batch."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from flax import struct
from tiny_env import Tiny, TinyParams

from envs.spaces import Box

KEY = jax.random.key(0)
PARAMS = TinyParams()


@struct.dataclass
class ChanceState:
    time: jax.Array
    luck: jax.Array


class Chance(Tiny):
    """Observes [t, luck] with luck drawn anew in every step, which is also the reward."""

    def see(self, state):
        return jnp.stack([state.time.astype(jnp.float32), state.luck])

    def observation_space(self, params):
        return Box(0.0, jnp.array([1e6, 1.0]), (2,), jnp.float32)

    def reset(self, key, params):
        state = ChanceState(jnp.int32(0), jax.random.uniform(key))
        return self.see(state), state

    def step(self, key, state, action, params):
        key_step, key_reset = jax.random.split(key)
        last = ChanceState(state.time + 1, jax.random.uniform(key_step))
        ended = last.time >= params.max_steps_in_episode
        new = self.reset(key_reset, params)
        obs, state = jax.tree.map(lambda a, b: jnp.where(ended, a, b), new, (self.see(last), last))
        info = {"final_observation": self.see(last)}
        flags = ended & (not self.truncates), ended & self.truncates
        return obs, state, last.luck, *flags, info

    def render(self, state, params=None):
        return f"step {int(state.time)}"


def steps_of(env, actions, params=PARAMS):
    """Return the first observation and the steps' records, one after the other, uncompiled."""
    obs, state = env.reset(KEY, params)
    records = []
    for i, action in enumerate(actions):
        key = jax.random.fold_in(KEY, i)
        step = env.step(key, state, jnp.asarray(action), params)
        records.append(_record(step))
        state = step[1]
    return obs, records


def batch_of(env, num_envs, num_steps, params=PARAMS):
    """Return the first observations [B, ...] and one record of all steps [T, B, ...], compiled.

    The actions are zeros; the keys depend on nothing but the place in the batch.
    """

    @jax.jit
    def play(key):
        action = jnp.zeros_like(env.action_space(params).sample(key))
        obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, num_envs), params)

        def step(state, key):
            keys = jax.random.split(key, num_envs)
            step = jax.vmap(env.step, (0, 0, None, None))(keys, state, action, params)
            return step[1], vars(_record(step))

        return obs, jax.lax.scan(step, state, jax.random.split(key, num_steps))[1]

    first, record = jax.device_get(play(KEY))
    return first, SimpleNamespace(**record)


def _record(step):
    obs, state, reward, terminated, truncated, info = step
    return SimpleNamespace(
        obs=obs,
        final=info["final_observation"],
        state=state,
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        ended=terminated | truncated,
        info=info,
    )
