"""Ways to damage the folder of a run: functions of its path."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]


def write(name: str, content: str | bytes) -> Damage:
    """Write a file."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda run: (run / name).write_bytes(data) and None


def remove(name: str) -> Damage:
    """Remove a file or folder."""

    def damage(run: Path) -> None:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()

    return damage


def folder(name: str) -> Damage:
    """Put an empty folder there."""

    def damage(run: Path) -> None:
        if (run / name).exists():
            remove(name)(run)
        (run / name).mkdir(parents=True)

    return damage


def link(name: str, target: str) -> Damage:
    """Put a symbolic link there."""

    def damage(run: Path) -> None:
        if (run / name).exists():
            remove(name)(run)
        (run / name).symlink_to(target)

    return damage


def file(name: str) -> Damage:
    """Put a file there."""

    def damage(run: Path) -> None:
        if (run / name).exists():
            remove(name)(run)
        (run / name).write_text("x")

    return damage


def replace(name: str, old: str, new: str) -> Damage:
    """Edit a text file by a regular expression that must match."""

    def damage(run: Path) -> None:
        text, count = re.subn(old, new, (run / name).read_text(), flags=re.MULTILINE)
        assert count, f"{old!r} is not in {name}"
        (run / name).write_text(text)

    return damage


def both(*damages: Damage) -> Damage:
    """Do one after the other."""
    return lambda run: [damage(run) for damage in damages] and None


def insert_row(number: int, content: str | bytes) -> Damage:
    """Put a line into metrics.jsonl."""

    def damage(run: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
        lines.insert(number, data + b"\n")
        (run / "metrics.jsonl").write_bytes(b"".join(lines))

    return damage


def _files(run: Path, update: int) -> list[Path]:
    found = [p for p in (run / "checkpoints" / str(update)).rglob("*") if p.is_file()]
    return sorted(found, key=lambda p: (-p.stat().st_size, str(p)))


def truncate(update: int) -> Damage:
    """Cut the largest file of a checkpoint in half."""

    def damage(run: Path) -> None:
        path = _files(run, update)[0]
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def flip(update: int) -> Damage:
    """Flip one bit in every file of a checkpoint."""

    def damage(run: Path) -> None:
        for path in _files(run, update):
            data = bytearray(path.read_bytes())
            if data:
                data[len(data) // 2] ^= 1
            path.write_bytes(data)

    return damage


def remove_some(update: int) -> Damage:
    """Remove every second file of a checkpoint, as half a copy would."""
    return lambda run: [path.unlink() for path in _files(run, update)[::2]] and None


def rows(change: Callable[[dict], Any]) -> Damage:
    """Change the third row of metrics.jsonl."""

    def damage(run: Path) -> None:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        lines[2] = json.dumps(change(json.loads(lines[2])))
        (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")

    return damage


def lose_page(run: Path) -> None:
    """Let zeros stand for the end of the second row, newline and all, as a lost page does."""
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    lines[1] = lines[1][:40] + "\0" * 60
    (run / "metrics.jsonl").write_text("".join(lines))


def cut_end(run: Path) -> None:
    """Cut the last row, as a full disk does."""
    (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes()[:-30])
