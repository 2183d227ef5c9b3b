"""Many copies of one environment as one: keys are split and calls are vmapped."""

from typing import Any

import jax

from envs.spaces import Space
from envs.wrappers.base import find
from envs.wrappers.layout import (
    ImagePlace,
    describe_actions,
    describe_observations,
    image_place,
)
from envs.wrappers.transform import RescaleAction


class VectorEnv:
    """``num`` environments with the same parameters; every array gets a leading axis [B]."""

    def __init__(self, env: Any, params: Any, num: int = 1):
        self.env, self.params, self.num = env, params, num

    @property
    def action_space(self) -> Space:
        """Action space of one environment."""
        return self.env.action_space(self.params)

    @property
    def observation_space(self) -> Space:
        """Observation space of one environment."""
        return self.env.observation_space(self.params)

    @property
    def unwrapped(self) -> Any:
        """One environment as it is below what ``envs.wrap`` put around it."""
        wrapped = find(self.env, RescaleAction)
        return self.env if wrapped is None else wrapped.env

    @property
    def image_place(self) -> ImagePlace | None:
        """Where the flat observation of one environment holds an image, if it does."""
        return image_place(self.env, self.params)

    def describe(self) -> dict[str, str]:
        """Return in words what an agent sees and does."""
        return {
            "observations": describe_observations(self.env, self.params),
            "actions": describe_actions(self.env, self.params),
        }

    def with_num(self, num: int) -> "VectorEnv":
        """Return the same environment ``num`` times."""
        return VectorEnv(self.env, self.params, num)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Return the first observations [B, ...] and the states."""
        keys = jax.random.split(key, self.num)
        return jax.vmap(self.env.reset, in_axes=(0, None))(keys, self.params)

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple:
        """Return observations, states, rewards, terminated, truncated and info, all [B, ...]."""
        keys = jax.random.split(key, self.num)
        step = jax.vmap(self.env.step, in_axes=(0, 0, 0, None))
        return step(keys, state, action, self.params)
