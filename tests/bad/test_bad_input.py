"""Whatever people bring or type wrongly: one sentence that names it and a way out, nothing written.

The tables stand beside this file. Everything is tried in this process: training stops where it
would compile, a run is trained once and its program serves every resume.
"""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
from bad import (
    commands,
    configs,
    envs_making,
    envs_parts,
    envs_results,
    envs_spaces,
    envs_states,
    envs_tracing,
    experiments,
    memories,
    memories_played,
    memory_options,
    runs,
    world_models,
)
from bad.harness import (
    Case,
    ask,
    assert_refused,
    assert_words,
    changes,
    plant,
    reuse,
    stop_before_compiling,
    tree,
)

from agents.cli import main
from agents.commands import evaluate, train
from ssmrl.train.chunk import Chunk
from ssmrl.train.run_folder import RunFolder

TINY = [
    "train", "quickstart", "--ppo.num-envs", "4", "--ppo.num-steps", "16", "--ppo.num-minibatches",
    "2", "--ppo.num-epochs", "1", "--ppo.encoder-sizes", "8", "--ppo.head-sizes", "8",
    "--eval-episodes", "4",
]  # fmt: skip
ENVIRONMENTS = (
    envs_results, envs_parts, envs_states, envs_tracing, envs_spaces, envs_making,
)  # fmt: skip


def env_cases() -> dict[str, Case]:
    """Return every bad environment with ``train``, and every fourth with ``check``."""
    cases, checks = {}, {}
    for module in ENVIRONMENTS:
        for number, (name, words) in enumerate(module.FAULTS.items()):
            path = f"{module.__name__}:{name}"
            may_work = name in getattr(module, "MAY_WORK", ())
            named = rf"\A(?=.*(?:{name}|action|GiB))(?s:.*)(?:{words})"
            cases[f"train-{name}"] = Case([*TINY, "--env.name", path], named, may_work=may_work)
            if number % 4 == 0 and not may_work:
                checks[f"check-{name}"] = Case(["check", path], words)
    for name, words in envs_tracing.PLAYED.items():
        checks[f"check-{name}"] = Case(["check", f"bad.envs_tracing:{name}"], words)
    return cases | envs_making.CASES | checks  # which forget what is traced, so they come last


def memory_cases() -> dict[str, Case]:
    """Return every bad memory with ``train``, and every fourth with ``check``."""
    cases, checks = dict(memory_options.CASES), {}
    for number, (name, words) in enumerate(memories.FAULTS.items()):
        path = f"bad.memories:{name}"
        line = [*TINY, "--memory.name", path, "--env.name", "probes:Cue"]
        cases[f"train-{name}"] = Case(line, words, may_work=name in memories.MAY_WORK)
        if number % 4 == 0:
            checks[f"check-{name}"] = Case(["check", "--memory", path], words)
    for name, words in memories_played.PLAYED.items():
        path = f"bad.memories_played:{name}"
        checks[f"check-{name}"] = Case(["check", "--memory", path], words)
    for name in ("missing_import", "syntax_error", "raises", "exits", "recursion", "misspelt"):
        cases[f"module-{name}"] = envs_making.module_case("--memory.name", name)
    return cases | checks


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """Stand in an empty folder, with nothing left of another's modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [n for n in sys.modules if n.partition(".")[0] == "theirs"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return tmp_path


def refuse(case: Case, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    stop_before_compiling(monkeypatch)
    plant(workplace, case.files)
    before = tree(workplace)
    answer = ask(case.command, capsys)
    if not (case.may_work and answer.code in (0, None)):
        assert_refused(answer, case.words)
    assert not (written := changes(before, tree(workplace))), f"written: {written}"


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in env_cases().items()])
def test_environment(case, workplace, monkeypatch, capsys):
    refuse(case, workplace, monkeypatch, capsys)


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in memory_cases().items()])
def test_memory(case, workplace, monkeypatch, capsys):
    refuse(case, workplace, monkeypatch, capsys)


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in configs.CASES.items()])
def test_config(case, workplace, monkeypatch, capsys):
    refuse(case, workplace, monkeypatch, capsys)


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in commands.CASES.items()])
def test_command(case, workplace, monkeypatch, capsys):
    refuse(case, workplace, monkeypatch, capsys)


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in experiments.CASES.items()])
def test_experiment(case, workplace, monkeypatch, capsys):
    refuse(case, workplace, monkeypatch, capsys)


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in world_models.CASES.items()])
def test_world_model(case, workplace, monkeypatch, capsys):
    refuse(case, workplace, monkeypatch, capsys)


@pytest.mark.parametrize("options", world_models.SOUND)
def test_what_fits_a_world_model_reaches_the_compiler(options, workplace, monkeypatch, capsys):
    stop_before_compiling(monkeypatch)
    assert ask([*world_models.TINY, *options.split()], capsys).code is None


@pytest.mark.parametrize("thing", ["environment", "memory"])
def test_what_is_sound_reaches_the_compiler(thing, workplace, monkeypatch, capsys):
    """Or the others would be refused for what they have in common with these."""
    stop_before_compiling(monkeypatch)
    option = {
        "environment": "--env.name=bad.sound:Sound",
        "memory": "--memory.name=bad.sound:SoundMemory",
    }
    assert ask([*TINY, option[thing]], capsys).code is None


# Run folders.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a trained run, its compiled chunk, and what its evaluation played."""
    path = tmp_path_factory.mktemp("trained") / "run"
    chunks, played, play = [], [], evaluate.play_episodes

    def keep_chunk(*args):
        chunks.append(Chunk(*args))
        return chunks[-1]

    def keep_episodes(*args):
        played.extend(play(*args))
        return iter(played)

    options = [
        "--env.name", "probes:Cue", "--memory.name", "mlp", "--memory.features", "8",
        "--total-steps", "256", "--checkpoint-every", "2", "--run-dir", str(path),
        "--ppo.anneal-learning-rate", "false", "--ppo.gamma", "0.99",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "Chunk", keep_chunk)
        patch.setattr(evaluate, "play_episodes", keep_episodes)
        assert main([*TINY, *options]) == 0
    chunks[0].compile = lambda state: None  # it is
    return path, chunks[0], played


# Written anew by every command that works, and made of what is kept elsewhere.
DERIVED = (
    "evaluation.json", "curve.png", "episode.gif", "config.yaml", "config.trained.yaml",
    "spaces.json", "starts.jsonl", "2.json", "4.json",
)  # fmt: skip


def lost(before: dict, after: dict, damaged: set[str]) -> list[str]:
    """Return the files whose bytes are nowhere now; rows that were whole may be written again."""
    kept = {content for content in after.values() if isinstance(content, bytes)}
    return [
        name
        for name, content in before.items()
        if isinstance(content, bytes)
        and content not in kept
        and Path(name).name not in DERIVED
        and (Path(name).name != "metrics.jsonl" or name in damaged)
    ]


@pytest.mark.parametrize(
    ("case", "command"),
    [
        pytest.param(
            case, command, id=name if len(case.commands) == 1 else f"{name}-{command[0]}-{i}"
        )
        for name, case in runs.CASES.items()
        for i, command in enumerate(case.commands)
    ],
)
def test_run_folder(case, command, trained, workplace, monkeypatch, capsys):
    whole, chunk, played = trained
    reuse(monkeypatch, chunk, played)
    shutil.copytree(whole, "run")
    sound = tree(workplace)
    case.damage(workplace / "run")
    before = tree(workplace)
    answer = ask(command, capsys)
    after = tree(workplace)
    if case.works:
        assert answer.code == 0, f"refused: {answer.err[:300]!r}"
        assert not answer.err, f"words: on stderr there is {answer.err[:300]!r}"
        assert_words(answer.out, case.words)
        damaged = {name for name in before if before[name] != sound.get(name)}
        assert not (gone := lost(before, after, damaged)), f"lost: {gone}"
    else:
        assert_refused(answer, case.words)
        assert not (written := changes(before, after)), f"written: {written}"


def test_a_run_that_is_trained_by_another(trained, workplace, capsys):
    shutil.copytree(trained[0], "run")
    before = tree(workplace)
    with RunFolder.open("run").in_use():
        answer = ask(["train", "--resume", "run"], capsys)
    assert_refused(answer, "'run'.*another process")
    assert tree(workplace) == before
