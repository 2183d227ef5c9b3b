"""Tables: Markdown is made from the JSON beside it, and nothing tiny goes among real results."""

import json
from argparse import Namespace

from benchmarks import report

FACTS = {"device": "NVIDIA H100 80GB HBM3", "copy GB/s": 2934.5678}


def test_tables_are_written_from_json(tmp_path):
    table = report.Table(tmp_path, "some", FACTS, {"env": "Cue"})
    table.add({"scan": "folded", "median ms": 1.23456789, "share of copy %": 50.0})
    table.add({"scan": "other", "in cache": True, "steps/s": 1234567.0})
    table.skip("mosaic", ValueError("needs a GPU\nand more words"))

    text = (tmp_path / "some.json").read_text()
    document = json.loads(text)
    assert document["rows"][0] == {"scan": "folded", "median ms": 1.235, "share of copy %": 50.0}
    assert document["notes"] == ["mosaic was left out: needs a GPU"]
    assert document["facts"]["copy GB/s"] == 2935
    assert len(text) < 700

    lines = (tmp_path / "some.md").read_text().splitlines()
    assert report.markdown(document).splitlines() == lines
    assert "| scan | median ms | share of copy % | in cache | steps/s |" in lines
    assert "| folded | 1.235 | 50 |  |  |" in lines
    assert "| other |  |  | yes | 1,235,000 |" in lines
    assert "mosaic was left out: needs a GPU" in lines


def test_tables_are_named_by_device_and_by_option():
    options = Namespace(out=None, small=False, name=None)
    table = report.new_table(options, FACTS, "ppo", {})
    assert table.folder.as_posix() == "benchmarks/results/nvidia-h100-80gb-hbm3"
    assert table.name == "ppo"
    options.small, options.name = True, "bfloat16"
    table = report.new_table(options, FACTS, "ppo", {})
    assert table.folder.as_posix() == "benchmarks/results/nvidia-h100-80gb-hbm3-small"
    assert table.name == "ppo-bfloat16"


def test_facts_name_no_folders():
    facts = report.device_facts()
    assert {"device", "jax", "jaxlib", "flax", "python", "matmul precision"} <= facts.keys()
    assert "/" not in json.dumps(facts)
