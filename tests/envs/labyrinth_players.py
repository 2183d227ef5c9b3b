"""Mazes as bits and as squares, and players who know them."""

import numpy as np

from envs.popgym.labyrinth import DELTAS


def squares(rows, side):
    """Return bools [..., y, x] of rows of bits [..., y]."""
    return (np.asarray(rows)[..., None] >> np.arange(side, dtype=np.uint32) & 1).astype(bool)


def rows_of(free):
    """Return rows of bits [..., y] of bools [..., y, x]."""
    return (free << np.arange(free.shape[-1], dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)


def neighbours(free, here):
    """Return the free squares beside ``here`` by action."""
    found = {a: (here[0] + dy, here[1] + dx) for a, (dy, dx) in enumerate(DELTAS)}
    return {a: n for a, n in found.items() if min(n) >= 0 and max(n) < len(free) and free[n]}


def way_out(free, here, goal, origin=None):
    """Return the actions that lead from ``here`` to ``goal`` in a tree, or None."""
    if here == goal:
        return []
    for action, there in neighbours(free, here).items():
        rest = None if there == origin else way_out(free, there, goal, here)
        if rest is not None:
            return [action, *rest]
    return None


def tour(free, here, origin=None):
    """Return depth and actions of the shortest walk through a tree that ends in its depth."""
    branches = [
        (*tour(free, there, here), action)
        for action, there in neighbours(free, here).items()
        if there != origin
    ]
    if not branches:
        return 0, []
    *others, deepest = sorted(branches)
    actions = []
    for _, walk, action in others:
        back = way_out(free, follow(free, here, [action, *walk])[-1], here)
        actions += [action, *walk, *back]
    return 1 + deepest[0], [*actions, deepest[2], *deepest[1]]


def follow(free, here, actions):
    """Return the squares on the way, ``here`` first."""
    way = [here]
    for action in actions:
        way.append(neighbours(free, way[-1]).get(action, way[-1]))
    return way


def with_detours(free, start, actions, rng):
    """Return the same way with random steps, each taken back, in between."""
    longer = []
    for here, action in zip(follow(free, start, actions), actions, strict=False):
        if rng.random() < 0.15:
            aside = int(rng.integers(4))
            longer += [aside, aside ^ 1] if aside in neighbours(free, here) else [aside]
        longer.append(action)
    return longer
