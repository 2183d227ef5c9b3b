"""Recall under distraction: small games, each of which asks for one ability of a memory.

The perfect return of each is 1, and what a player without memory gets stands in its docstring.
"""

from collections.abc import Callable
from typing import Any

from envs.recall.associative_recall import AssociativeRecall
from envs.recall.parity import Parity
from envs.recall.permutation import Permutation
from envs.recall.selective_copy import SelectiveCopy
from envs.recall.t_maze import TMaze

FACTORIES: dict[str, Callable[..., Any]] = {
    f"recall/{cls.__name__}": cls
    for cls in (AssociativeRecall, Parity, Permutation, SelectiveCopy, TMaze)
}
