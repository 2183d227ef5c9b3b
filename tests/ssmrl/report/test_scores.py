"""What is read off a run folder: by hand on rows that are written by hand."""

import json

import pytest

from ssmrl.errors import UsageError
from ssmrl.report.scores import mmer, record, scores_of, thinned_curve
from ssmrl.train.run_folder import RunFolder


def rows_of(*returns: list[float | None]) -> list[dict]:
    return [
        {"update": i + 1, "env_steps": 10 * (i + 1), "seconds": 0.5 * i, "episode_return_mean": r}
        for i, r in enumerate(returns)
    ]


def test_mmer_is_the_greatest_of_each_seed():
    rows = rows_of([None, None, None], [0.1, -0.9, None], [0.3, -1.0, None], [0.2, None, None])
    assert mmer(rows) == [0.3, -0.9, None]


def test_mmer_leaves_the_first_twentieth_out():
    """Of a maze's first episodes only those have ended that found the way out."""
    assert mmer(rows_of([0.9], *[[-1 + i / 100] for i in range(19)])) == [pytest.approx(-0.82)]
    assert mmer(rows_of([0.9], [0.8], *[[0.1]] * 38)) == [0.1]
    assert mmer(rows_of([0.9], *[[0.1]] * 18)) == [0.9]  # too few rows to leave one out


def test_mmer_of_a_single_seed():
    (row,) = rows_of([0.0])
    assert mmer([{**row, "episode_return_mean": 0.5}]) == [0.5]


def test_curves_are_thinned_by_means():
    curve = thinned_curve(rows_of([1.0, None], [3.0, None], [5.0, None], [None, 2.0]), points=2)
    assert curve == {"steps": [20, 40], "returns": [[2.0, None], [5.0, 2.0]]}


def test_short_curves_stay_as_they_are():
    curve = thinned_curve(rows_of([1.0], [3.0], [None]))
    assert curve == {"steps": [10, 20, 30], "returns": [[1.0], [3.0], [None]]}


def test_record(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    for row in rows_of([1.0, 2.0], [3.0, 1.0]):
        folder.append_row(row)
    for seconds in (9.0, 1.0):  # the second is of a resume, whose program is in the cache
        folder.append_start({"device": "X", "jax": "1", "compile_seconds": seconds, "bytes": 8})
    with pytest.raises(UsageError, match="no evaluation"):
        record(folder)
    evaluation = {"update": 2, "greedy": {"by_seed": [0.5, 0.6]}, "sampled": {"by_seed": [0, 1]}}
    folder.write("evaluation.json", json.dumps({**evaluation, "update": 1}))
    with pytest.raises(UsageError, match="no evaluation"):  # of an earlier state
        record(folder)
    folder.write("evaluation.json", json.dumps(evaluation))
    assert record(RunFolder.open(folder.path), evaluated=False)["scores"]["mmer"] == [3.0, 2.0]
    left = record(folder)
    assert (left["evaluation"], left["elsewhere"]) == (evaluation, {})
    with pytest.raises(UsageError, match="no evaluation"):
        record(folder, elsewhere={"far": "-x=1"})
    curves = {"greedy": {"by_seed": [[1, 2, 3], [4, 5, 6]]}, "random": {"by_seed": [[0], [0]]}}
    far = {"update": 2, "greedy": {"by_seed": [6, 15]}, "adaptation": curves}
    folder.write("evaluation-x=1.json", json.dumps(far))
    assert record(folder, elsewhere={"far": "-x=1"})["elsewhere"] == {"far": far}
    assert scores_of(far) == {"greedy": [6, 15], "greedy_last": [3, 6]}
    assert left["scores"] == {"mmer": [3.0, 2.0], "greedy": [0.5, 0.6], "sampled": [0, 1]}
    assert (left["steps"], left["seconds"], left["compile_seconds"]) == (20, 0.5, 9.0)
    assert (left["device"], left["peak_memory"], left["versions"]["jax"]) == ("X", 8, "1")
