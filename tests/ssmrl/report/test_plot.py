"""Curves leave out what no episode ended in, and keep seeds apart."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from ssmrl.errors import UsageError
from ssmrl.report import plot
from ssmrl.report.plot import curve, plot_curves, plot_panels
from ssmrl.train.run_folder import RunFolder


def rows(returns):
    return [
        {"update": i, "env_steps": 10 * i, "seconds": 0.1, "episode_return_mean": value}
        for i, value in enumerate(returns, 1)
    ]


def test_rows_without_an_episode_are_left_out():
    steps, returns = curve(rows([None, 1.0, None, 3.0]))
    np.testing.assert_array_equal(steps, [20, 40])
    np.testing.assert_array_equal(returns, [[1], [3]])


def test_seeds_are_columns():
    _, returns = curve(rows([[1.0, None], [3.0, 5.0]]))
    np.testing.assert_array_equal(returns, [[1, np.nan], [3, 5]])


def test_some_members():
    """Where others have had an episode and these have not, their row is left out."""
    steps, returns = curve(rows([[1.0, None, 2.0], [3.0, None, 4.0], [0.0, 5.0, 6.0]]), range(1, 2))
    np.testing.assert_array_equal((steps, returns[:, 0]), ([30], [5]))


def test_long_curves_are_smoothed_over_the_past():
    _, returns = curve(rows([float(i % 2) for i in range(200)]))
    assert returns[3:].min() == returns[3:].max() == 0.5


def test_picture(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    for empty in ([], rows([None, None]), rows([[None, None]])):
        folder.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in empty))
        with pytest.raises(UsageError, match="no finished episode"):
            plot_curves([("s5", folder)], "title", tmp_path / "curve.png")
    folder.write("metrics.jsonl", "")
    for row in rows([[0.0, 1.0], [2.0, 3.0]]):
        folder.append_row(row)
    plot_curves([("s5", folder)], "title", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_labels_are_shown_as_typed_and_steps_whole(tmp_path, monkeypatch):
    """Dollars are no formulae, and a leading underscore hides nothing."""
    figures = []
    monkeypatch.setattr(plot, "Figure", lambda **kw: figures.append(Figure(**kw)) or figures[-1])
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    for row in rows([0.0, 1.0]):
        folder.append_row({**row, "env_steps": row["update"]})
    labels = ["runs/$x^$[b]", "_hidden", "plain"]
    plot_curves([(label, folder) for label in labels], "$a_$ [b]", tmp_path / "curve.png")
    (axes,) = figures[0].axes
    texts = [axes.title, *axes.get_legend().get_texts()]
    assert [text.get_text() for text in texts] == ["$a_$ [b]", *labels]
    assert not any(text.get_parse_math() for text in texts)
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_panels(tmp_path, monkeypatch):
    """A label keeps its colour in every panel, also where it is alone or without an episode yet."""
    figures: list[Figure] = []
    savefig = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda f, *a, **k: (figures.append(f), savefig(f, *a, **k))
    )
    line, gap = np.ones((2, 3)), np.array([[np.nan] * 3, [1, 2, 3]])
    panels = {"a": [("s5", [1, 2], line), ("gru", [1, 2], gap)], "b": [("gru", [1, 2], line)]}
    plot_panels(panels, tmp_path / "curves.png")
    first, second = figures[0].axes[:2]
    assert first.get_lines()[1].get_color() == second.get_lines()[0].get_color()
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["s5", "gru"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
