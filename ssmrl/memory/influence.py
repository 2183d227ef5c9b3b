"""Which inputs reach which outputs of a memory, in value and in gradient, though they may not."""

from functools import cached_property, partial

import jax
import numpy as np

from ssmrl.foreign import Remark
from ssmrl.memory.tried import START, B, T, Tried

# Arrays [1 + T, B, U, B] of bool: from the state (the first) or the input of a step, in a row,
# to the output of a step, in a row; U steps are T, or with those of a later scan 2 T.
Reach = np.ndarray


def in_value(tried: Tried) -> Reach:
    """Return where another input, or another row of the state, changes a bit of an output."""
    before = tried.outputs(tried.state, tried.x)
    reach = np.zeros((1 + T, B, 2 * T, B), bool)
    for source in range(1 + T):
        for row in range(B):
            state, x = tried.state, tried.x.copy()
            if source:
                x[source - 1, row] = tried.other_x[source - 1, row]
            else:
                state = jax.tree.map(partial(_with_row, row), state, tried.other_state)
            after = tried.outputs(state, x)
            differs = (after != before) & ~(np.isnan(after) & np.isnan(before))
            reach[source, row] = differs.any(axis=-1)
    return reach


def in_gradient(tried: Tried) -> Reach:
    """Return where the derivative of an output by an input, or by the state, is not zero."""
    reach = np.zeros((1 + T, B, T, B), bool)
    for step in range(T):
        for row in range(B):
            weights = np.zeros_like(tried.weights)
            weights[step, row] = tried.weights[step, row]
            slopes = tried.slopes(tried.state, tried.x, tried.start, weights)
            for leaf in slopes.d_state:
                reach[0, :, step, row] |= _is_slope(leaf).reshape(B, -1).any(axis=-1)
            reach[1:, :, step, row] = _is_slope(slopes.d_x_TxBxF).any(axis=-1)
    return reach


def _is_slope(leaf: np.ndarray) -> np.ndarray:
    """Return where it is not zero; NaN tells nothing, as an infinite slope makes 0 to NaN."""
    return (leaf != 0) & ~np.isnan(leaf)


def _with_row(row: int, leaf: np.ndarray, other: np.ndarray) -> np.ndarray:
    leaf = leaf.copy()
    leaf[row] = other[row]
    return leaf


class Influence:
    """What the memory lets pass, judged subject by subject: a fault, a remark, or None."""

    def __init__(self, tried: Tried):
        self.tried = tried

    @cached_property
    def values(self) -> Reach:
        return in_value(self.tried)

    @cached_property
    def gradients(self) -> Reach:
        return in_gradient(self.tried)

    def rows(self) -> str | None:
        """No output depends on another row of the batch."""
        if any(_across_rows(reach).any() for reach in (self.values, self.gradients)):
            return "an output depends on other rows of the batch; each must see its own row alone"
        return None

    def order(self) -> str | None:
        """No output depends on a later input."""
        for reach in (self.values, self.gradients):
            source, target = _times(reach)
            back = np.argwhere(reach & ~_across_rows(reach) & (source > target))
            if len(back):
                source, _, target, _ = back[0]
                return (
                    f"the output of step {target} depends on the input of step {source - 1}; it "
                    "may depend on its own input and on earlier ones"
                )
        return None

    def start_in_value(self) -> str | None:
        """No value passes a start."""
        return self._leak(self.values, "changes with")

    def start_in_gradient(self) -> str | None:
        """No gradient passes a start."""
        return self._leak(self.gradients, "has a gradient, other than exactly zero, by")

    def _leak(self, reach: Reach, verb: str) -> str | None:
        start = self.tried.start
        leaks = np.argwhere(_over_a_start(reach, start))
        if not len(leaks):
            return None
        source, row, target, _ = leaks[0]
        begun = np.flatnonzero(start[: target + 1, row])[-1]
        what = f"the input of step {source - 1}" if source else "the state before"
        return f"the output of step {target} {verb} {what}, though step {begun} starts an episode"

    def first_input(self) -> str | None:
        """Inputs at a start (rows 0 and 1) reach as far as they do elsewhere (row 2)."""
        starts = np.argwhere(self.tried.start)
        reached = [self.values[1 + step, row, step, row] for step, row in starts]
        if self.values[1 + START, 2, START, 2] and not any(reached):
            return "the first input of an episode is lost to the output of its own step; keep it"
        later = self.values[1 + START, :, START + 1 :]
        if later[2, :, 2].any() and not later[0, :, 0].any():
            return "the first input of an episode is forgotten after its step; keep it in the state"
        return None

    def remembering(self) -> str | None:
        """Outputs depend on inputs, and earlier ones can be learnt to be kept."""
        if not self.values[1:].any():
            return "no output depends on any input"
        earlier = np.arange(-1, T)[:, None] < np.arange(T)
        if not self.values[:, 2, :T, 2][earlier].any():
            return Remark("no output depends on an earlier input: it remembers nothing")
        if not self.gradients[:, 2, :, 2][earlier].any():
            return Remark("no gradient reaches an earlier input: what to keep cannot be learnt")
        return None


def _across_rows(reach: Reach) -> Reach:
    return reach & ~np.eye(B, dtype=bool)[None, :, None, :]


def _over_a_start(reach: Reach, start_TxB: np.ndarray) -> Reach:
    """Return what passes from before a start to that step or a later one, in the same row."""
    source, target = _times(reach)
    starts = np.zeros((1 + reach.shape[2], B), int)  # how many came up to a step
    starts[1 : 1 + T] = np.cumsum(start_TxB, axis=0)
    starts[1 + T :] = starts[T]
    passed = starts[None, None, 1:, :] > starts[: 1 + T, :, None, None]
    return reach & ~_across_rows(reach) & (source <= target) & passed


def _times(reach: Reach) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of sources (-1 for the state) and of targets, to be broadcast."""
    return np.arange(-1, T)[:, None, None, None], np.arange(reach.shape[2])[None, None, :, None]
