"""Learning curves of one or several runs in one picture."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ssmrl.errors import UsageError
from ssmrl.train.run_folder import RunFolder

Curve = tuple[str, Sequence[int], np.ndarray]  # label, steps, returns [steps, seeds]
SMOOTHED = 0.02  # of a curve's points go into each that is drawn
Line = tuple[str, RunFolder] | tuple[str, RunFolder, Sequence[int]]


def plot_curves(lines: Sequence[Line], title: str, out: Path) -> None:
    """Draw the return over environment steps of (label, run)s; a band spans the seeds' range.

    Of (label, run, members), only those members are drawn: there may be several lines of a run.
    """
    if not out.suffix:
        raise UsageError(f"picture {str(out)!r} needs a suffix that says its kind, such as .png")
    figure, axes = new_axes("environment steps", "episode return", title)
    for _, folder, *members in lines:
        rows = folder.read_rows()
        if not len(curve(rows)[0]):
            raise UsageError(f"{str(folder.path)!r} has no finished episode to plot yet")
        steps, returns = curve(rows, *members)
        (line,) = axes.plot(steps, np.nanmean(returns, axis=1))
        if returns.shape[1] > 1:
            low, high = np.nanmin(returns, axis=1), np.nanmax(returns, axis=1)
            axes.fill_between(steps, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0), useMathText=True)
    # With labels of lines, what begins with an underscore would be left out.
    legend = axes.legend(axes.get_lines(), [label for label, *_ in lines], frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    save(figure, out)


def new_axes(xlabel: str, ylabel: str, title: str) -> tuple[Figure, Axes]:
    """Return an empty picture whose horizontal axis counts something."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, parse_math=False)  # a $ is one
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    return figure, axes


def save(figure: Figure, out: Path) -> None:
    """Write a picture; raise ``UsageError`` where that fails."""
    try:
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write picture {str(out)!r}: {error}") from None


def panels_of(titles: Sequence[str], width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel of so many inches for each title."""
    columns = min(6, math.ceil(math.sqrt(len(titles))))
    rows = math.ceil(len(titles) / columns)
    size = (max(width * columns, 5.0), height * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title, fontsize=7, parse_math=False)
        axes.tick_params(labelsize=6)
        axes.locator_params(nbins=5)
        axes.grid(alpha=0.3)
    for axes in grid[len(titles) :]:
        axes.set_axis_off()
    return figure, grid[: len(titles)]


def save_small(figure: Figure, out: Path) -> None:
    """Write a picture of few colours, which takes a third of the room."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90)
    Image.open(drawn).convert("RGB").quantize(64).save(out, optimize=True)


def plot_panels(panels: Mapping[str, Sequence[Curve]], out: Path) -> None:
    """Draw a small panel of learning curves for each title; a band spans the seeds' range.

    Colours go by the curves' labels.
    """
    figure, grid = panels_of([*panels], 2.3, 1.7)
    labels = list(dict.fromkeys(label for curves in panels.values() for label, *_ in curves))
    for axes, curves in zip(grid, panels.values(), strict=True):
        for label, steps, returns in curves:
            colour = f"C{labels.index(label) % 10}"
            known, millions = np.ma.masked_invalid(returns), np.asarray(steps) / 1e6
            axes.plot(millions, known.mean(axis=1), color=colour, label=label, linewidth=1)
            low, high = known.min(axis=1), known.max(axis=1)
            axes.fill_between(millions, low, high, alpha=0.2, color=colour, linewidth=0)
    lines = {line.get_label(): line for axes in grid for line in axes.get_lines()}
    if len(labels) > 1:
        figure.legend(
            [lines[label] for label in labels], labels, loc="outside upper center",
            ncols=min(len(labels), 5), fontsize=7, frameon=False,
        )  # fmt: skip
    figure.supxlabel("million steps of a seed", fontsize=7)
    save_small(figure, out)


def curve(
    rows: Sequence[dict[str, Any]], members: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return steps [rows] and smoothed returns [rows, members] of the rows with an episode's end.

    With ``members``, only of those.
    """
    steps = np.array([row["env_steps"] for row in rows])
    returns = np.array([np.atleast_1d(row["episode_return_mean"]) for row in rows], np.float64)
    returns = returns.reshape(len(rows), -1 if len(rows) else 1)
    returns = returns if members is None else returns[:, members]
    seen = ~np.isnan(returns).all(axis=1)
    steps, returns = steps[seen], returns[seen]
    if not len(steps):
        return steps, returns
    width = max(1, round(SMOOTHED * len(returns)))
    known = np.ma.masked_invalid(returns)
    smooth = [known[max(0, i - width + 1) : i + 1].mean(axis=0) for i in range(len(steps))]
    return steps, np.ma.stack(smooth).filled(np.nan)
