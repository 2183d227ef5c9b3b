"""The table of classical players in bandits."""

import json

import pytest

from benchmarks import bandit_players


def test_rewards_and_regrets_belong_together(tmp_path, monkeypatch):
    monkeypatch.setattr(bandit_players, "BANDITS", {"FixedArmBandit, 0.5": {"fixed_mean": 0.5}})
    assert bandit_players.main(["--trials", "400", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "bandit-players.json").read_text())["rows"]
    assert [row["player"] for row in rows] == ["Thompson", "UCB1", "random"]
    for row in rows:  # what both add up to is what the best arms pay: about 149 in 100 pulls
        assert row["return"] + row["regret"] == pytest.approx(149, abs=4)
    assert rows[0]["return"] > rows[1]["return"] > 100 > rows[2]["return"]
