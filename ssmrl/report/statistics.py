"""Means that resist outliers, and how far they can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 2000  # of every bootstrap
AT_ONCE = 2**22  # numbers that are resampled at a time


@dataclass(frozen=True)
class Summary:
    """A score with its 95 % bootstrap intervals over ``count`` seeds (or episodes, of one seed)."""

    mean: float
    mean_interval: tuple[float, float]
    iqm: float
    iqm_interval: tuple[float, float]
    count: int
    unit: str  # what the intervals are over

    def __str__(self) -> str:
        return (
            f"{self.mean:.3f} [{self.mean_interval[0]:.3f}, {self.mean_interval[1]:.3f}], "
            f"IQM {self.iqm:.3f} [{self.iqm_interval[0]:.3f}, {self.iqm_interval[1]:.3f}] "
            f"(95 % over {self.count} {self.unit})"
        )


def interquartile_mean(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the mean of the middle half (Agarwal et al. 2021), whatever the number of scores.

    Each of n scores stands for 1/n of the distribution, and those at the quartiles count with the
    part of them that lies inside. rliable's ``aggregate_iqm`` (1.2.0) drops floor(n/4) whole scores
    at each end: the same where 4 divides n, but of three scores it is their mean.
    """
    ordered = np.moveaxis(np.sort(np.asarray(scores, np.float64), axis), axis, -1)
    edges = np.linspace(0.0, 1.0, ordered.shape[-1] + 1)
    inside = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    return ordered @ (inside / inside.sum())


def summarise(scores: np.ndarray, counted: np.ndarray | None = None) -> Summary | None:
    """Summarise returns [seeds, episodes]: over seeds, or over the episodes of a single one.

    Of episodes, those that ``counted`` [seeds, episodes] selects; seeds of which it selects none
    are left out. None where nothing is left.
    """
    scores = np.atleast_2d(np.asarray(scores, np.float64))
    counted = np.ones(scores.shape, bool) if counted is None else np.atleast_2d(counted)
    kept = [row[mask] for row, mask in zip(scores, counted, strict=True) if mask.any()]
    if not kept:
        return None
    alone = len(scores) == 1
    samples = kept[0] if alone else np.array([row.mean() for row in kept])
    return Summary(
        mean=float(samples.mean()),
        mean_interval=bootstrap_interval(samples, np.mean),
        iqm=float(interquartile_mean(samples)),
        iqm_interval=bootstrap_interval(samples, interquartile_mean),
        count=len(samples),
        unit="episodes" if alone else "seeds",
    )


def summarise_tasks(scores: Sequence[Sequence[float]]) -> Summary:
    """Summarise the scores of several tasks, one a seed: the mean over tasks of their means, and
    the interquartile mean of all scores.

    The intervals are of the stratified bootstrap (Agarwal et al. 2021): seeds are drawn anew
    within each task, and the tasks stay.
    """
    drawn = np.random.default_rng(0)
    tasks = [np.asarray(task, np.float64) for task in scores]
    resampled = [t[drawn.integers(len(t), size=(RESAMPLES, len(t)))] for t in tasks]
    means = np.mean([r.mean(axis=1) for r in resampled], axis=0)
    middles = interquartile_mean(np.concatenate(resampled, axis=1))
    return Summary(
        mean=float(np.mean([t.mean() for t in tasks])),
        mean_interval=_percentiles(means),
        iqm=float(interquartile_mean(np.concatenate(tasks))),
        iqm_interval=_percentiles(middles),
        count=len(tasks),
        unit="tasks",
    )


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def bootstrap_interval(samples: np.ndarray, statistic: object) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval; that of a constant is this constant."""
    if np.ptp(samples) == 0:  # a single sample among them, too
        return float(samples[0]), float(samples[0])
    result = stats.bootstrap(
        (samples,),
        statistic,
        n_resamples=RESAMPLES,
        batch=max(1, AT_ONCE // len(samples)),
        method="percentile",
        rng=0,
        vectorized=True,
    )
    low, high = result.confidence_interval
    return float(low), float(high)
