"""Acting by a world model and its actor: in environments, and in what the model imagines."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from ssmrl.rl.rollout import ActorState
from ssmrl.world_model.actor_critic import ImaginingActorCritic
from ssmrl.world_model.imagination import imagine
from ssmrl.world_model.moments import Carry, Moment, carry_after
from ssmrl.world_model.parts import pack


class Steps(struct.PyTreeNode):
    """What is kept of a roll-out, [T, B, ...]."""

    obs: tuple[jax.Array, ...]  # packed
    start: jax.Array
    action: jax.Array  # done on obs, as the environment has it
    reward: jax.Array  # for that
    terminated: jax.Array
    truncated: jax.Array
    return_ends: jax.Array  # no later reward counts: terminated, or an inner end that is told so

    @property
    def ended(self) -> jax.Array:
        """True where a step was the last of its episode."""
        return self.terminated | self.truncated


class Learnt(NamedTuple):
    """What a policy acts by; the whole state of an agent has it among others."""

    params: Any


class HasParams(Protocol):
    """A :class:`Learnt`, or what has its part."""

    @property
    def params(self) -> Any:
        """Of the network."""


class ModelPolicy:
    """Acts by the network, with the methods of :class:`ssmrl.rl.acting.RecurrentPolicy`.

    All are pure functions of ``params``. ``encode`` turns actions [..., as the environment has
    them] into the vectors [..., A] that the network takes.
    """

    def __init__(self, network: ImaginingActorCritic, encode: Callable[[jax.Array], jax.Array]):
        self.network, self.encode = network, encode

    def initial_memory(self, num_envs: int) -> Carry:
        """Return what environments that have not begun stand at."""
        return self.network.initial_carry((num_envs,))

    def begin(self, env: Any, key: jax.Array) -> ActorState:
        """Return where acting in a vectorised environment begins."""
        return ActorState.begin(env, key, self.initial_memory(env.num))

    def init(self, key: jax.Array, actor: ActorState) -> Learnt:
        """Return first parameters."""
        packed = pack(self.network.parts, actor.obs)
        return Learnt(self.network.init(key, actor.memory_state, packed, actor.start, key))

    def act(
        self, learnt: HasParams, carry: Carry, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Carry, jax.Array]:
        """Return what stands after acting, and actions [B].

        Latents and actions are the likeliest, or drawn with ``key``.
        """
        packed = pack(self.network.parts, obs)
        return self._act(learnt.params, carry, packed, start, key, greedy, {})

    def rollout(
        self, params: Any, env: Any, actor: ActorState, keys: jax.Array
    ) -> tuple[ActorState, Steps, dict[str, jax.Array]]:
        """Act once per key, [T]; return the steps, and totals of episodes by name, [T, B].

        ``env.step`` may tell ``info["return_ends"]``, as in :func:`ssmrl.rl.rollout.rollout`.
        """
        prepared = self.network.apply(params, method="prepare")

        def step(actor: ActorState, key: jax.Array) -> tuple[ActorState, Any]:
            key_act, key_env = jax.random.split(key)
            obs, start = pack(self.network.parts, actor.obs), actor.start
            carry, action = self._act(
                params, actor.memory_state, obs, start, key_act, False, prepared
            )
            seen, env_state, reward, terminated, truncated, info = env.step(
                key_env, actor.env_state, action
            )
            reward = reward.astype(jnp.float32)
            return_ends = terminated | info.get("return_ends", jnp.zeros_like(terminated))
            steps = Steps(obs, start, action, reward, terminated, truncated, return_ends)
            totals = {name: info[name] for name in ("episode_return", "episode_length")}
            return ActorState(env_state, seen, terminated | truncated, carry), (steps, totals)

        actor, (steps, totals) = jax.lax.scan(step, actor, keys)
        return actor, steps, totals

    def imagine(
        self, params: Any, first: Moment, keys: jax.Array
    ) -> tuple[Moment, jax.Array, jax.Array]:
        """Act once per key, [H], in what the model imagines from moments [K] on.

        Returns moments [H + 1, K], and actions [H, K] as drawn and encoded.
        """
        apply = self.network.apply
        prepared: Any = apply(params, method="prepare")

        def act(moment: Moment, key: jax.Array) -> jax.Array:
            policy: Any = apply(params, moment, method="policy")
            return policy.sample(seed=key)

        def lead(moment: Moment, action: jax.Array, key: jax.Array) -> Any:
            return apply(params, moment, action, key, method="imagine", **prepared)

        return imagine(lead, act, self.encode, first, keys)

    def _act(
        self,
        params: Any,
        carry: Carry,
        packed: tuple[jax.Array, ...],
        start: jax.Array,
        key: jax.Array,
        greedy: Any,
        prepared: Any,
    ) -> tuple[Carry, jax.Array]:
        key_latent, key_action = jax.random.split(key)
        seen = (carry, packed, start, key_latent, greedy)
        moment: Any = self.network.apply(params, *seen, method="see", **prepared)
        policy: Any = self.network.apply(params, moment, method="policy")
        action = jnp.where(greedy, policy.mode(), policy.sample(seed=key_action))
        return carry_after(self.network.latents, moment, self.encode(action)), action
