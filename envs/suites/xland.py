"""XLand-MiniGrid: ``xland/XLand-MiniGrid-R1-9x9`` and ``xland/MiniGrid-MemoryS8``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.spaces import Box
from envs.suites.base import SuiteEnvironment, check_id, load, time_limit

PREFIX = "xland/"
PACKAGE = "xminigrid"
_SIZES = {
    "XLand-MiniGrid-R1": (9, 11, 13, 15, 17),
    "XLand-MiniGrid-R2": (9, 11, 13, 15, 17),
    "XLand-MiniGrid-R4": (9, 11, 13, 15, 17),
    "XLand-MiniGrid-R6": (13, 17, 19),
    "XLand-MiniGrid-R9": (16, 19, 25),
    "MiniGrid-DoorKey": (5, 6, 8, 16),
    "MiniGrid-Empty": (5, 6, 8, 16),
    "MiniGrid-EmptyRandom": (5, 6, 8, 16),
}
_OTHERS = (
    *("BlockedUnlockPickUp", "FourRooms", "LockedRoom", "Playground", "Unlock", "UnlockPickUp"),
    *("MemoryS8", "MemoryS16", "MemoryS32", "MemoryS64", "MemoryS128"),
)
IDS = (
    *(f"{task}-{n}x{n}" for task, sizes in _SIZES.items() for n in sizes),
    *(f"MiniGrid-{task}" for task in _OTHERS),
)
TILES = " .#oxAGKLCOHS"  # as in render, by the package's number of the tile
AGENT = "^>v<"


class XLand(SuiteEnvironment):
    """Grid worlds with rules to be found out, and some of MiniGrid's tasks.

    Observation: uint8 [V, V, 2], the V × V cells before the agent, each as the numbers of its tile
    (0 to 12) and its colour (0 to 11). Action: Discrete(6): forward, right, left, pick up, put
    down, toggle. Reaching the goal pays 1 - 0.9 t/T in step t and terminates; T = ``max_steps``
    steps truncate. With the same ``ruleset`` all episodes have the same rules and goal, but other
    places.

    The parameters are the package's own. The worlds named XLand begin with an empty ruleset, in
    which no goal can be reached: give them one of a benchmark
    (``xminigrid.load_benchmark(...).get_ruleset(i)``, which downloads it once) as the setting
    ``ruleset``. ``vmap`` may go over rulesets, but not over the other parameters.

    Args:
        env_id: the package's name.
        max_steps: T, at least 1; None for the package's own.

    Raises ``UsageError`` where the package is missing, for unknown names and other numbers.
    """

    def __init__(self, env_id: str, /, *, max_steps: int | None = None):
        name = f"{PREFIX}{env_id}"
        limit = time_limit(name, "max_steps", max_steps)
        suite = load("xminigrid", name, "ssmrl[xland]")
        check_id(PREFIX, env_id, suite.registered_environments())
        super().__init__(name)
        self._env, params = suite.make(env_id)
        self._params = params if limit is None else params.replace(max_steps=limit)
        self._constants = load("xminigrid.core.constants", name, "ssmrl[xland]")

    @property
    def default_params(self) -> Any:
        """The package's own, with the constructor's time limit."""
        return self._params

    def first(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Generate a world."""
        timestep = self._env.reset(params, key)
        return timestep.observation, timestep

    def advance(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Act in the world."""
        timestep = self._env.step(params, state, action)
        # Only what terminates takes the discount to 0: the last step of the time keeps it.
        return timestep.observation, timestep, timestep.reward, timestep.discount == 0, {}

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        """Return whether the time is over."""
        return jnp.asarray(state.state.step_num >= params.max_steps)

    @property
    def num_actions(self) -> int:
        """The number of actions."""
        return int(self._env.num_actions(self._params))

    def observation_space(self, params: Any) -> Box:
        """Return the Box of tiles and colours."""
        most = (self._constants.NUM_TILES - 1, self._constants.NUM_COLORS - 1)
        shape = self._env.observation_shape(params)
        return Box(0, jnp.asarray(np.broadcast_to(most, shape), jnp.uint8), shape, jnp.uint8)

    def render(self, state: Any, params: Any = None) -> str:
        """Return the map, one letter per tile, with the agent as the arrow that it faces."""
        params = self._params if params is None else params
        world = state.state
        rows = [[TILES[tile] for tile in row] for row in np.asarray(world.grid)[..., 0]]
        row, column = np.asarray(world.agent.position)
        rows[row][column] = AGENT[int(world.agent.direction)]
        head = f"{self.name}, step {int(world.step_num)} of {params.max_steps}"
        return "\n".join([head, *("".join(letters) for letters in rows)])
