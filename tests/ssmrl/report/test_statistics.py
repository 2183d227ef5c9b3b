"""Intervals that hold the truth as often as they say, and resistant means."""

import numpy as np
import pytest
from scipy import stats

from ssmrl.report import statistics
from ssmrl.report.statistics import (
    bootstrap_interval,
    interquartile_mean,
    summarise,
    summarise_tasks,
)


def test_interquartile_mean_drops_the_outer_quarters():
    assert interquartile_mean(np.array([-100.0, 1, 2, 3, 4, 5, 6, 1000])) == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("scores", "by_hand"),
    [
        ([0, 3, 9], (0.25 * 0 + 1 * 3 + 0.25 * 9) / 1.5),
        ([7], 7),
        ([2, 4], 3),
        ([5, 1, 2, 4, 30], (0.75 * 2 + 4 + 0.75 * 5) / 2.5),
        ([0, 1, 2, 3, 8, 9], (0.5 * 1 + 2 + 3 + 0.5 * 8) / 3),
        ([0, 1, 2, 30], 1.5),
    ],
)
def test_scores_at_the_quartiles_count_in_part(scores, by_hand):
    assert interquartile_mean(np.array(scores)) == pytest.approx(by_hand)


def test_interquartile_mean_of_whole_quarters_is_the_trimmed_mean():
    """There rliable 1.2.0 agrees, whose ``aggregate_iqm`` is scipy's ``trim_mean``."""
    scores = np.random.default_rng(0).normal(size=(5, 16))
    expected = stats.trim_mean(scores, 0.25, axis=1)
    np.testing.assert_allclose(interquartile_mean(scores), expected, rtol=1e-12)
    np.testing.assert_allclose(interquartile_mean(scores.T, axis=0), expected, rtol=1e-12)


def test_what_is_not_counted_changes_nothing():
    scores = np.array([[1.0, 2.0, 1e9], [3.0, -1e9, 5.0], [1e9, 1e9, 1e9]])
    counted = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], bool)
    summary = summarise(scores, counted)
    assert (summary.mean, summary.count, summary.unit) == ((1.5 + 4) / 2, 2, "seeds")
    alone = summarise(scores[:1], counted[:1])
    assert (alone.mean, alone.count, alone.unit) == (1.5, 2, "episodes")
    assert summarise(scores, np.zeros((3, 3), bool)) is None


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
    assert summarise(np.full((1, 256), 0.1)).mean_interval == (0.1, 0.1)  # 0.1 is rounded


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(size=40), np.mean)
        covered += low < 0 < high
    assert 0.88 < covered / 200 < 0.99


def test_resampling_in_parts_changes_nothing(monkeypatch):
    samples = np.random.default_rng(0).normal(size=50)
    whole = bootstrap_interval(samples, interquartile_mean)
    monkeypatch.setattr(statistics, "AT_ONCE", 7 * 50)
    assert bootstrap_interval(samples, interquartile_mean) == whole


def test_resampling_takes_little_memory():
    """Two thousand resamples of 65,536 episodes at once would be 1 GB, and several times that."""
    taken = []
    mean = lambda x, axis: (taken.append(x.size), np.mean(x, axis))[1]  # noqa: E731
    bootstrap_interval(np.arange(20_000.0), mean)
    assert max(taken) <= statistics.AT_ONCE


def test_tasks_are_strata():
    """What differs between tasks, and not between seeds, widens no interval."""
    summary = summarise_tasks([[1.0] * 5, [3.0] * 5, [8.0] * 5])
    assert summary.mean_interval == (4.0, 4.0)
    assert summary.iqm == pytest.approx(interquartile_mean(np.repeat([1.0, 3.0, 8.0], 5)))
    assert summary.iqm_interval == pytest.approx((summary.iqm, summary.iqm))
    assert (summary.count, summary.unit) == (3, "tasks")


def test_tasks_count_alike_whatever_their_seeds():
    assert summarise_tasks([[0.0, 2.0], [4.0]]).mean == 2.5


def test_interval_over_tasks_is_as_wide_as_that_of_the_mean():
    drawn = np.random.default_rng(0)
    scores = drawn.normal(size=(10, 40)) + np.arange(10)[:, None]
    low, high = summarise_tasks(scores).mean_interval
    expected = 2 * 1.96 * scores.std(axis=1).mean() / np.sqrt(400)
    assert high - low == pytest.approx(expected, rel=0.1)
