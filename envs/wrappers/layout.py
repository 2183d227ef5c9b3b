"""What stands where in a wrapped environment: for the network that looks, and for people."""

from itertools import chain, groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.meta.trial import Trial
from envs.spaces import (
    Box,
    Dict,
    Discrete,
    Space,
    encoded_parts,
    encoded_size,
    leaves,
    two_sided,
)
from envs.wrappers.append import Append, PreviousAction, PreviousReward, StartFlag
from envs.wrappers.base import Wrapper, find
from envs.wrappers.pad import PadObservation
from envs.wrappers.transform import FlattenObservation, RescaleAction, is_continuous
from ssmrl.errors import UsageError
from ssmrl.world_model.parts import Image, Integers, Numbers, OneHots, Part, total_size

SMALLEST_SIDE = 5  # of an image, in pixels or cells
MOST_CHANNELS = 32
MOST_VALUES = 64  # of integers that are categories; beyond it they are magnitudes
FLAG = Integers(1, 0, 1)

ImagePlace = tuple[int, tuple[int, int, int]]  # where it begins; height, width, channels


def image_place(env: Any, params: Any) -> ImagePlace | None:
    """Return where the flat observations of ``env`` hold an image, and its shape.

    An image is a Box [height, width] or [height, width, channels], of bytes, floats or truth
    values. None where the outermost ``FlattenObservation`` sees no image, or several, of which
    none is more than the others.
    """
    flat = find(env, FlattenObservation)
    if flat is None:
        return None
    parts = encoded_parts(flat.env.observation_space(params))
    images = [(at, _with_channels(part)) for at, part in parts if _is_image(part)]
    return images[0] if len(images) == 1 else None


def observation_parts(env: Any, params: Any) -> tuple[Part, ...]:
    """Return what the flat observations of ``env`` consist of, column by column.

    What ``FlattenObservation`` makes of each space: of Discrete and MultiDiscrete ``OneHots``; of
    images ``Image``; of other integers with two bounds and at most 64 values, or of truth values,
    ``Integers``; of all else ``Numbers``. Above it the previous action is ``OneHots`` or
    ``Numbers``, the previous reward ``Numbers``; the start flag and the flag of a trial's inner
    episodes are ``Integers`` of two values. What another wrapper made of a flat observation (noise,
    filled up columns, a projection) is ``Numbers``.

    ``env.reset`` is traced, since spaces may promise integers where there are floats. Raises
    ``UsageError`` where the observation is not flat.
    """
    if isinstance(env, PreviousAction | PreviousReward | StartFlag):
        return *observation_parts(env.env, params), *_appended_parts(env, params)
    if isinstance(env, FlattenObservation):
        return _flattened_parts(env.env, params)
    if isinstance(env, Wrapper) and _sees_as_inner(env):
        return observation_parts(env.env, params)
    space = env.observation_space(params)
    if isinstance(space, Box) and len(space.shape) == 1:
        return (Numbers(encoded_size(space)),)
    raise UsageError(f"the observation is {space!r}, not flat; put FlattenObservation around it")


def parts_of_all(members: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    """Return parts for observations of one size that may be any member's.

    These are what all members end with (at most the flags and what was done and earned, where
    these are equal), and before it numbers.
    """
    common: tuple[Part, ...] = ()
    for last in zip(*(parts[::-1] for parts in members), strict=False):
        if len(set(last)) > 1:
            rest = total_size(members[0]) - total_size(common)
            return Numbers(rest), *common
        common = last[0], *common
    return common


def without_past(env: Any, params: Any, obs: jax.Array) -> jax.Array:
    """Return flat observations [..., D] of ``env`` as they would open an episode.

    That is: with all that ``Append`` wrappers append as it is at a start, and in trials the flag of
    inner episodes down.
    """
    end = obs.shape[-1]
    while isinstance(env, Wrapper):
        if isinstance(env, Append):
            appended = env.at_start(params)
            obs = obs.at[..., end - appended.size : end].set(appended)
            end -= appended.size
        elif isinstance(env, FlattenObservation) and _has_flag(env.env, params):
            return obs.at[..., 0].set(0)
        elif not (_sees_as_inner(env) or isinstance(env, FlattenObservation | PadObservation)):
            break
        env = env.env
    return obs


def describe_observations(env: Any, params: Any) -> str:
    """Return how many numbers an agent sees, and which of them are an image."""
    words = f"{encoded_size(env.observation_space(params)):,} numbers"
    place = image_place(env, params)
    return words if place is None else f"{words}, with an image of {' x '.join(map(str, place[1]))}"


def describe_actions(env: Any, params: Any) -> str:
    """Return what the environment takes and, of continuous actions, what an agent's become."""
    rescaled = find(env, RescaleAction)
    space = (env if rescaled is None else rescaled.env).action_space(params)
    if not is_continuous(space):
        return repr(space)
    both = two_sided(space)[2]
    words = f"Box{tuple(space.shape)} in [{_extremes(space.low)}, {_extremes(space.high)}]"
    if rescaled is None or not both.any():
        return f"{words}, clipped"
    rest = "" if both.all() else " where both bounds are finite, else clipped"
    return f"{words}, mapped from the policy's [-1, 1]{rest}"


def _appended_parts(env: Wrapper, params: Any) -> tuple[Part, ...]:
    if isinstance(env, StartFlag):
        return (FLAG,)
    if isinstance(env, PreviousReward):
        return (Numbers(1),)
    actions = (action for _, action in encoded_parts(env.env.action_space(params)))
    return tuple(
        Numbers(encoded_size(action)) if isinstance(action, Box) else _categories(action)
        for action in actions
    )


def _flattened_parts(env: Any, params: Any) -> tuple[Part, ...]:
    space = env.observation_space(params)
    obs = jax.eval_shape(lambda key: env.reset(key, params)[0], jax.random.key(0))
    first: tuple[Part, ...] = ()
    if _has_flag(env, params):
        space, obs, first = space.spaces["observation"], obs["observation"], (FLAG,)
    found = [_parts(part, value.dtype) for part, value in leaves(space, obs)]
    return first + tuple(chain(*found))


def _sees_as_inner(env: Wrapper) -> bool:
    return type(env).observation_space is Wrapper.observation_space


def _has_flag(env: Any, params: Any) -> bool:
    """Return whether the first that observations of ``env`` tell is that an inner one ended."""
    space = env.observation_space(params)
    return bool(find(env, Trial)) and isinstance(space, Dict) and "episode_done" in space.spaces


def _parts(space: Space, dtype: Any) -> tuple[Part, ...]:
    """Return the parts of a space that has none; ``dtype`` is that of the values in it.

    Spaces that promise integers where the environment gives floats say nothing of these.
    """
    if not isinstance(space, Box):
        return (_categories(space),)
    are = lambda kind: all(jnp.issubdtype(d, kind) for d in (space.dtype, dtype))  # noqa: E731
    whole = are(jnp.integer)
    low, high, both = (np.asarray(bound).ravel() for bound in two_sided(space))
    is_bytes = whole and bool(np.all((low == 0) & (high == 255)))
    if _is_image(space) and (is_bytes or not whole):
        return (Image(*_with_channels(space), is_bytes),)
    few = both & (high - low < MOST_VALUES) & (whole or are(jnp.bool_))
    runs = (list(run) for _, run in groupby(range(few.size), key=few.__getitem__))
    return tuple(
        Integers(len(run), _bounds(low[run]), _bounds(high[run]))
        if few[run[0]]
        else Numbers(len(run))
        for run in runs
    )


def _bounds(values: np.ndarray) -> int | tuple[int, ...]:
    each = tuple(int(value) for value in values)
    return each[0] if len(set(each)) == 1 else each


def _categories(space: Space) -> OneHots:
    numbers = [space.n] if isinstance(space, Discrete) else space.nvec
    return OneHots(tuple(int(n) for n in numbers))


def _is_image(space: Space) -> bool:
    if not isinstance(space, Box) or len(space.shape) not in (2, 3):
        return False
    height, width, channels = _with_channels(space)
    return min(height, width) >= SMALLEST_SIDE and channels <= MOST_CHANNELS


def _with_channels(space: Space) -> tuple[int, int, int]:
    height, width, channels = (*space.shape, 1)[:3]
    return int(height), int(width), int(channels)


def _extremes(bound: Any) -> str:
    least, most = float(jnp.min(bound)), float(jnp.max(bound))
    return f"{least:g}" if least == most else f"{least:g}..{most:g}"
