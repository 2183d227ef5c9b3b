"""Names, import paths, and what is said where neither leads anywhere."""

import pytest

from ssmrl.errors import UsageError
from ssmrl.registry import Registry, did_you_mean


@pytest.fixture
def registry() -> Registry:
    table: Registry = Registry("thing")
    table.register("suite/RepeatFirstEasy", 1)
    table.register("suite/RepeatFirstHard", 2)
    table.register("other", 3)
    return table


def test_names(registry):
    assert registry.get("other") == 3
    assert registry.names() == ["other", "suite/RepeatFirstEasy", "suite/RepeatFirstHard"]


def test_import_path(registry, tmp_path, monkeypatch):
    (tmp_path / "mine_for_a_test.py").write_text("answer = 42\n")
    monkeypatch.chdir(tmp_path)
    assert registry.get("mine_for_a_test:answer") == 42
    with pytest.raises(UsageError, match="module 'mine_for_a_test' has no 'question'"):
        registry.get("mine_for_a_test:question")
    with pytest.raises(UsageError, match="there is no module 'mine_for_no_test'"):
        registry.get("mine_for_no_test:answer")


FAULTY = {
    "import not_there_at_all": "ModuleNotFoundError: No module named 'not_there_at_all' ({file}:1)",
    "x = 1\nx.y": "AttributeError: 'int' object has no attribute 'y' ({file}:2)",
    "import sys\nsys.exit(3)": "SystemExit: 3 ({file}:2)",
    "def broken(:": "SyntaxError: invalid syntax ({name}.py, line 1)",
}


@pytest.mark.parametrize("text", FAULTY)
def test_fault_inside_an_imported_module(text, registry, tmp_path, monkeypatch):
    name = f"faulty_for_a_test_{list(FAULTY).index(text)}"
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        registry.get(f"{name}:answer")
    words = FAULTY[text].format(file=file, name=name)
    assert str(caught.value) == f"thing '{name}:answer': {name!r} cannot be imported: {words}"
    assert caught.value.__cause__ is not None


def test_mistakes(registry):
    with pytest.raises(UsageError, match="'suite/RepeatFirstEasy'"):
        registry.get("repeatfirsteasy")
    with pytest.raises(UsageError, match="already registered"):
        registry.register("other", 4)
    with pytest.raises(UsageError, match="cannot hold ':'"):
        registry.register("a:b", 4)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ppo.lerning_rate", "; did you mean 'ppo.learning_rate'?"),
        ("num_env", "; did you mean 'ppo.num_envs'?"),
        ("zzz", "; known are ppo.learning_rate, ppo.num_envs, seed"),
    ],
)
def test_did_you_mean(name, hint):
    assert did_you_mean(name, ["ppo.learning_rate", "ppo.num_envs", "seed"]) == hint
