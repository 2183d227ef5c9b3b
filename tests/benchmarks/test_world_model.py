"""Gradient steps of the world-model agent are timed in tiny form."""

import json

from benchmarks import timing, world_model


def test_lengths_and_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "AT_LEAST", 0.002)
    options = ["--small", "--out", str(tmp_path), "--lengths", "8", "--memory", "gru"]
    assert world_model.main(options) == 0
    (row,) = json.loads((tmp_path / "world-model-lengths.json").read_text())["rows"]
    assert (row["memory"], row["window"]) == ("gru", "4 x 8")
    assert row["low ms"] <= row["median ms"] <= row["high ms"]
    rows = json.loads((tmp_path / "world-model-parts.json").read_text())["rows"]
    flops = {row["part"]: row["matmul floor ms"] for row in rows}
    # Forward and backward are three times forward, and more: the losses have networks of their own.
    assert flops["model, forward and backward"] > 3 * flops["observe, forward"] > 0
    assert flops["whole"] > flops["model, forward and backward"]
