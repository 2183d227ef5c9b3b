"""What a run will need of the device's memory, told before any of it is taken."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from ssmrl.errors import UsageError
from ssmrl.train.lean import lean


def estimate(agent: Any, num_members: int, training: bool = True) -> dict[str, int]:
    """Return the bytes of each part of the state and of what is collected, for all members.

    Where there is no ``training``, it is what acting needs of the state.

    It is less than the run will need: what the network remembers for its gradient comes on top.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(agent.init, key)
    if not training:
        state = lean(agent, state)
    parts: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        parts.setdefault(jax.tree_util.keystr(path[:1], simple=True), []).append(leaf)
    if training and hasattr(agent, "collect"):
        _, parts["roll-out"] = jax.eval_shape(agent.collect, state)
    return {name: num_members * bytes_of(part) for name, part in parts.items()}


def bytes_of(tree: Any) -> int:
    """Return the size of a tree of arrays or their shapes, as an integer that cannot overflow."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def check_fits(needed: Mapping[str, int], smaller: str) -> None:
    """Raise ``UsageError`` where the parts together exceed the first device's memory.

    ``smaller`` names the options that make them smaller.
    """
    total, available = sum(needed.values()), available_bytes()
    if total <= available:
        return
    largest = max(needed, key=lambda name: needed[name])
    alone = f" ({largest} alone {_gib(needed[largest])})" if len(needed) > 1 else ""
    raise UsageError(
        f"this needs at least {_gib(total)} of memory{alone}, but {jax.devices()[0]} has "
        f"{_gib(available)}; lower {smaller}"
    )


def available_bytes() -> int:
    """Return what the first device has left, or of a CPU its machine."""
    stats = jax.devices()[0].memory_stats() or {}  # None on a CPU
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([installed, *_left_by_linux()])


def _left_by_linux() -> list[int]:
    """Return what is free, and the limit of the container if there is one."""
    found = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of cgroups 2 and 1
        found += [int(line) for line in _lines(f"/sys/fs/cgroup/{name}") if line.isdigit()]
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB" if size < 2**70 else f"{size // 2**30:,} GiB"
