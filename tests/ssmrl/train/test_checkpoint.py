"""Checkpoints come back bit for bit, or say that they were damaged."""

import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from ssmrl.errors import UsageError
from ssmrl.train.checkpoint import Checkpoints


@struct.dataclass
class State:
    weights: dict
    keys: jax.Array
    flags: jax.Array
    nothing: tuple
    absent: None


def state(seed: int) -> State:
    key = jax.random.key(seed)
    return State(
        weights={
            "w": jax.random.normal(key, (200, 50)),
            "n": jnp.int8(seed),
            "0": jnp.zeros((0, 3)),
        },
        keys=jax.random.split(key, 3),
        flags=jnp.array([True, False]),
        nothing=(),
        absent=None,
    )


def like() -> State:
    return jax.eval_shape(lambda: state(0))


def assert_same(first: State, second: State) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert (jax.random.key_data(first.keys) == jax.random.key_data(second.keys)).all()
    for a, b in zip(jax.tree.leaves(first.weights), jax.tree.leaves(second.weights), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_newest_comes_back_and_old_ones_go(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    for update in (1, 2, 3):
        checkpoints.save(update, state(update))
    update, restored, warnings = Checkpoints(tmp_path).restore(like())
    assert (update, warnings) == (3, [])
    assert_same(restored, state(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "2.json", "3", "3.json"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_checkpoint_is_passed_over(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    for update in (1, 2):
        checkpoints.save(update, state(update))
    largest = max((tmp_path / "2").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        largest.unlink()
    else:
        largest.write_bytes(content if damage == "flip" else content[: len(content) // 2])

    update, restored, warnings = Checkpoints(tmp_path).restore(like())
    assert update == 1
    assert_same(restored, state(1))
    assert warnings == ["checkpoint 2 is damaged and was passed over"]

    for again in (7, 8):  # damaged ones may be many
        checkpoints = Checkpoints(tmp_path)
        checkpoints.set_aside_after(1)
        assert checkpoints.newest() == 1
        checkpoints.save(2, state(again))
        update, restored, warnings = Checkpoints(tmp_path).restore(like())
        assert (update, warnings) == (2, [])
        assert_same(restored, state(again))
    aside = {path.name for path in tmp_path.glob("damaged*")}
    assert aside == {"damaged-2", "damaged-2.json", "damaged-2-2", "damaged-2-2.json"}


def test_manifest_cut_off_is_damage(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for update in (1, 2):
        checkpoints.save(update, state(update))
    (tmp_path / "2.json").write_text('{"leaves":')
    update, _, warnings = Checkpoints(tmp_path).restore(like())
    assert (update, warnings) == (1, ["checkpoint 2 is damaged and was passed over"])


def test_state_of_another_config_is_not_called_damaged(tmp_path):
    Checkpoints(tmp_path).save(1, state(1))
    other = like().replace(flags=jax.ShapeDtypeStruct((3,), bool))
    sentence = (
        r"checkpoint 1 does not fit the run's config: .flags is bool\[2\] there, but bool\[3\]"
    )
    with pytest.raises(UsageError, match=sentence):
        Checkpoints(tmp_path).restore(other)


def test_killed_before_the_manifest_was_written(tmp_path):
    Checkpoints(tmp_path).save(1, state(1))
    (tmp_path / "1.json").unlink()
    assert_same(Checkpoints(tmp_path).restore(like())[1], state(1))


NO_MANIFEST = {
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
    "empty": b"",
    "binary": b"\xff\x00",
    "no parts": b"{}",
    "parts that are none": b'{"leaves": [], "files": 3}',
    "nested without end": b"[" * 100_000,
    "5,000 digits": b"9" * 5000,
}


@pytest.mark.parametrize("damage", [*NO_MANIFEST, "folder", "loop"])
def test_manifest_that_is_none_is_damage(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    for update in (1, 2):
        checkpoints.save(update, state(update))
    manifest = tmp_path / "2.json"
    manifest.unlink()
    if damage == "folder":
        manifest.mkdir()
    elif damage == "loop":
        manifest.symlink_to(manifest)
    else:
        manifest.write_bytes(NO_MANIFEST[damage])
    assert_falls_back(tmp_path, 2)


def assert_falls_back(folder, damaged: int) -> None:
    """Check that 1 comes back, and that the damaged one makes room for another."""
    checkpoints = Checkpoints(folder)
    update, restored, warnings = checkpoints.restore(like())
    assert (update, warnings) == (1, [f"checkpoint {damaged} is damaged and was passed over"])
    assert_same(restored, state(1))
    checkpoints.set_aside_after(1)
    checkpoints.save(damaged, state(7))
    assert_same(Checkpoints(folder).restore(like())[1], state(7))


@pytest.mark.parametrize("lost", ["all", "metadata", "arrays", "index", "a commit"])
def test_checkpoint_without_manifest_that_is_not_whole(tmp_path, capfd, lost):
    checkpoints = Checkpoints(tmp_path)
    for update in (1, 2):
        checkpoints.save(update, state(update))
    (tmp_path / "2.json").unlink()
    noted = tmp_path / "2" / "_CHECKPOINT_METADATA"
    if lost == "all":
        shutil.rmtree(tmp_path / "2")
        (tmp_path / "2").mkdir()
    elif lost == "a commit":
        noted.write_text(json.dumps({"commit_timestamp_nsecs": None}))
    else:
        parts = {"metadata": noted, "arrays": tmp_path / "2" / "default" / "d"}
        path = parts.get(lost, tmp_path / "2" / "default" / "manifest.ocdbt")
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert_falls_back(tmp_path, 2)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["file", "loop"])
def test_something_else_than_a_folder_of_checkpoints(tmp_path, kind):
    path = tmp_path / "checkpoints"
    path.write_text("") if kind == "file" else path.symlink_to(path)
    with pytest.raises(UsageError, match="checkpoints' is no folder of checkpoints"):
        Checkpoints(path)


def test_no_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1))
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 2**20))
    with pytest.raises(OSError, match="No space left on device"):
        checkpoints.save(2, state(2))
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_whole_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="there is no checkpoint in"):
        Checkpoints(tmp_path).restore(like())
    Checkpoints(tmp_path).save(1, state(1))
    for path in (tmp_path / "1").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"every checkpoint in .* is damaged"):
        Checkpoints(tmp_path).restore(like())


def test_checkpoint_of_another_device_comes_back(tmp_path):
    """Orbax notes the device that each array was on, here one that this machine lacks."""
    Checkpoints(tmp_path).save(1, state(1))
    noted = tmp_path / "1" / "default" / "_sharding"
    text, changes = re.subn(r"cpu:0|TFRT_CPU_0", "cuda:0", noted.read_text())
    assert changes
    noted.write_text(text)
    (tmp_path / "1.json").unlink()  # as if killed on the way: no checksum of what was changed
    _, restored, _ = Checkpoints(tmp_path).restore(like())
    assert_same(restored, state(1))


def test_other_files_among_checkpoints_are_left_alone(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    Checkpoints(tmp_path).save(1, state(1))
    assert (tmp_path / "notes.json").exists()
