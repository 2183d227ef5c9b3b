"""What stands where in a wrapped environment: for the network that looks, and for people."""

from typing import Any

import jax.numpy as jnp

from envs.spaces import Box, Space, encoded_parts, encoded_size, two_sided
from envs.wrappers.base import find
from envs.wrappers.transform import FlattenObservation, RescaleAction, is_continuous

SMALLEST_SIDE = 5  # of an image, in pixels or cells
MOST_CHANNELS = 32

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
