"""Random returns are gathered from popgym and from here, and compared in standard errors."""

import json

import numpy as np
import pytest

from benchmarks import random_policy


def test_both_sides_of_one_id(tmp_path):
    options = ["--episodes", "30", "--only", "RepeatPreviousEasy", "--out", str(tmp_path)]
    assert random_policy.main([*options, "--popgym"]) == 0
    assert random_policy.main(options) == 0
    (row,) = json.loads((tmp_path / "random-policy.json").read_text())["rows"]
    assert row["length"] == row["popgym's length"] == 51
    assert row["lengths apart (s.e.)"] == 0
    assert abs(row["returns apart (s.e.)"]) < 5
    assert row["return"] != row["popgym's return"]


def test_gaps_are_counted_in_standard_errors_of_the_difference():
    theirs = {"return": 1.0, "return s.e.": 0.3, "length": 5.0, "length s.e.": 0.0}
    returns = np.array([3.0, 3.8])  # mean 3.4, standard error 0.4
    row = random_policy.compare("X", (returns, np.array([5.0, 5.0])), theirs)
    assert row["returns apart (s.e.)"] == pytest.approx(2.4 / 0.5)
    assert row["lengths apart (s.e.)"] == 0
    row = random_policy.compare("X", (returns, np.array([6.0, 6.0])), theirs)
    assert row["lengths apart (s.e.)"] > 1e6
