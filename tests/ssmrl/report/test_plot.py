"""Curves leave out what no episode ended in, and keep seeds apart."""

import numpy as np
import pytest

from ssmrl.errors import UsageError
from ssmrl.report.plot import curve, plot_curves
from ssmrl.train.run_folder import RunFolder


def rows(returns):
    return [
        {"update": i, "env_steps": 10 * i, "episode_return_mean": value}
        for i, value in enumerate(returns, 1)
    ]


def test_rows_without_an_episode_are_left_out():
    steps, returns = curve(rows([None, 1.0, None, 3.0]))
    np.testing.assert_array_equal(steps, [20, 40])
    np.testing.assert_array_equal(returns, [[1], [3]])


def test_seeds_are_columns():
    _, returns = curve(rows([[1.0, None], [3.0, 5.0]]))
    np.testing.assert_array_equal(returns, [[1, np.nan], [3, 5]])


def test_long_curves_are_smoothed_over_the_past():
    _, returns = curve(rows([float(i % 2) for i in range(200)]))
    assert returns[3:].min() == returns[3:].max() == 0.5


def test_picture(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    with pytest.raises(UsageError, match="no finished episode"):
        plot_curves([("s5", folder)], "title", tmp_path / "curve.png")
    for row in rows([[0.0, 1.0], [2.0, 3.0]]):
        folder.append_row(row)
    plot_curves([("s5", folder)], "title", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
