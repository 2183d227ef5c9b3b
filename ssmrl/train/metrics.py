"""Metrics as sums and counts, so that any number of updates adds up to one row of fixed size."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


class Mean(struct.PyTreeNode):
    """A mean that is not divided yet: a total and the number of things in it."""

    total: jax.Array
    count: jax.Array

    @classmethod
    def of(cls, values: jax.Array, where: jax.Array | None = None) -> "Mean":
        """Sum ``values`` over all axes; with ``where``, only those it selects."""
        if where is None:
            return cls(jnp.sum(values, dtype=jnp.float32), jnp.float32(values.size))
        kept = jnp.where(where, values, 0)
        return cls(jnp.sum(kept, dtype=jnp.float32), jnp.sum(where, dtype=jnp.float32))

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(self.total + other.total, self.count + other.count)

    def value(self) -> float | list[float | None] | None:
        """Return the mean, None where nothing was counted; a list where members are vmapped.

        None, too, where it is not finite: JSON has no such numbers, and a sweep's member that broke
        leaves nothing else.
        """
        total, count = np.asarray(self.total), np.asarray(self.count)
        if total.ndim:
            return [Mean(t, c).value() for t, c in zip(total, count, strict=True)]  # type: ignore
        return float(total / count) if count and np.isfinite(total) else None


Metrics = dict[str, Mean]


def add(first: Metrics, second: Metrics) -> Metrics:
    """Add two sets of metrics, name by name."""
    return {name: first[name] + second[name] for name in first}


def to_row(metrics: Mapping[str, Mean]) -> dict[str, object]:
    """Return plain numbers; ``episodes`` counts what ``episode_return_mean`` averages."""
    row: dict[str, object] = {}
    for name, mean in metrics.items():
        row[f"{name}_mean" if name.startswith("episode_") else name] = mean.value()
    row["episodes"] = np.asarray(metrics["episode_return"].count).astype(int).tolist()
    return row


def mean(value: float | list[float | None] | None) -> float | None:
    """Return the mean over members of a metric, leaving out those without one."""
    values = [v for v in (value if isinstance(value, list) else [value]) if v is not None]
    return float(np.mean(values)) if values else None
