"""The README's table of results is the one that the committed results make."""

from pathlib import Path

from benchmarks.evidence import BEGIN, END, with_evidence

HERE = Path(__file__).parents[2]


def test_what_is_around_the_table_stays(tmp_path):
    folder = tmp_path / "results" / "mine"
    folder.mkdir(parents=True)
    headline = '{"labels": {}, "mean": 1.5, "low": 1, "high": 2, "published": {"theirs": 1.25}}'
    (folder / "summary.json").write_text(
        f'{{"title": "T", "cells": 1, "finished": 1, "aggregates": [], "headlines": [{headline}]}}'
    )
    page = f"before\n{BEGIN}\n\nold\n\n{END}\nafter\n"
    made = with_evidence(page, tmp_path / "results")
    assert made.startswith(f"before\n{BEGIN}\n\n| experiment |")
    assert made.endswith(f"\n\n{END}\nafter\n")
    assert "| [T](results/mine/table.md) |  | 1.500 [1.000, 2.000] | theirs 1.250 |" in made
    assert "old" not in made
    assert with_evidence(made, tmp_path / "results") == made


def test_the_readme_is_current():
    text = (HERE / "README.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert with_evidence(text, HERE / "results") == text
