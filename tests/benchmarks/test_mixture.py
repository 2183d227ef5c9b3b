"""The benchmark of mixtures, at tiny sizes."""

import json

from benchmarks import mixture


def test_a_mixture_is_held_against_its_members(tmp_path):
    assert mixture.main(["--small", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "mixture.json").read_text())["rows"]
    assert [row["policy"] for row in rows] == ["random", "S5"]
    for row in rows:
        assert (row["mixture"], row["environments"]) == ("meta/Mixture", 8)
        assert 0 < row["slowest member"] <= row["members' mean"]
        assert row["share of members' mean %"] > 1
