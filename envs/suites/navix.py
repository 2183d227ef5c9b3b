"""NAVIX, MiniGrid in JAX: ``navix/Navix-Empty-5x5-v0``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.fixed import FixedEnvironment
from envs.spaces import Box
from envs.suites.base import SuiteEnvironment, check_id, lenient, load, refusals, time_limit
from ssmrl.errors import UsageError

PREFIX = "navix/"
PACKAGE = "navix"
_SIZES = {
    "DoorKey": (5, 6, 8, 16),
    "DoorKey-Random": (5, 6, 8, 16),
    "Dynamic-Obstacles": (5, 6, 8, 16),
    "Empty": (5, 6, 8, 16),
    "Empty-Random": (5, 6, 8, 16),
    "GoToDoor": (5, 6, 8),
}
_OTHERS = (
    *("DistShift1", "DistShift2", "FourRooms"),
    *("Dynamic-Obstacles-5x5-Random", "Dynamic-Obstacles-6x6-Random"),
    *(f"KeyCorridorS{size}" for size in ("3R1", "3R2", "3R3", "4R3", "5R3", "6R3")),
    *("LavaGapS5", "LavaGapS6", "LavaGapS7"),
    *(f"SimpleCrossingS{size}" for size in ("9N1", "9N2", "9N3", "11N5")),
)
IDS = (  # of every version; newer ones have more
    *(f"Navix-{task}-{n}x{n}-v0" for task, sizes in _SIZES.items() for n in sizes),
    *(f"Navix-{task}-v0" for task in _OTHERS),
)

OBSERVATIONS = (
    "categorical",
    "categorical_first_person",
    "rgb",
    "rgb_first_person",
    "symbolic",
    "symbolic_first_person",
)


class Navix(SuiteEnvironment, FixedEnvironment):
    """One of MiniGrid's tasks.

    Observation: by default the whole map, uint8 [height, width, 3]; ``observation`` names others.
    Action: Discrete(7). Reward and termination are the task's (mostly 1 at the goal, which ends
    it); ``max_steps`` steps truncate.

    Args:
        env_id: NAVIX's name.
        observation: one of ``OBSERVATIONS``, such as "symbolic_first_person", the 7 × 7 cells
            before the agent; None for the task's own choice.
        max_steps: until truncation, at least 1; None for NAVIX's own, 100 in its version 0.7 and
            4 * height * width later.
        **settings: further arguments of the task that its name does not fix.

    Raises ``UsageError`` where navix is missing, for unknown names and for wrong settings.
    """

    def __init__(
        self,
        env_id: str,
        /,
        *,
        observation: str | None = None,
        max_steps: int | None = None,
        **settings: Any,
    ):
        name = f"{PREFIX}{env_id}"
        suite = load("navix", name, "ssmrl[navix]")
        check_id(PREFIX, env_id, suite.registry())
        if (steps := time_limit(name, "max_steps", max_steps)) is not None:
            settings["max_steps"] = steps
        if observation is not None:
            if observation not in OBSERVATIONS:
                known = ", ".join(OBSERVATIONS)
                raise UsageError(
                    f"environment {name!r}: observation must be {known}, not {observation!r}"
                )
            settings["observation_fn"] = getattr(suite.observations, observation)
        super().__init__(name)
        with refusals(name):
            self._env = suite.make(env_id, **settings)
        self._draws = "rgb" in self._env.observation_fn.__name__

    def first(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Lay out a map."""
        return self._seen(self._env.reset(key))

    def advance(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Act on the map."""
        # The public step resets by itself, one step late, and computes a reset every time.
        timestep = self._env._step(state, action)
        return *self._seen(timestep), timestep.reward, timestep.is_termination(), {}

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        """Return whether the time is over."""
        return jnp.asarray(state.t >= self._env.max_steps)

    @property
    def num_actions(self) -> int:
        """The number of actions."""
        return len(self._env.action_set)

    def observation_space(self, params: Any) -> Box:
        """Return the Box of colours from 0 to 255, or of symbols that know no upper bound.

        NAVIX's own bounds leave out walls (-1), players (10) and more (up to 254); without one
        symbols reach the agent as they are, where a share of 255 would hardly tell them apart.
        """
        space = self._env.observation_space
        lowest = 0 if jnp.issubdtype(space.dtype, jnp.unsignedinteger) else -1
        return Box(lowest, 255 if self._draws else jnp.inf, space.shape, space.dtype)

    def render(self, state: Any, params: Any = None) -> np.ndarray:
        """Return the whole map: uint8 [height, width, 3]."""
        observations = load("navix.observations", self.name, "ssmrl[navix]")
        cache = load("navix.rendering.cache", self.name, "ssmrl[navix]").RenderingCache
        with lenient():
            drawn = state.state.replace(cache=cache.init(state.state.grid))
            return np.asarray(observations.rgb(drawn))

    def _seen(self, timestep: Any) -> tuple[Any, Any]:
        """Return observation and state, without the picture of the map where none is drawn."""
        if self._draws:
            return timestep.observation, timestep
        state = timestep.state.replace(cache=None)
        return timestep.observation, timestep.replace(state=state)
