"""Environments as strangers write them, for gymnax 1.x and for gymnax before 1.0."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from envs.spaces import MultiDiscrete


@struct.dataclass
class State(environment.EnvState):
    """How far the walker is; it starts anywhere between 0 and 1."""

    place: jax.Array


class Walk(environment.Environment):
    """Pays the place that a walker reaches within eight steps, of gymnax 1.x."""

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=8)

    def reset_env(self, key, params):
        state = State(time=0, place=jax.random.uniform(key))
        return self.observe(key, state, None, params), state

    def step_env(self, key, state, action, params):
        place = state.place + self.move(action)
        state = state.replace(time=state.time + 1, place=place)
        return self.observe(key, state, action, params), state, state.place, state.place > 5, {}

    def move(self, action):
        return 0.1 * (action == 1)

    def observe(self, key, state, action, params):
        return state.place[None]

    def observation_space(self, params):
        return spaces.Box(0, 10, (1,))

    def action_space(self, params=None):
        return spaces.Discrete(2)


class Nested(Walk):
    """Dicts within tuples within dicts."""

    def observe(self, key, state, action, params):
        where = {"place": state.place, "near": jnp.int32(state.place < 1)}
        return {"then": (jnp.int32(state.time), where), "bits": jnp.array([0, 1])}

    def observation_space(self, params):
        where = {"place": spaces.Box(0, 10, ()), "near": spaces.Discrete(2)}
        then = spaces.Tuple((spaces.Discrete(9), spaces.Dict(where)))
        return spaces.Dict({"then": then, "bits": MultiDiscrete([2, 2])})


@struct.dataclass
class Seen:
    """What a walker sees."""

    place: jax.Array
    time: jax.Array


class SeenAsClass(Walk):
    """A dataclass for an observation."""

    def observe(self, key, state, action, params):
        return Seen(place=state.place, time=jnp.int32(state.time))

    def observation_space(self, params):
        return spaces.Dict({"place": spaces.Box(0, 10, ()), "time": spaces.Discrete(9)})


class Float64(Walk):
    """NumPy's numbers of 64 bits wherever there can be some, and a bound of each entry."""

    SHIFT = np.linspace(0.0, 1.0, 3)

    def move(self, action):
        return np.float64(0.1) * action.mean()

    def observe(self, key, state, action, params):
        return np.ones(3) if action is None else self.SHIFT + state.place

    def observation_space(self, params):
        return spaces.Box(np.zeros(3), np.full(3, 11.0), (3,), np.float64)

    def action_space(self, params=None):
        return spaces.Box(np.full(2, -1.0), np.full(2, 1.0), (2,), np.float64)


class Bytes(Walk):
    """Pictures of eight by eight bytes in three colours."""

    def observe(self, key, state, action, params):
        return jnp.full((8, 8, 3), 25 * state.place).astype(jnp.uint8)

    def observation_space(self, params):
        return spaces.Box(0, 255, (8, 8, 3), jnp.uint8)


class Factored(Walk):
    """Two choices at once."""

    def move(self, action):
        return 0.1 * action[0] * action[1]

    def action_space(self, params=None):
        return MultiDiscrete([2, 3])


class FiveToTen(Walk):
    """A push between 5 and 10, of which 7.5 is best."""

    def move(self, action):
        return -0.1 * jnp.abs(action[0] - 7.5)

    def observation_space(self, params):
        return spaces.Box(-10, 10, (1,))

    def action_space(self, params=None):
        return spaces.Box(5.0, 10.0, (1,))


class Long(Walk):
    """Five thousand steps in every episode."""

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=5_000)

    def move(self, action):
        return 0.0


class Old(Walk):
    """Of gymnax before 1.0, with the time limit in its flag and a discount in its info."""

    def step_env(self, key, state, action, params):
        obs, state, reward, _, _ = super().step_env(key, state, action, params)
        info = {"discount": self.discount(state, params)}
        return obs, state, reward, self.is_terminal(state, params), info

    def is_terminal(self, state, params):
        return (state.place > 5) | (state.time >= params.max_steps_in_episode)
