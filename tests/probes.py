"""Environments so small that a broken agent fails on them within seconds."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

from envs.spaces import Box, Dict, Discrete, MultiDiscrete


@struct.dataclass
class State(environment.EnvState):
    """Time within the episode, and what has to be remembered."""

    cue: jax.Array


@struct.dataclass
class Params(environment.EnvParams):
    """``length`` is the number of steps of an episode."""

    length: int = 1
    max_steps_in_episode: int = 1_000


class Probe(environment.Environment[State, Params]):
    """Pays 1 for whatever is done, and terminates after ``length`` steps."""

    @property
    def default_params(self) -> Params:
        return Params()

    def reset_env(self, key: jax.Array, params: Params) -> tuple[jax.Array, State]:
        state = State(time=jnp.int32(0), cue=jax.random.bernoulli(key).astype(jnp.int32))
        return self.observe(key, state, None, params), state

    def step_env(self, key: Any, state: State, action: Any, params: Params) -> tuple:
        reward = self.reward(state, action, params)
        state = state.replace(time=state.time + 1)
        terminated = self.is_terminated(state, params)
        return self.observe(key, state, action, params), state, reward, terminated, {}

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.float32(1)

    def observe(self, key: Any, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.zeros(1)

    def is_terminated(self, state: State, params: Params) -> jax.Array:
        return state.time >= params.length

    def observation_space(self, params: Params) -> spaces.Box:
        return spaces.Box(-1, 1, (1,))

    def action_space(self, params: Params | None = None) -> spaces.Space:
        return spaces.Discrete(2)


class Value(Probe):
    """One step, worth 1."""


class TimeLimit(Probe):
    """Pays 1 a step for ever, but is cut off after ``length`` steps: worth 1 / (1 - gamma)."""

    def is_terminated(self, state: State, params: Params) -> jax.Array:
        return jnp.bool_(False)

    def is_truncated(self, state: State, params: Params) -> jax.Array:
        return state.time >= params.length


class Action(Probe):
    """Pays 1 for action 1 and -1 for action 0."""

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.where(action == 1, 1.0, -1.0)


class Continuous(Probe):
    """Pays most for the action (0.5, -0.5)."""

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        return -jnp.square(action - jnp.array([0.5, -0.5])).sum()

    def action_space(self, params: Params | None = None) -> spaces.Space:
        return spaces.Box(-1.0, 1.0, (2,))


class Factored(Probe):
    """Pays 1 for each part of the action (2, 1) of 3 x 2 that is right."""

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        return (action == jnp.array([2, 1])).sum().astype(jnp.float32)

    def action_space(self, params: Params | None = None) -> spaces.Space:
        return MultiDiscrete([3, 2])


class Cue(Probe):
    """Shows a cue at the first step and pays ±1 at the last for having remembered it."""

    @property
    def default_params(self) -> Params:
        return Params(length=8)

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        right = jnp.where(action == state.cue, 1.0, -1.0)
        return jnp.where(state.time == params.length - 1, right, 0.0)

    def observe(self, key: Any, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.where(state.time == 0, 2.0 * state.cue - 1.0, 0.0)[None]


class Broken(Probe):
    """Pays infinity for the last 80 steps: by default from step 20 on."""

    @property
    def default_params(self) -> Params:
        return Params(length=100)

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.where(state.time >= params.length - 80, jnp.inf, 0.0)


class Blinding(Probe):
    """Shows infinity from step 20 on."""

    @property
    def default_params(self) -> Params:
        return Params(length=100)

    def observe(self, key: Any, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.where(state.time >= 20, jnp.inf, 0.0)[None]


class Guess(Probe):
    """Pays for the action that a policy of even odds draws with the first key of the reset."""

    def reset_env(self, key, params):
        obs, state = super().reset_env(key, params)
        cue = jax.random.categorical(jax.random.split(key)[0], jnp.zeros((1, 2)))[0]
        return obs, state.replace(cue=cue.astype(jnp.int32))

    def reward(self, state, action, params):
        return (action == state.cue).astype(jnp.float32)


class Mixed(Probe):
    """Bytes, a flag and a number seen; an action of two numbers between 5 and 10; 5 steps long."""

    @property
    def default_params(self):
        return Params(length=5)

    def observe(self, key, state, action, params):
        picture = jnp.full((2, 2), state.time * 40, jnp.uint8)
        return {"picture": picture, "cue": state.cue, "time": jnp.float32(state.time)[None]}

    def reward(self, state, action, params):
        return jnp.sum(action)

    def observation_space(self, params):
        parts = {"picture": Box(0, 255, (2, 2), jnp.uint8), "cue": Discrete(2)}
        return Dict({**parts, "time": Box(0.0, 10.0, (1,))})

    def action_space(self, params=None):
        return Box(5.0, 10.0, (2,))


class Tiles(Probe):
    """A picture of bytes [5, 5, 1] and three tiles of four kinds seen; pays for action 1."""

    @property
    def default_params(self) -> Params:
        return Params(length=3)

    def observe(self, key: jax.Array, state: State, action: Any, params: Params) -> Any:
        picture = jnp.zeros((5, 5, 1), jnp.uint8).at[state.time, state.cue].set(200)
        return {"picture": picture, "tiles": jnp.arange(3, dtype=jnp.int8) + state.cue}

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.float32(action)

    def observation_space(self, params: Params) -> spaces.Space:
        picture = Box(0, 255, (5, 5, 1), jnp.uint8)
        return Dict({"picture": picture, "tiles": Box(0, 3, (3,), jnp.int8)})


class Level(Probe):
    """Shows how many steps were taken, up to ``high``, as an integer."""

    def __init__(self, high: int = 3):
        super().__init__()
        self.high = high

    def observe(self, key: Any, state: State, action: Any, params: Params) -> jax.Array:
        return jnp.minimum(state.time, self.high)[None]

    def observation_space(self, params: Params) -> spaces.Box:
        return Box(0, self.high, (1,), jnp.int32)


class Aim(Probe):
    """Pays most for the action a share ``cue`` of the way from ``low`` to ``high``, 1/4 or 3/4.

    The share is that of the next of ``steps`` marks, so that tasks of different bounds pay the
    same to the last bit.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0, steps: int = 8):
        super().__init__()
        self.low, self.high, self.steps = low, high, steps

    @property
    def default_params(self) -> Params:
        return Params(length=4)

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        share = (action[0] - self.low) / (self.high - self.low)
        share = jnp.round(share * self.steps) / self.steps
        return -jnp.square(share - 0.25 - state.cue / 2)

    def observe(self, key: Any, state: State, action: Any, params: Params) -> jax.Array:
        return 2.0 * state.cue[None] - 1.0

    def action_space(self, params: Params | None = None) -> spaces.Space:
        return spaces.Box(self.low, self.high, (1,))


class Catch(Probe):
    """Bytes [10, 10, 1] show a ball that falls and a paddle in the last row, ±1 for catching it.

    ``cue`` holds ball and paddle: 10 times one column plus the other.
    """

    @property
    def default_params(self) -> Params:
        return Params(length=9)

    def reset_env(self, key: jax.Array, params: Params) -> tuple[jax.Array, State]:
        state = State(time=jnp.int32(0), cue=jax.random.randint(key, (), 0, 100))
        return self.observe(key, state, None, params), state

    def step_env(self, key: Any, state: State, action: Any, params: Params) -> tuple:
        ball, paddle = state.cue // 10, state.cue % 10
        paddle = jnp.clip(paddle + action - 1, 0, 9)
        return super().step_env(key, state.replace(cue=10 * ball + paddle), action, params)

    def reward(self, state: State, action: Any, params: Params) -> jax.Array:
        caught = jnp.where(state.cue // 10 == state.cue % 10, 1.0, -1.0)
        return jnp.where(state.time == params.length - 1, caught, 0.0)

    def observe(self, key: Any, state: State, action: Any, params: Params) -> jax.Array:
        pixels = jnp.zeros((10, 10, 1), jnp.uint8)
        pixels = pixels.at[state.time, state.cue // 10].set(255)
        return pixels.at[9, state.cue % 10].set(128)

    def observation_space(self, params: Params) -> spaces.Box:
        return spaces.Box(0, 255, (10, 10, 1), jnp.uint8)

    def action_space(self, params: Params | None = None) -> spaces.Space:
        return spaces.Discrete(3)
