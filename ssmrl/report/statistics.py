"""Means that resist outliers, and how far they can be trusted."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


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
    """Return the mean of the middle half (Agarwal et al. 2021)."""
    return stats.trim_mean(scores, 0.25, axis=axis)


def summarise(scores: np.ndarray) -> Summary:
    """Summarise returns [seeds, episodes]: over seeds, or over the episodes of a single one."""
    scores = np.atleast_2d(np.asarray(scores, np.float64))
    samples, unit = (scores[0], "episodes") if len(scores) == 1 else (scores.mean(1), "seeds")
    return Summary(
        mean=float(samples.mean()),
        mean_interval=bootstrap_interval(samples, np.mean),
        iqm=float(interquartile_mean(samples)),
        iqm_interval=bootstrap_interval(samples, interquartile_mean),
        count=len(samples),
        unit=unit,
    )


def bootstrap_interval(samples: np.ndarray, statistic: object) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval; a single sample is its own."""
    if len(samples) < 2:
        return float(samples[0]), float(samples[0])
    result = stats.bootstrap(
        (samples,), statistic, n_resamples=2000, method="percentile", rng=0, vectorized=True
    )
    low, high = result.confidence_interval
    return float(low), float(high)
