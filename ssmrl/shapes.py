"""Words for shapes and dtypes, and for where two trees of arrays differ in them."""

from typing import Any

import jax


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
