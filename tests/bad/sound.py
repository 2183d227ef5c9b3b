"""A sound environment and a sound memory; each bad one differs from them in one thing."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from envs.spaces import Box, Discrete, Space


@struct.dataclass
class Params:
    """``length`` is the number of steps of an episode."""

    length: int = 5


class Sound:
    """Shows the share of time that has passed, pays 1 for action 1, ends after some steps."""

    default_params = Params()

    def observation_space(self, params: Any) -> Space:
        return Box(-1.0, 1.0, (2,))

    def action_space(self, params: Any) -> Space:
        return Discrete(2)

    def reset(self, key: Any, params: Any) -> tuple:
        state = self.first(key)
        return self.observe(state), state

    def step(self, key: Any, state: Any, action: Any, params: Any) -> tuple:
        last = self.move(state, action)
        ended = self.time(last) >= params.length
        first = self.first(key)
        state = jax.tree.map(lambda a, b: jnp.where(ended, a, b), first, last)
        info = self.info(last)
        obs = self.observe(state)
        return obs, state, self.reward(action), self.flag(ended), self.truncated(ended), info

    def first(self, key: Any) -> Any:
        return {"time": jnp.int32(0)}

    def move(self, state: Any, action: Any) -> Any:
        return {"time": state["time"] + 1}

    def time(self, state: Any) -> Any:
        return state["time"]

    def observe(self, state: Any) -> Any:
        return jnp.full(2, self.time(state) / 5, jnp.float32)

    def reward(self, action: Any) -> Any:
        return jnp.float32(action == 1)

    def flag(self, ended: Any) -> Any:
        return ended

    def truncated(self, ended: Any) -> Any:
        return jnp.bool_(False)

    def info(self, last: Any) -> Any:
        return {"final_observation": self.observe(last)}


class SoundMemory(nn.Module):
    """Halves its state in every step and adds a linear map of the input."""

    features: int = 8  # width of the output

    def setup(self) -> None:
        self.dense = nn.Dense(self.features)

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> Any:
        return jnp.zeros((*batch_shape, self.features))

    def scan(self, state: Any, x_TxBxF: Any, start_TxB: Any) -> tuple:
        def advance(state: jax.Array, inputs: tuple) -> tuple:
            u, start = inputs
            state = self.keep(state, start) / 2 + u
            return state, state

        return jax.lax.scan(advance, state, (self.dense(x_TxBxF), start_TxB))

    def step(self, state: Any, x_BxF: Any, start_B: Any) -> tuple:
        state = self.keep(state, start_B) / 2 + self.dense(x_BxF)
        return state, state

    @nn.nowrap
    def keep(self, state: jax.Array, start: jax.Array) -> jax.Array:
        return jnp.where(start[..., None], 0.0, state)


class Table(dict[str, str]):
    """Names of bad things, and what the answer to each has to name (a regular expression)."""

    def fault(self, words: str) -> Callable[[Any], Any]:
        """Return a decorator that enters a class or function under its name."""

        def enter(thing: Any) -> Any:
            self[thing.__name__] = words
            return thing

        return enter
