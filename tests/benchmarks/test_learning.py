"""The comparison of learning curves trains tiny agents, and reads curves rightly."""

import json

from benchmarks import learning
from ssmrl.train.run_folder import RunFolder


def test_paths_are_trained_and_drawn(tmp_path):
    options = ["--small", "--seeds", "2", "--steps", "512", "--only", "default"]
    assert learning.main([*options, "--out", str(tmp_path), "--runs", str(tmp_path / "runs")]) == 0
    (row,) = json.loads((tmp_path / "learning-paper-popgym.json").read_text())["rows"]
    assert row["path"] == "default"
    assert row["seeds"] == 2
    assert row["env steps"] == 512
    assert -1 <= row["greedy low"] <= row["greedy return"] <= row["greedy high"] <= 1
    assert (tmp_path / "learning-paper-popgym.png").stat().st_size > 1000
    assert (tmp_path / "runs" / "default" / "metrics.jsonl").exists()


def test_the_first_step_at_which_each_seed_has_learnt(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    for i, returns in enumerate([[0.0, 0.0], [0.95, 0.5], [0.0, 0.92], [0.99, 0.99]]):
        numbers = {"update": i, "env_steps": 10 * i, "seconds": 0.1}
        folder.append_row({**numbers, "episode_return_mean": returns})
    evaluation = {k: {"mean": 0.5, "mean_interval": [0.4, 0.6]} for k in ("greedy", "sampled")}
    folder.write("evaluation.json", json.dumps(evaluation))
    row = learning.describe(folder)
    assert row["seeds that reached 0.9"] == 2
    assert (row["steps to 0.9, first"], row["steps to 0.9, last"]) == (10, 20)
    assert (row["greedy low"], row["sampled high"]) == (0.4, 0.6)
