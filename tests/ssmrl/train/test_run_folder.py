"""The run folder never overwrites, and mends what a killed process left half done."""

import errno
import json

import pytest

from ssmrl.errors import UsageError
from ssmrl.train.run_folder import RunFolder


def row(update: int) -> dict:
    return {"update": update, "env_steps": 10 * update, "seconds": 0.5, "episode_return_mean": None}


def test_create_is_refused_where_something_is(tmp_path):
    path = tmp_path / "a" / "run"
    folder = RunFolder.create(path, {"seed": 3})
    assert (path / "config.yaml").read_text() == "seed: 3\n"
    assert list(path.parent.iterdir()) == [path]  # nothing unfinished is left
    assert RunFolder.open(path).path == folder.path
    with pytest.raises(UsageError, match="exists already; continue it with --resume"):
        RunFolder.create(path, {})
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="other' exists already and is no run"):
        RunFolder.create(tmp_path / "other", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make run folder"):
        RunFolder.create(tmp_path / "file" / "run", {})


def test_row_that_was_cut_off_is_forgotten(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    assert folder.read_rows() == []
    for update in (1, 2, 3):
        folder.append_row(row(update))
    whole = folder.metrics_path.read_text()
    with folder.metrics_path.open("a") as file:
        file.write('{"update": 4, "los')
    assert [row["update"] for row in folder.read_rows()] == [1, 2, 3]
    assert folder.damage_of_rows() is None
    assert [row["update"] for row in folder.drop_rows_after(2)] == [1, 2]
    assert folder.metrics_path.read_text() == "".join(whole.splitlines(True)[:2])
    assert not list(folder.path.glob("metrics.damaged*"))


NO_ROWS = {
    "binary": b"\xff\xfe\x00",
    "a number": b"3",
    "null": b"null",
    "a list": b"[1]",
    "empty": b"",
    "keys missing": b'{"update": 3}',
    "cut": b'{"update": 3, "env_st',
    "5,000 digits": b"9" * 5000,
    "nested without end": b"[" * 100_000,
    "text for a number": json.dumps({**row(3), "update": "3"}).encode(),
    "beyond all integers": json.dumps({**row(3), "env_steps": 10**30}).encode(),
    "NaN": json.dumps({**row(3), "seconds": float("nan")}).encode(),
    "other seeds": json.dumps({**row(3), "episode_return_mean": [1.0, 2.0]}).encode(),
}


@pytest.mark.parametrize("damage", NO_ROWS)
def test_lines_that_are_no_rows_are_left_out_and_kept_beside(tmp_path, damage):
    folder = RunFolder.create(tmp_path / "run", {})
    folder.append_row(row(1))
    with folder.metrics_path.open("ab") as file:
        file.write(NO_ROWS[damage] + b"\n")
    folder.append_row(row(2))
    damaged = folder.metrics_path.read_bytes()
    assert folder.read_rows() == [row(1), row(2)]
    assert "1 of 3 lines in" in folder.damage_of_rows()
    assert "metrics.jsonl' are no rows and are left out" in folder.damage_of_rows()
    for _ in range(2):
        folder.metrics_path.write_bytes(damaged)
        assert folder.drop_rows_after(5) == [row(1), row(2)]
        assert folder.damage_of_rows() is None
    for name in ("metrics.damaged.jsonl", "metrics.damaged-2.jsonl"):
        assert (folder.path / name).read_bytes() == damaged


def test_a_full_disk_leaves_no_half_a_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "write", full)
    with pytest.raises(UsageError, match=r"cannot make run folder .*: No space left on device"):
        RunFolder.create(tmp_path / "run", {})
    assert not list(tmp_path.iterdir())


def test_a_folder_where_a_file_belongs_is_named(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    (folder.path / "evaluation.json").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        folder.write("evaluation.json", "{}")
    assert error.value.filename == str(folder.path / "evaluation.json")


def test_only_one_process_trains_in_a_folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    with folder.in_use():
        with pytest.raises(UsageError, match="run' is being trained by another process"):
            with RunFolder.open(folder.path).in_use():
                raise AssertionError
    with folder.in_use():
        pass
