"""Intervals that hold the truth as often as they say, and resistant means."""

import numpy as np
import pytest

from ssmrl.report.statistics import bootstrap_interval, interquartile_mean, summarise


def test_interquartile_mean_drops_the_outer_quarters():
    assert interquartile_mean(np.array([-100.0, 1, 2, 3, 4, 5, 6, 1000])) == pytest.approx(3.5)


def test_one_seed_is_summarised_over_its_episodes():
    summary = summarise(np.arange(100.0))
    assert (summary.unit, summary.count) == ("episodes", 100)
    assert summary.mean == pytest.approx(49.5)
    low, high = summary.mean_interval
    assert 42 < low < 46 < 53 < high < 57  # 1.96 standard errors are 5.7


def test_several_seeds_are_summarised_over_their_means():
    scores = np.array([[0.0, 2.0], [2.0, 4.0], [4.0, 6.0]])
    summary = summarise(scores)
    assert (summary.unit, summary.count, summary.mean) == ("seeds", 3, 3.0)
    assert summary.mean_interval == (1.0, 5.0)


def test_equal_scores_leave_no_doubt():
    assert summarise(np.ones((5, 3))).iqm_interval == (1.0, 1.0)
    assert summarise(np.array([[0.5]])).mean_interval == (0.5, 0.5)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(size=40), np.mean)
        covered += low < 0 < high
    assert 0.88 < covered / 200 < 0.99
