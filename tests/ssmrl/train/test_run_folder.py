"""The run folder never overwrites, and mends what a killed process left half done."""

import pytest

from ssmrl.errors import UsageError
from ssmrl.train.run_folder import RunFolder


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
        folder.append_row({"update": update})
    with folder.metrics_path.open("a") as file:
        file.write('{"update": 4, "los')
    assert [row["update"] for row in folder.read_rows()] == [1, 2, 3]
    assert [row["update"] for row in folder.drop_rows_after(2)] == [1, 2]
    assert folder.metrics_path.read_text() == '{"update": 1}\n{"update": 2}\n'


def test_only_one_process_trains_in_a_folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    with folder.in_use():
        with pytest.raises(UsageError, match="run' is being trained by another process"):
            with RunFolder.open(folder.path).in_use():
                raise AssertionError
    with folder.in_use():
        pass
