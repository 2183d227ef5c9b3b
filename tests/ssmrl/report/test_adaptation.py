"""Curves of adaptation: means and intervals by inner episode."""

import numpy as np

from ssmrl.report.adaptation import adaptation, table

NAN = np.nan


def test_intervals_are_over_seeds_and_what_was_not_played_is_left_out():
    returns = np.array([[[1.0, 2, NAN], [3, NAN, NAN]], [[5.0, 6, NAN], [7, 8, NAN]]])
    curve = adaptation(returns)
    np.testing.assert_array_equal(curve.mean, [4, 4.5, NAN])  # of 2 and 6, of 2 and 7
    np.testing.assert_array_equal(curve.low, [2, 2, NAN])
    np.testing.assert_array_equal(curve.high, [6, 7, NAN])
    assert curve.to_mapping()["mean"] == [4, 4.5, None]


def test_a_single_seeds_intervals_are_over_its_trials():
    returns = np.random.default_rng(1).normal(size=(1, 400, 2))
    curve = adaptation(returns)
    half = (curve.high - curve.low) / 2
    np.testing.assert_allclose(half, 1.96 * returns[0].std(axis=0) / 20, rtol=0.1)
    np.testing.assert_allclose(curve.mean, returns[0].mean(axis=0))


def test_the_table_shows_first_and_last():
    curve = adaptation(np.arange(100.0)[None, None])
    lines = table({"greedy": curve}, optimal=99.5)
    assert lines[0].split()[2:] == ["1", "2", "4", "7", "14", "27", "52", "100"]
    assert lines[1].split() == ["greedy", *(f"{i - 1:.3f}" for i in (1, 2, 4, 7, 14, 27, 52, 100))]
    assert lines[2].endswith("99.500")


def test_numbers_of_four_digits_stand_apart():
    lines = table({"greedy": adaptation(np.full((1, 5, 3), -2000.0))}, optimal=None)
    assert lines[1].split() == ["greedy", *["-2000.000"] * 3]
