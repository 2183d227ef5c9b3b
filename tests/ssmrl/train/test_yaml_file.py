"""One sentence, naming the file, for what YAML can hold and a config cannot."""

import os

import pytest

from ssmrl.errors import UsageError
from ssmrl.train.yaml_file import parse_yaml, read_yaml

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
REFUSED = {
    "key twice": ("a: 1\nb: 2\na: 3\n", "key 'a' is given twice in line 3"),
    "key twice, inside": ("a:\n  b: 1\n  b: 1\n", "key 'b' is given twice in line 3"),
    "key with dash and underscore": ("a-b: 1\na_b: 2\n", "key 'a_b' is given twice"),
    "laughs": (LAUGHS, "it holds more than 10,000 values"),
    "itself": ("a: &a\n  b: *a\n", "it holds more than 10,000 values"),
    "nested lists": ("a: " + "[" * 5000 + "]" * 5000, "it nests too deeply"),
    "nested mappings": ("a: " + "{b: " * 3000 + "1" + "}" * 3000, "it nests too deeply"),
    "object": ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    "own tag": ("a: !mine 3", "could not determine a constructor for the tag '!mine'"),
    "tag that does not fit": ("a: !!bool maybe", "is not valid YAML"),
    "empty tag": ("a: !!int ''", "is not valid YAML"),
    "control character": ("a: 1\0", "unacceptable character"),
    "two documents": ("a: 1\n---\na: 2\n", "expected a single document"),
    "list for a key": ("? [a]\n: 1\n", "unhashable key"),
    "open bracket": ("a: [1", "is not valid YAML"),
    "list": ("- 1\n", "must hold a mapping of options"),
    "number": ("3\n", "must hold a mapping of options"),
    "nothing": ("", "must hold a mapping of options"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    text, words = REFUSED[name]
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"config file {str(path)!r} ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "missing", "binary"])
def test_no_text_file(tmp_path, kind):
    path = tmp_path / "own.yaml"
    makers = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path),
        "missing": lambda: None,
        "binary": lambda: path.write_bytes(b"\xff\x00"),
    }
    makers[kind]()
    with pytest.raises(UsageError, match=r"config file .*own.yaml'"):
        read_yaml(path)


def test_dates_and_numbers_beyond_reading_stay_text():
    """Whoever asks for a number then names the key."""
    digits = "9" * 5000
    read = parse_yaml(f"a: 2026-01-01\nb: !!timestamp 2026-99-99\nc: {digits}\nd: 0x10\ne: 1_000")
    assert read == {"a": "2026-01-01", "b": "2026-99-99", "c": digits, "d": 16, "e": 1000}


def test_anchors_and_merges_are_followed():
    read = parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n")
    assert read == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}
