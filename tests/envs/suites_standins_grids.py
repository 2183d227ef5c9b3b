"""Stand-ins for Craftax, XLand-MiniGrid and NAVIX; see suites_standins."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from suites_standins import module

# --- Craftax -------------------------------------------------------------------------------------


@struct.dataclass
class World:
    x: Any
    timestep: Any


@struct.dataclass
class WorldParams:
    max_timesteps: int = 5
    start: Any = 0.0


@struct.dataclass
class WorldStatic:
    size: int = 3


class CraftaxWorld:
    """Action 1 moves by 1, 0 stays; its flag holds the time limit."""

    default_params = WorldParams()
    num_actions = 2

    def __init__(self):
        self.static_env_params = WorldStatic()

    def observation_space(self, params):
        return SimpleNamespace(shape=(self.static_env_params.size,))

    def see(self, state):
        return jnp.full(self.static_env_params.size, state.x / 4)

    def reset_env(self, key, params):
        state = World(params.start + jax.random.uniform(key), 0)
        return self.see(state), state

    def step_env(self, key, state, action, params):
        state = World(state.x + action, state.timestep + 1)
        done = self.is_terminal(state, params)
        info = {"discount": 1.0 - done, "Achievements/walk": done * 100.0}
        return self.see(state), state, 0.5, done, info

    def is_terminal(self, state, params):
        return (state.timestep >= params.max_timesteps) | (state.x > 2)


def craftax():
    def make(name, auto_reset):
        assert not auto_reset
        return CraftaxWorld()

    env = module("craftax.craftax_env", make_craftax_env_from_name=make)
    return module("craftax", craftax_env=env), env


# --- XLand-MiniGrid ------------------------------------------------------------------------------


class GridParams(struct.PyTreeNode):
    view_size: int = struct.field(pytree_node=False, default=3)
    max_steps: int = struct.field(pytree_node=False, default=5)
    ruleset: Any = 2  # where the goal lies


@struct.dataclass
class GridState:
    step_num: Any
    grid: Any
    agent: Any
    goal: Any


@struct.dataclass
class Agent:
    position: Any
    direction: Any


@struct.dataclass
class TimeStep:
    state: Any
    step_type: Any
    reward: Any
    discount: Any
    observation: Any


class GridWorld:
    """A row of four cells; the agent starts in 0 or 1, action 1 goes right, goal at ``ruleset``."""

    def num_actions(self, params):
        return 2

    def observation_shape(self, params):
        return params.view_size, params.view_size, 2

    def see(self, params, column):
        return jnp.full((params.view_size, params.view_size, 2), column, jnp.uint8)

    def reset(self, params, key):
        column = jax.random.randint(key, (), 0, 2)
        grid = jnp.zeros((1, 4, 2), jnp.uint8).at[0, 2, 0].set(6)
        agent = Agent(jnp.stack([0 * column, column]), jnp.asarray(1))
        state = GridState(jnp.asarray(0), grid, agent, jnp.asarray(params.ruleset))
        zero, first = jnp.asarray(0.0), jnp.asarray(0, jnp.uint8)
        return TimeStep(state, first, zero, jnp.asarray(1.0), self.see(params, column))

    def step(self, params, timestep, action):
        state = timestep.state
        column = jnp.minimum(state.agent.position[1] + action, 3)
        agent = state.agent.replace(position=jnp.stack([0 * column, column]))
        state = state.replace(step_num=state.step_num + 1, agent=agent)
        there = column == state.goal
        last = there | (state.step_num == params.max_steps)
        reward = jax.lax.select(there, 1.0 - 0.9 * (state.step_num / params.max_steps), 0.0)
        step_type = jnp.where(last, 2, 1)  # of another type than the first
        discount = jnp.where(there, 0.0, 1.0)
        return TimeStep(state, step_type, reward, discount, self.see(params, column))


def xminigrid():
    constants = module("xminigrid.core.constants", NUM_TILES=13, NUM_COLORS=12)
    core = module("xminigrid.core", constants=constants)
    suite = module(
        "xminigrid",
        core=core,
        registered_environments=lambda: ("MiniGrid-Row", "XLand-MiniGrid-R1-9x9"),
        make=lambda name: (GridWorld(), GridParams()),
    )
    return suite, core, constants


# --- NAVIX ---------------------------------------------------------------------------------------


class NavixState(struct.PyTreeNode):
    x: Any
    cache: Any


class NavixTimestep(struct.PyTreeNode):
    t: Any
    observation: Any
    reward: Any
    step_type: Any
    state: Any

    def is_termination(self):
        return self.step_type == 2


def symbolic(state):
    return jnp.full(2, state.x, jnp.uint8)


def rgb(state):
    return state.cache.at[0].set(state.x.astype(jnp.uint8))


def categorical(state):
    return jnp.full(2, state.x - 1)


class NavixWorld:
    """Starts at 0 or 1, action 1 moves by 1, beyond 2 lies the end; keeps a cache of pixels."""

    action_set = (None, None)

    def __init__(self, observation_fn=symbolic, max_steps=100, random_start=True):
        self.observation_fn, self.max_steps, self.random = observation_fn, max_steps, random_start
        dtype = jnp.int32 if observation_fn is categorical else jnp.uint8
        shape = (99,) if observation_fn is rgb else (2,)
        self.observation_space = SimpleNamespace(shape=shape, dtype=dtype)

    def reset(self, key):
        x = jax.random.randint(key, (), 0, 2) * self.random
        state = NavixState(x, jnp.zeros(99, jnp.uint8))
        zero = jnp.asarray(0)
        return NavixTimestep(zero, self.observation_fn(state), jnp.asarray(0.0), zero, state)

    def _step(self, timestep, action):
        state = timestep.state.replace(x=timestep.state.x + action)
        t, there = timestep.t + 1, state.x > 2
        step_type = jnp.where(there, 2, jnp.where(t >= self.max_steps, 1, 0))
        return NavixTimestep(t, self.observation_fn(state), 1.0 * there, step_type, state)


def navix():
    suite = module(
        "navix",
        registry=lambda: {"Navix-Line-v0": None},
        make=lambda name, **settings: NavixWorld(random_start=True, **settings),
        observations=SimpleNamespace(symbolic=symbolic, rgb=rgb, categorical=categorical),
    )
    return (suite,)
