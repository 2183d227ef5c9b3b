"""What the README shows is run."""

import json
import re
import shlex
from pathlib import Path

import pytest

from agents.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """Return the code block of the README that holds some text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (b for b in blocks if containing in b)
    return found


def test_own_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corridor.py").write_text(block("python", "class Corridor"))
    check, train = (
        shlex.split(line, comments=True) for line in block("bash", "corridor:Corridor").splitlines()
    )
    assert check.pop(0) == train.pop(0) == "ssmrl"
    assert main(check) == 0
    assert main([*train, "--run-dir", "run"]) == 0
    results = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert results["greedy"]["mean"] > 0.95


PATHS = re.findall(r"`((?:ssmrl|configs|tests|envs|agents)/[\w/.]*)`", README)


@pytest.mark.parametrize("path", PATHS)
def test_named_paths_exist(path):
    assert (ROOT / path).exists()
