"""Acting with a memory in vectorised environments, and what it leaves behind."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class ActorState(struct.PyTreeNode):
    """Where acting stands; leaves are [B, ...]."""

    env_state: Any
    obs: jax.Array
    start: jax.Array  # obs is the first of an episode
    memory_state: Any  # before obs was seen

    @classmethod
    def begin(cls, env: Any, key: jax.Array, memory_state: Any) -> "ActorState":
        """Return where acting in a vectorised environment begins, with the memory of nothing."""
        obs, env_state = env.reset(key)
        return cls(env_state, obs, jnp.ones(env.num, bool), memory_state)


class Trajectory(struct.PyTreeNode):
    """One roll-out: leaves are [T, B, ...], but ``memory_state`` [B, ...] is that before step 0."""

    memory_state: Any
    obs: jax.Array
    start: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array  # of obs
    next_value: jax.Array  # of what was seen next in the same episode
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    return_ends: jax.Array  # no later reward counts: terminated, or an inner end that is told so
    episode_return: jax.Array  # of the episode so far, this step included
    episode_length: jax.Array

    @property
    def ended(self) -> jax.Array:
        """True where a step was the last of its episode."""
        return self.terminated | self.truncated

    def select(self, indices: jax.Array) -> "Trajectory":
        """Return the whole sequences of some of the environments."""
        rest = jax.tree.map(lambda x: jnp.take(x, indices, axis=1), self.replace(memory_state=()))
        state = jax.tree.map(lambda x: jnp.take(x, indices, axis=0), self.memory_state)
        return rest.replace(memory_state=state)


def rollout(
    step: Callable[..., tuple[Any, Any, jax.Array]],
    value: Callable[..., jax.Array],
    env_step: Callable[..., tuple],
    actor: ActorState,
    keys: jax.Array,
) -> tuple[ActorState, Trajectory]:
    """Act once per key, [T]; return where acting stands then, and the trajectory.

    ``step(memory_state, obs, start)`` returns the next memory state, the policy and the values;
    ``value`` of the same arguments the values alone; ``env_step(key, env_state, action)`` is one
    step of all environments, with auto-reset. Its ``info["return_ends"]`` [B], where there is one,
    tells that rewards from the next step on count for nothing before, though the episode goes on.
    """

    def act(actor: ActorState, key: jax.Array) -> tuple[ActorState, dict[str, jax.Array]]:
        key_act, key_env = jax.random.split(key)
        memory_state, policy, value_B = step(actor.memory_state, actor.obs, actor.start)
        action = policy.sample(seed=key_act)
        obs, env_state, reward, terminated, truncated, info = env_step(
            key_env, actor.env_state, action
        )
        # Only a time limit needs the value of what the auto-reset hides, and those are rare.
        final_value = jax.lax.cond(
            jnp.any(truncated),
            lambda: value(memory_state, info["final_observation"], jnp.zeros_like(actor.start)),
            lambda: jnp.zeros_like(value_B),
        )
        moment = {
            "obs": actor.obs,
            "start": actor.start,
            "action": action,
            "log_prob": policy.log_prob(action),
            "value": value_B,
            "next_value": final_value,
            "reward": reward.astype(jnp.float32),
            "terminated": terminated,
            "truncated": truncated,
            "return_ends": terminated | info.get("return_ends", jnp.zeros_like(terminated)),
            "episode_return": info["episode_return"],
            "episode_length": info["episode_length"],
        }
        return ActorState(env_state, obs, terminated | truncated, memory_state), moment

    first_memory_state = actor.memory_state
    actor, moments = jax.lax.scan(act, actor, keys)
    last_value = value(actor.memory_state, actor.obs, actor.start)
    following = jnp.concatenate([moments["value"][1:], last_value[None]])
    moments["next_value"] = jnp.where(moments["truncated"], moments["next_value"], following)
    return actor, Trajectory(first_memory_state, **moments)
