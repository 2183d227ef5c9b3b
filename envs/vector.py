"""Many environments as one: keys are split, calls are vmapped, and every array is [B, ...]."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp

from envs.meta.mixture import Mixture
from envs.meta.trial import Trial
from envs.random_play import sample
from envs.spaces import Box, Space, encode, encoded_size
from envs.wrappers.base import find
from envs.wrappers.layout import (
    ImagePlace,
    describe_actions,
    describe_observations,
    image_place,
    observation_parts,
    parts_of_all,
    without_past,
)
from envs.wrappers.transform import RescaleAction
from ssmrl.world_model.parts import Part


class VectorEnv:
    """``num`` environments with the same parameters; every array gets a leading axis [B].

    ``members`` are the names of a mixture's, which this is part of, and ``parts`` what the
    observations of all of them consist of.
    """

    def __init__(
        self,
        env: Any,
        params: Any,
        num: int = 1,
        members: tuple[str, ...] = (),
        parts: tuple[Part, ...] | None = None,
    ):
        self.env, self.params, self.num, self.members = env, params, num, members
        self._parts = parts

    @property
    def action_space(self) -> Space:
        """Action space of one environment."""
        return self.env.action_space(self.params)

    @property
    def observation_space(self) -> Space:
        """Observation space of one environment."""
        return self.env.observation_space(self.params)

    @property
    def encoded_action_size(self) -> int:
        """The length of the vectors that stand for actions."""
        return encoded_size(self.action_space)

    @property
    def unwrapped(self) -> Any:
        """One environment as it is below what ``envs.wrap`` put around it."""
        wrapped = find(self.env, RescaleAction)
        return self.env if wrapped is None else wrapped.env

    @property
    def trial(self) -> Trial | None:
        """The trial within, where there is one."""
        return find(self.env, Trial)  # type: ignore[return-value]

    @property
    def num_inner_episodes(self) -> int:
        """How many inner episodes an episode has at the most; 0 where it is no trial."""
        return 0 if self.trial is None else self.trial.most_episodes(self.params)

    @property
    def image_place(self) -> ImagePlace | None:
        """Where the flat observation of one environment holds an image, if it does."""
        return image_place(self.env, self.params)

    @property
    def observation_parts(self) -> tuple[Part, ...]:
        """What the flat observation of one environment consists of, column by column."""
        return self._parts or observation_parts(self.env, self.params)

    @property
    def groups(self) -> dict[str, slice]:
        """Which rows of a batch are which member's of a mixture."""
        return {}

    def describe(self) -> dict[str, str]:
        """Return in words what an agent sees and does."""
        return {
            "observations": describe_observations(self.env, self.params),
            "actions": describe_actions(self.env, self.params),
        }

    def with_num(self, num: int) -> "VectorEnv":
        """Return the same environment ``num`` times."""
        return VectorEnv(self.env, self.params, num, self.members, self._parts)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Return the first observations [B, ...] and the states."""
        keys = jax.random.split(key, self.num)
        return jax.vmap(self.env.reset, in_axes=(0, None))(keys, self.params)

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple:
        """Return observations, states, rewards, terminated, truncated and info, all [B, ...]."""
        keys = jax.random.split(key, self.num)
        step = jax.vmap(self.env.step, in_axes=(0, 0, 0, None))
        return step(keys, state, action, self.params)

    def without_past(self, obs: jax.Array) -> jax.Array:
        """Return observations [B, D] as they would open an episode."""
        return without_past(self.env, self.params, obs)

    def encode_actions(self, action: jax.Array) -> jax.Array:
        """Return actions of any batch shape as vectors, [..., A]; see ``envs.spaces.encode``.

        Those of a Box are clipped to its bounds, as the environment takes them: a model that saw
        what an actor drew beyond would have to learn first that it makes no difference.
        """
        space = self.action_space

        def vector(action: jax.Array) -> jax.Array:
            clip = isinstance(space, Box)
            return encode(space, jnp.clip(action, space.low, space.high) if clip else action)

        batch = action.shape[: action.ndim - len(space.shape)]
        return jax.vmap(vector)(action.reshape(-1, *space.shape)).reshape(*batch, -1)

    def sample_actions(self, key: jax.Array) -> jax.Array:
        """Return random actions [B, ...]; see ``envs.random_play.sample``."""
        return jax.vmap(partial(sample, self.action_space))(jax.random.split(key, self.num))


class MixedVectorEnv(VectorEnv):
    """The members of a mixture side by side, one vmapped group each.

    The batch holds the groups one after the other; the state is a tuple of theirs. ``info`` has
    what all of them tell in the same shape. Member i is given the i-th part of every key, so that
    its rows are what it would do alone with that.
    """

    def __init__(self, mixture: Mixture, wrap: Callable[[Any], Any], num: int):
        self._mixture, self._wrap = mixture, wrap
        shares = mixture.shares(num)
        self._groups = [
            (name, VectorEnv(wrap(env), params, share))
            for (name, env, params), share in zip(mixture.members, shares, strict=True)
            if share
        ]
        first = self._groups[0][1]
        super().__init__(first.env, first.params, num, tuple(n for n, _, _ in mixture.members))

    @property
    def observation_parts(self) -> tuple[Part, ...]:
        """What the flat observations of all members consist of, whether they are here or not."""
        members = self._mixture.members
        return parts_of_all([observation_parts(self._wrap(env), own) for _, env, own in members])

    @property
    def groups(self) -> dict[str, slice]:
        """Which rows of the batch belong to which member."""
        ends = accumulate(env.num for _, env in self._groups)
        rows = [slice(end - env.num, end) for (_, env), end in zip(self._groups, ends, strict=True)]
        return {name: row for (name, _), row in zip(self._groups, rows, strict=True)}

    @property
    def num_inner_episodes(self) -> int:
        """How many inner episodes a member's trial has at the most; 0 where one has no trials."""
        numbers = [env.num_inner_episodes for _, env in self._groups]
        return max(numbers) if all(numbers) else 0

    def alone(self) -> list[VectorEnv]:
        """Return the members, each with the whole batch for itself."""
        return [env.with_num(self.num) for _, env in self._groups]

    def describe(self) -> dict[str, str]:
        """Return in words what an agent sees and does, and what the batch is made of."""
        made_of = ", ".join(f"{env.num} x {name}" for name, env in self._groups)
        return {**super().describe(), "mixture": made_of}

    def with_num(self, num: int) -> VectorEnv:
        """Return the members with ``num`` environments in all; the first alone where that is 1."""
        if num == 1:
            parts = self.observation_parts
            return VectorEnv(self.env, self.params, members=self.members, parts=parts)
        return MixedVectorEnv(self._mixture, self._wrap, num)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Return the first observations [B, ...] and the members' states."""
        keys = jax.random.split(key, len(self._groups))
        resets = [env.reset(k) for (_, env), k in zip(self._groups, keys, strict=True)]
        obs, states = zip(*resets, strict=True)
        return jnp.concatenate(obs), states

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple:
        """Return observations, states, rewards, terminated, truncated and info of all."""
        keys = jax.random.split(key, len(self._groups))
        steps = [
            env.step(k, own, action[rows])
            for (_, env), k, own, rows in zip(
                self._groups, keys, state, self.groups.values(), strict=True
            )
        ]
        obs, states, rewards, terminated, truncated, infos = zip(*steps, strict=True)
        # A member that has no inner ends to tell must not silence those that do.
        none = [{"return_ends": jnp.zeros_like(t)} for t in terminated]
        told = [default | info for default, info in zip(none, infos, strict=True)]
        signals = map(jnp.concatenate, (_as_floats(rewards), terminated, truncated))
        return jnp.concatenate(obs), states, *signals, _shared(told)

    def without_past(self, obs: jax.Array) -> jax.Array:
        """Return observations [B, D] as they would open an episode of each member."""
        rows = self.groups.values()
        groups = zip(self._groups, rows, strict=True)
        return jnp.concatenate([env.without_past(obs[own]) for (_, env), own in groups])


def vectorise(env: Any, params: Any, wrap: Callable[[Any], Any]) -> VectorEnv:
    """Return one of ``env``, wrapped, or one each of a mixture's members."""
    if isinstance(env, Mixture):
        return MixedVectorEnv(env, wrap, len(env.members))
    return VectorEnv(wrap(env), params)


def _as_floats(rewards: tuple[jax.Array, ...]) -> list[jax.Array]:
    return [reward.astype(jnp.float32) for reward in rewards]


def _shared(infos: Sequence[dict]) -> dict[str, Any]:
    """Return what all infos have, in the same shapes, side by side."""
    shapes = [{k: _shape(v) for k, v in info.items()} for info in infos]
    same = [k for k in infos[0] if all(s.get(k) == shapes[0][k] for s in shapes)]
    return {k: jax.tree.map(lambda *x: jnp.concatenate(x), *(i[k] for i in infos)) for k in same}


def _shape(value: Any) -> Any:
    leaves, tree = jax.tree.flatten(value)
    return tree, [(leaf.shape[1:], leaf.dtype) for leaf in leaves]
