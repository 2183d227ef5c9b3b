"""Where agents played: lines and curves against numbers written by hand."""

import numpy as np
import pytest

from ssmrl.report.adaptation import adaptation, plot_adaptations
from ssmrl.report.places import curves, has_more, lines
from ssmrl.report.table import table


def evaluation(length: int, shift: float = 0.0) -> dict:
    """Return what is told of two seeds with two trials each, whose returns rise by one."""
    rising = np.arange(length) + np.array([[0.0, 2.0], [4.0, 6.0]])[..., None] + shift
    told = {"greedy": rising, "sampled": rising - 1, "memory wiped": 0 * rising, "random": -rising}
    found = {kind: {"mean": 7.0, "mean_interval": [6.0, 8.0]} for kind in told}
    curves = {kind: adaptation(returns).to_mapping() for kind, returns in told.items()}
    return {**found, "adaptation": {"optimal": 9.5, **curves}}


@pytest.fixture
def record() -> dict:
    plain = {"greedy": {"mean": None, "mean_interval": None}}
    elsewhere = {"longer": evaluation(5, 1.0), "plain": plain}
    return {"labels": {"memory": "s5"}, "evaluation": evaluation(3), "elsewhere": elsewhere}


def test_lines(record):
    home, longer, plain = lines([record], "greedy")
    assert home == {
        "labels": {"memory": "s5"}, "place": "as trained", "return": (7.0, 6.0, 8.0),
        "episodes": 3, "optimal": 9.5, "first": (3.0, 1.0, 5.0), "last": (5.0, 3.0, 7.0),
        "wiped": (0.0, 0.0, 0.0), "random": (-5.0, -7.0, -3.0),
    }  # fmt: skip
    assert (longer["place"], longer["episodes"], longer["last"]) == ("longer", 5, (8.0, 6.0, 10.0))
    assert plain == {"labels": {"memory": "s5"}, "place": "plain", "return": None}


def test_there_is_more_to_tell_of_trials_and_of_elsewhere(record):
    assert has_more([record])
    assert has_more([{"evaluation": evaluation(3)}])
    assert not has_more([{"evaluation": record["elsewhere"]["plain"], "elsewhere": {}}])
    assert not has_more([{"evaluation": {}}])


def test_curves_and_pictures(record, tmp_path):
    found = dict(curves(record, "sampled"))
    assert [*found] == ["as trained", "longer", "memory wiped", "random"]
    np.testing.assert_array_equal(found["as trained"].mean, [2, 3, 4])
    assert len(found["random"].mean) == 5  # where it is longest
    plot_adaptations({"a": found, "b": found}, tmp_path / "adaptation.png")
    assert (tmp_path / "adaptation.png").stat().st_size > 1000


def test_the_page(record):
    summary = {
        "title": "T", "command": "c", "cells": 1, "aggregates": [], "divided": {}, "sources": [],
        "places": lines([record], "greedy"),
    }  # fmt: skip
    page = table(summary, [])
    wiped, chance = "0.000 [0.000, 0.000]", "-5.000 [-7.000, -3.000]"
    row = "| as trained | 7.000 [6.000, 8.000] | 3 | 3.000 [1.000, 5.000] | 5.000 [3.000, 7.000] "
    assert f"{row}| {wiped} | {chance} | 9.500 |" in page
    assert "| plain |  |  |  |  |  |  |  |" in page
