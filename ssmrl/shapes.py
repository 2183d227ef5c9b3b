"""Words for shapes and dtypes, and for where two trees of arrays differ in them."""

from typing import Any

import jax
import numpy as np


def describe(leaf: Any) -> str:
    """Return dtype and shape as ``float32[4,2]``, or what stands in an array's place."""
    if leaf is None:
        return "missing"
    if not hasattr(leaf, "shape"):
        return f"a {type(leaf).__name__}"
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def difference(old: Any, new: Any) -> tuple[str, str, str] | None:
    """Return where the trees first differ in structure, shape or dtype, None if nowhere.

    That is the path of a leaf, and what stands there in the old tree and in the new one.
    """
    old_leaves, old_tree = jax.tree_util.tree_flatten_with_path(old)
    new_leaves, new_tree = jax.tree_util.tree_flatten_with_path(new)
    before = {jax.tree_util.keystr(path): leaf for path, leaf in old_leaves}
    after = {jax.tree_util.keystr(path): leaf for path, leaf in new_leaves}
    for path in [*before, *after]:
        expected, found = describe(before.get(path)), describe(after.get(path))
        if found != expected:
            return path, expected, found
    if str(old_tree) != str(new_tree):
        return "", str(old_tree), str(new_tree)
    return None


def is_numbers(leaf: Any) -> bool:
    """Return whether JAX takes a leaf of a tree for numbers."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, bool | int | float | complex)
    return isinstance(leaf, jax.Array) or np.dtype(dtype).kind not in "OSUMm"


def kind_of(leaf: Any) -> str:
    """Return in words what stands in the place of numbers."""
    if hasattr(leaf, "dtype"):
        return f"an array of {leaf.dtype}"
    return f"a {type(leaf).__name__}" + (f", {leaf[:40]!r}" if isinstance(leaf, str) else "")
