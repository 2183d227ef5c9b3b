"""Cells' lines and what is told over an axis, against numbers worked out by hand."""

import pytest

from ssmrl.report.results import aggregates, headlines, result
from ssmrl.report.table import evidence, index, table

COLUMNS = {"a": {"old": 0.2, "best": 0.4}, "b": {"old": 0.6}, "c": {}}
SCORES = {"a": [0.1, 0.3], "b": [0.5, 0.5], "c": [0.8, 1.0]}


def beside(labels: dict[str, str]) -> list[dict]:
    """Return the columns of a task, or the published mean of a memory."""
    values = COLUMNS[labels["env"]] if "env" in labels else {"figure": 0.7}
    told = {"measure": "mmer", "spread": None, "source": "a book"}
    return [{"name": name, "value": value, **told} for name, value in values.items()]


def results() -> list[dict]:
    found = []
    for env, scores in SCORES.items():
        record = {
            "cell": f"s5-{env}", "labels": {"memory": "s5", "env": env}, "agent": "ppo",
            "memory": "s5", "env": env, "steps": 10, "seeds": 2, "scores": {"mmer": scores},
            "seconds": 1.0, "compile_seconds": 2.0, "peak_memory": 2**30, "device": "X",
            "versions": {"jax": "1"},
        }  # fmt: skip
        found.append(result(record, "mmer", scores, beside))
    return found


def test_a_cells_line():
    line = results()[0]
    assert line["mean"] == pytest.approx(0.2)
    assert (line["low"], line["high"]) == (0.1, 0.3)
    assert [p["name"] for p in line["published"]] == ["old", "best"]


def test_means_are_over_the_same_tasks_as_the_published():
    lines = aggregates(results(), "env", {}, "abc", beside)
    told = [(line["tasks"], line["of"], line["mean"], line["published"]) for line in lines]
    assert told == [
        (3, 3, pytest.approx(1.6 / 3), {"figure": 0.7}),
        (2, 3, pytest.approx(0.35), {"old": pytest.approx(0.4)}),
        (1, 3, pytest.approx(0.2), {"old": 0.2, "best": 0.4}),
    ]


def test_a_figure_of_all_tasks_waits_for_all():
    (whole, *_) = aggregates(results()[:2], "env", {}, "abc", beside)
    assert whole["tasks"] == 2
    assert "figure" not in whole["published"]
    assert whole["published"] == {"old": pytest.approx(0.4)}


def test_scores_and_published_values_are_divided_alike():
    lines = aggregates(results(), "env", {"a": 0.2, "b": 0.5, "c": 1.0}, "abc", beside)
    assert lines[0]["mean"] == pytest.approx((1.0 + 1.0 + 0.9) / 3)
    assert lines[1]["published"] == {"old": pytest.approx((1.0 + 1.2) / 2)}


def test_pages():
    found = results()
    summary = {
        "title": "T", "command": "ssmrl reproduce x", "cells": 4, "finished": 3, "divided": {},
        "aggregates": aggregates(found, "env", {}, "abc", beside),
        "sources": [["old", "a book"]], "headlines": [],
    }  # fmt: skip
    page = table(summary, found)
    assert "3 of 4 cells are finished" in page
    assert "| env | IQM of MMER | mean | seeds | steps | seconds | GiB | old | best |" in page
    assert (
        "| a | 0.200 [0.100, 0.300] | 0.200 [0.100, 0.300] | 2 | 10 | 1.0 | 1.00 | 0.2 | 0.4 |"
        in page
    )
    assert "| 2 of 3 |" in page
    assert "* old: a book" in page
    listed = index({"x": summary})
    assert "* [x](x/table.md): T. 3 of 4 cells are finished; s5 over 3: 0.533 [" in listed
    rows = evidence({"x": summary}, "results")
    assert rows[2].startswith("| [T](results/x/table.md), 3 of 4 cells | s5 over 3 | 0.533 [")
    assert rows[2].endswith("| figure 0.700 |")
    assert rows[3].startswith("|  | s5 over 2 | 0.350 [")
    cells = {**summary, "aggregates": [], "headlines": headlines(found), "cells": 3}
    rows = evidence({"x": cells}, "results")
    assert rows[2] == (
        "| [T](results/x/table.md) | s5, a | 0.200 [0.100, 0.300] | old 0.200; best 0.400 |"
    )
    assert table({**summary, "aggregates": [], "finished": 0}, []).count("|") == 0
