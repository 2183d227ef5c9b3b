"""A recurrent policy: a network with a memory, and what its observations are normalised by."""

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.rl.normalise import Moments, normalise
from ssmrl.rl.rollout import ActorState, Trajectory, rollout


class Learnt(NamedTuple):
    """What a policy acts by; the whole state of an agent has these among others."""

    params: Any
    obs_moments: Moments | None


class HasLearnt(Protocol):
    """A :class:`Learnt`, or what has its parts."""

    @property
    def params(self) -> Any:
        """Of the network."""

    @property
    def obs_moments(self) -> Moments | None:
        """What observations are normalised by."""


class RecurrentPolicy:
    """Acts by a ``network`` such as :class:`ssmrl.nets.actor_critic.ActorCritic`.

    All methods are pure functions of ``learnt``. With ``normalises``, observations are seen
    relative to the running mean and deviation of those before.
    """

    def __init__(self, network: nn.Module, normalises: bool = False):
        self.network, self.normalises = network, normalises

    def initial_memory(self, num_envs: int) -> Any:
        """Return the memory state of environments that have not begun."""
        return self.network.memory.initial_state((num_envs,))

    def begin(self, env: Any, key: jax.Array) -> ActorState:
        """Return where acting in a vectorised environment begins."""
        return ActorState.begin(env, key, self.initial_memory(env.num))

    def init(self, key: jax.Array, actor: ActorState) -> Learnt:
        """Return first parameters, and the moments of nothing."""
        seen = actor.memory_state, actor.obs, actor.start
        params = self.network.init(key, *seen, method="step")
        moments = Moments.of_shape(actor.obs.shape[1:]) if self.normalises else None
        return Learnt(params, moments)

    def apply(
        self,
        learnt: HasLearnt,
        method: str,
        memory_state: Any,
        obs: Any,
        start: Any,
        **prepared: Any,
    ) -> Any:
        """Return what the network's ``step``, ``scan`` or ``value`` does of raw observations."""
        inputs = (memory_state, normalise(learnt.obs_moments, obs), start)
        return self.network.apply(learnt.params, *inputs, method=method, **prepared)

    def act(
        self, learnt: HasLearnt, memory_state: Any, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Any, jax.Array]:
        """Return the next memory state and actions [B]: the likeliest, or drawn with ``key``."""
        memory_state, policy, _ = self.apply(learnt, "step", memory_state, obs, start)
        return memory_state, jnp.where(greedy, policy.mode(), policy.sample(seed=key))

    def rollout(
        self, learnt: HasLearnt, env: Any, actor: ActorState, keys: jax.Array
    ) -> tuple[ActorState, Trajectory]:
        """Act once per key, [T]; see :func:`ssmrl.rl.rollout.rollout`."""
        prepared: Any = self.network.apply(learnt.params, method="prepare")
        return rollout(
            step=partial(self.apply, learnt, "step", **prepared),
            value=partial(self.apply, learnt, "value", **prepared),
            env_step=env.step,
            actor=actor,
            keys=keys,
        )
