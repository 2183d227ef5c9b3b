"""The scans that are timed are right, and their rows are held against what can be reached."""

import json

import jax
import numpy as np
import pytest

from benchmarks import recurrence as rec
from benchmarks import s5, scan, timing
from benchmarks.recurrence import scans
from ssmrl.memory import S5


def test_scans_equal_loops_in_float64():
    problem = rec.draw_problem(13, 3, 4)
    problem = problem._replace(start=problem.start.at[5, 1].set(True))
    exact = rec.in_float64(jax.device_get(problem))
    for name, fn, arrays in scans(problem, ["sequential", "associative"]):
        assert max(rec.relative_errors(fn, arrays, exact)) < 5e-6, name


def test_float64_loop_has_the_right_gradients():
    problem = rec.draw_problem(9, 2, 3)
    x, da, db, d_state = rec.in_float64(problem)
    step = 1e-3

    def loss(**changed):
        states = rec.in_float64(problem._replace(**changed))[0]
        w = rec._to_complex(problem.w)
        return float((np.conj(w) * states).real.sum())

    for name, gradient in (("a", da), ("b", db), ("initial_state", d_state)):
        value = np.asarray(getattr(problem, name), np.float64)
        place = (0,) * value.ndim
        up, down = value.copy(), value.copy()
        up[place] += step
        down[place] -= step
        slope = (loss(**{name: up}) - loss(**{name: down})) / (2 * step)
        assert slope == pytest.approx(gradient[place].real, rel=1e-4), name
    assert x.shape == (9, 2, 3)


def test_bytes_at_the_least():
    """The figures of one shape, reckoned by hand: 8 B an element, 1 B a flag."""
    assert rec.floor_bytes(128, 2048, 128, backward=False) == 8 * 2 * 2**25 + 2**18
    assert rec.floor_bytes(128, 2048, 128, backward=True) == 8 * 5 * 2**25 + 2 * 2**18


def test_flops_of_a_layer():
    """The layer's matrices, each number of which is used once per token."""
    layer = S5(features=6, state_size=8, num_layers=1)
    args = (layer.initial_state((1,)), np.zeros((1, 6), np.float32), np.zeros(1, bool))
    init = jax.eval_shape(lambda key: layer.init(key, *args, method="step"), jax.random.key(0))
    params = init["params"]["layers"]
    numbers = params["b"].size + params["c"].size + params["gate"]["kernel"].size
    assert s5.layer_flops(6, 4, 12, tokens=5, backward=False) == 2 * numbers * 5
    assert s5.layer_flops(6, 4, 12, tokens=5, backward=True) == 6 * numbers * 5


def test_slope():
    assert s5.slope([(1, 3.0), (2, 6.0), (4, 12.0)]) == pytest.approx(1)


def test_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, "AT_LEAST", 0.002)
    monkeypatch.setattr(scan, "SMALL_SHAPES", [(4, 2, 4)])
    monkeypatch.setattr(s5, "SMALL_LAYER_SHAPES", [(4, 2, 4)])
    monkeypatch.setattr(s5, "LAYERS", {"default": {}})
    monkeypatch.setattr(s5, "SMALL_LENGTHS", [2, 4])
    monkeypatch.setattr(rec, "implementations", lambda _: ["sequential", "mosaic"])
    parts = ["recurrence", "layer", "length"]
    assert scan.main(["--small", "--out", str(tmp_path), "--only", *parts]) == 0

    documents = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    rows = documents["scan-recurrence"]["rows"]
    assert [row["scan"] for row in rows] == [*rec.REFERENCES, "sequential"] * 2
    for row in rows:
        assert 0 < row["share of copy %"] < 100
        assert row["share of copy %"] == pytest.approx(
            100 * row["floor ms"] / row["median ms"], rel=2e-3
        )
    assert rows[3]["x folded"] == pytest.approx(
        rows[2]["median ms"] / rows[3]["median ms"], rel=2e-3
    )
    assert "cannot run here" in documents["scan-recurrence"]["notes"][0]
    assert "mosaic forward at (4, 2, 4) was left out" in capsys.readouterr().out
    for name in ("scan-layer", "scan-length"):
        assert all(0 < row["share of matmul rate %"] < 100 for row in documents[name]["rows"])
    assert "slope" in documents["scan-length"]["notes"][-1]
    assert "scan-accuracy" not in documents
