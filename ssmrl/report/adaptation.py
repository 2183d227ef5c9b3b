"""Adaptation within trials: the return of inner episodes, one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmrl.report.plot import new_axes, panels_of, save, save_small

RESAMPLES = 2000
SHOWN = 8  # inner episodes in a printed table


@dataclass(frozen=True)
class Adaptation:
    """Mean return of each inner episode [K], with 95 % bootstrap intervals over seeds.

    Of a single seed, intervals are over its trials. NaN where no trial came so far.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    by_seed: np.ndarray  # [seeds, K]

    def to_mapping(self) -> dict[str, list]:
        """Return lists of numbers for JSON, None where there is none."""
        curves = {name: _listed(getattr(self, name)) for name in ("mean", "low", "high")}
        return {**curves, "by_seed": [_listed(seed) for seed in self.by_seed]}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, list]) -> "Adaptation":
        """Return what ``to_mapping`` made a mapping of."""
        return cls(**{name: np.array(mapping[name], np.float64) for name in cls.__annotations__})


def adaptation(inner_returns: np.ndarray) -> Adaptation:
    """Summarise returns [seeds, trials, K], NaN where an inner episode was not played."""
    returns = np.asarray(inner_returns, np.float64)
    by_seed = _mean(returns, axis=1)
    samples = returns[0] if len(returns) == 1 else by_seed
    counts = np.random.default_rng(0).multinomial(
        len(samples), np.full(len(samples), 1 / len(samples)), size=RESAMPLES
    )
    known = ~np.isnan(samples)
    numbers = counts @ known
    with np.errstate(invalid="ignore"):  # 0/0 where nothing is known
        means = counts @ np.where(known, samples, 0.0) / numbers
    low, high = _percentiles(means)
    return Adaptation(_mean(samples, axis=0), low, high, by_seed)


def table(curves: Mapping[str, Adaptation], optimal: float | None) -> list[str]:
    """Return lines that show some inner episodes of each curve: the first, the last, between."""
    length = max(len(curve.mean) for curve in curves.values())
    chosen = sorted({round(i) for i in np.geomspace(1, length, SHOWN)})
    wide = max(len(name) for name in curves)
    lines = [f"{'inner episode':<{wide}} " + "".join(f" {i:>9}" for i in chosen)]
    for name, curve in curves.items():
        lines.append(f"{name:<{wide}} " + "".join(f" {curve.mean[i - 1]:>9.3f}" for i in chosen))
    if optimal is not None:
        lines.append(f"best possible, the task being known: {optimal:.3f}")
    return lines


def plot_adaptation(
    curves: Mapping[str, Adaptation], optimal: float | None, title: str, out: Path
) -> None:
    """Draw return by inner episode, with bands, and the best possible as a dotted line."""
    figure, axes = new_axes("inner episode", "return of the inner episode", title)
    draw(axes, curves, optimal)
    save(figure, out)


def plot_adaptations(panels: Mapping[str, Mapping[str, Adaptation]], out: Path) -> None:
    """Draw a panel of curves by inner episode for each title."""
    figure, grid = panels_of([*panels], 3.6, 2.6)
    for axes, curves in zip(grid, panels.values(), strict=True):
        draw(axes, curves, None)
    figure.supxlabel("inner episode", fontsize=7)
    save_small(figure, out)


def draw(axes: Any, curves: Mapping[str, Adaptation], optimal: float | None) -> None:
    """Draw the curves into axes, controls dashed, with a legend."""
    for name, curve in curves.items():
        episodes = np.arange(1, len(curve.mean) + 1)
        style = "--" if name in ("random", "memory wiped") else "-"
        (line,) = axes.plot(episodes, curve.mean, style, label=name)
        axes.fill_between(
            episodes, curve.low, curve.high, alpha=0.2, color=line.get_color(), linewidth=0
        )
    if optimal is not None:
        axes.axhline(optimal, color="black", linestyle=":", label="best possible")
    axes.legend(frameon=False, fontsize=7)


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(x) else float(f"{x:.6g}") for x in values]


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of what is known, NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis) / known.sum(axis)


def _percentiles(means: np.ndarray) -> Sequence[np.ndarray]:
    some = ~np.isnan(means).all(axis=0)
    bounds = np.full((2, means.shape[1]), np.nan)
    bounds[:, some] = np.nanpercentile(means[:, some], [2.5, 97.5], axis=0)
    return bounds[0], bounds[1]
