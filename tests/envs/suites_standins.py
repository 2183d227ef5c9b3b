"""Tiny modules with the shapes of the suites' packages, and with their bad habits.

Each world is a walker on a line: it starts somewhere between 0 and 1, an action moves it, and
beyond 2 the episode is over. ``install`` puts a suite's modules where imports find them.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


def install(monkeypatch, *modules):
    """Let ``import`` find these modules for the time of a test."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)


def module(name, **content):
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(content)
    return made


def remove(monkeypatch, *names):
    """Let the import of these packages fail as if they were not installed."""

    def find_spec(name, path=None, target=None):
        if name in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in list(sys.modules):
        if name.partition(".")[0] in names:
            monkeypatch.delitem(sys.modules, name)
    finder = SimpleNamespace(find_spec=find_spec)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])


# --- brax and MuJoCo Playground ------------------------------------------------------------------


@struct.dataclass
class Physics:
    """As brax's State, whose reward a step may make a Python number."""

    x: Any
    obs: Any
    reward: Any
    done: Any
    metrics: dict
    info: dict


class Walker:
    """Moves by action[0]; an action below -0.9 breaks the simulation."""

    action_size = 2

    def __init__(self, backend="generalized", dict_obs=False):
        if backend == "spring":
            raise ValueError("Unsupported backend: spring.")
        self.dict_obs = dict_obs

    def see(self, x):
        obs = x + jnp.zeros((1, 2)) * x[None]  # promotes ranks
        return {"state": obs[0], "far": obs[0] * 10} if self.dict_obs else obs[0]

    def reset(self, key):
        x = jax.random.uniform(key, (1,))
        metrics, info = {"distance": jnp.float32(0)}, {"key": key, "frames": 0}
        return Physics(x, self.see(x), jnp.float32(0), jnp.float32(0), metrics, info)

    def step(self, state, action):
        x = jnp.where(action[0] < -0.9, jnp.nan, state.x + action[0])
        state.metrics.update(distance=1.0)  # in the state that it was given
        state.info["frames"] += 1
        done = jnp.where(x[0] > 2, 1.0, 0.0)
        return state.replace(x=x, obs=self.see(x), reward=1.0, done=done)


class Sloth(Walker):
    """Pays where it stands, in an array."""

    def step(self, state, action):
        following = super().step(state, action)
        return following.replace(reward=following.x[0])


def brax():
    registry = {"walker": Walker, "sloth": Sloth}
    suite = module(
        "brax.envs", _envs=registry, get_environment=lambda name, **kw: registry[name](**kw)
    )
    return module("brax", envs=suite), suite


class Config(dict):
    """As ml_collections' locked dictionaries."""

    def update_from_flattened_dict(self, changes):
        for key, value in changes.items():
            if key not in self:
                raise KeyError(f"Key {key!r} is unknown.")
            if type(value) is not type(self[key]):
                raise TypeError(f"field {key!r} holds another type")
            self[key] = value


def playground():
    tasks = {"WalkerWalk": Walker, "SlothRest": Sloth}

    def load(name, config):
        env = tasks[name]()
        env.config = config
        return env

    suite = SimpleNamespace(
        ALL_ENVS=tuple(tasks),
        get_default_config=lambda name: Config(impl="warp", ctrl_dt=0.01),
        load=load,
    )
    return (module("mujoco_playground", dm_control_suite=suite),)
