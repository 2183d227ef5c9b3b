"""Meta-RL: trials of several inner episodes on tasks that an agent has to find out.

``trial`` makes a trial one episode of an environment, ``tasks`` and ``projected`` make tasks of
any environment; the other files hold suites. Each has its own FACTORIES, by name.
"""

from collections.abc import Callable
from typing import Any

from envs.meta import (
    bandits,
    classic_control,
    dark_room,
    dmc,
    general,
    meta_maze,
    tabular,
    tabular_hidden,
    treasure_rooms,
    xland,
)

FACTORIES: dict[str, Callable[..., Any]] = {
    **bandits.FACTORIES,
    **classic_control.FACTORIES,
    **dark_room.FACTORIES,
    **dmc.FACTORIES,
    **general.FACTORIES,
    **meta_maze.FACTORIES,
    **tabular.FACTORIES,
    **tabular_hidden.FACTORIES,
    **treasure_rooms.FACTORIES,
    **xland.FACTORIES,
}
NEEDS: dict[str, str] = {**dmc.NEEDS, **xland.NEEDS}
"""The package of another suite that an environment needs, by name."""
