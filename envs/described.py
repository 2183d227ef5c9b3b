"""An environment that is somewhere else, of which only the spaces are known here."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple, dtype_of
from envs.wrappers.base import Transition
from ssmrl.world_model.parts import Image, Integers, Numbers, OneHots, Part

PARTS: dict[str, Any] = {kind.__name__: kind for kind in (Image, Integers, Numbers, OneHots)}


class Told(struct.PyTreeNode):
    """What the environment showed last, in place of its parameters."""

    obs: Any
    reward: jax.Array


class Described:
    """Shows what it is told, and has the action that it was given as its state.

    So wrappers can be asked what an agent would see of an observation, and what an environment
    would get of an action, where there is no environment.
    """

    name = "described"

    def __init__(self, observation_space: Space, action_space: Space):
        self._observation_space, self._action_space = observation_space, action_space

    def reset(self, key: jax.Array, params: Told) -> tuple[Any, jax.Array]:
        """Return what was told, and no action yet."""
        return params.obs, jnp.zeros(self._action_space.shape, dtype_of(self._action_space))

    def step(self, key: jax.Array, state: Any, action: Any, params: Told) -> Transition:
        """Return what was told, and the action."""
        goes_on = jnp.array(False)
        info = {"final_observation": params.obs}
        return params.obs, action, params.reward, goes_on, goes_on, info

    def observation_space(self, params: Any) -> Space:
        """Return the space of what is told."""
        return self._observation_space

    def action_space(self, params: Any) -> Space:
        """Return the space of actions."""
        return self._action_space


def space_to_mapping(space: Space) -> dict[str, Any]:
    """Return what describes a space, as JSON can hold it."""
    if isinstance(space, Box):
        bounds = {side: _numbers(getattr(space, side), space) for side in ("low", "high")}
        return {"Box": {**bounds, "shape": list(space.shape), "dtype": str(jnp.dtype(space.dtype))}}
    if isinstance(space, Discrete):
        return {"Discrete": int(space.n)}
    if isinstance(space, MultiDiscrete):
        return {"MultiDiscrete": space.nvec.tolist()}
    if isinstance(space, Dict):
        return {"Dict": [[key, space_to_mapping(child)] for key, child in space.spaces.items()]}
    return {"Tuple": [space_to_mapping(child) for child in space.spaces]}


def space_from_mapping(mapping: Mapping[str, Any]) -> Space:
    """Return the space that ``space_to_mapping`` described."""
    ((kind, told),) = mapping.items()
    if kind == "Box":
        low, high = (jnp.asarray(np.array(told[side], np.float32)) for side in ("low", "high"))
        return Box(low, high, tuple(told["shape"]), jnp.dtype(told["dtype"]))
    if kind == "Discrete":
        return Discrete(told)
    if kind == "MultiDiscrete":
        return MultiDiscrete(told)
    if kind == "Dict":
        return Dict({key: space_from_mapping(child) for key, child in told})
    return Tuple([space_from_mapping(child) for child in told])


def parts_to_mappings(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return what describes the parts of flat observations, as JSON can hold it.

    An environment that is elsewhere cannot be asked for them, since they hang on more than spaces.
    """
    return [{type(part).__name__: dataclasses.asdict(part)} for part in parts]  # type: ignore[call-overload]


def parts_from_mappings(mappings: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Return the parts that ``parts_to_mappings`` described."""
    return tuple(_part(*mapping.items()) for mapping in mappings)


def _part(told: tuple[str, Mapping[str, Any]]) -> Part:
    kind, fields = told
    # Parts are constants: tuples, which JSON has not.
    return PARTS[kind](**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def _numbers(bound: Any, space: Box) -> Any:
    """Return a bound as one number where it is the same in all entries, else all of them."""
    numbers = np.broadcast_to(np.asarray(bound, np.float64), tuple(space.shape))
    same = numbers.size and (numbers == numbers.flat[0]).all()
    return float(numbers.flat[0]) if same else numbers.tolist()
