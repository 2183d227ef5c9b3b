"""Meta-RL: trials of several inner episodes on tasks that an agent has to find out.

``trial`` makes a trial one episode of an environment, ``tasks`` and ``projected`` make tasks of
any environment; the other files hold suites. Each has its own FACTORIES, by name.
"""

from collections.abc import Callable
from typing import Any

from envs.meta import bandits, dark_room, general, meta_maze, treasure_rooms

FACTORIES: dict[str, Callable[..., Any]] = {
    **bandits.FACTORIES,
    **dark_room.FACTORIES,
    **general.FACTORIES,
    **meta_maze.FACTORIES,
    **treasure_rooms.FACTORIES,
}
