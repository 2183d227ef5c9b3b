"""What a run leaves on disk: its config, metrics, events, checkpoints and picture."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ssmrl.errors import UsageError


class RunFolder:
    """One run's folder; nothing in it is ever overwritten by another run."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"

    @staticmethod
    def check_new(path: str | Path) -> None:
        """Raise ``UsageError`` where there is something already."""
        if (Path(path) / "config.yaml").exists():
            raise UsageError(
                f"run folder {str(path)!r} exists already; continue it with --resume {path}, "
                "or choose another --run-dir"
            )
        if Path(path).exists():
            raise UsageError(f"{str(path)!r} exists already and is no run; take another --run-dir")

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> "RunFolder":
        """Make the folder with its config.yaml, in one atomic step.

        Raises ``UsageError`` where it exists already or cannot be made.
        """
        cls.check_new(path)
        folder = cls(path)
        try:
            folder.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = tempfile.mkdtemp(prefix=f".{folder.path.name}.", dir=folder.path.parent)
        except OSError as error:
            raise UsageError(f"cannot make run folder {str(path)!r}: {error.strerror}") from None
        cls(unfinished).write_config(config)
        os.chmod(unfinished, 0o755)
        os.rename(unfinished, folder.path)
        return folder

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Return an existing run; raise ``UsageError`` where there is none."""
        folder = cls(path)
        if not (folder.path / "config.yaml").is_file():
            raise UsageError(f"{str(path)!r} is no run folder: it holds no config.yaml")
        return folder

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other processes from training in this folder.

        Raises ``UsageError`` where one does already. Where the file system has no locks, nothing
        is kept.
        """
        folder = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(folder)
            yield
        finally:
            os.close(folder)

    def _lock(self, folder: int) -> None:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"run {str(self.path)!r} is being trained by another process; stop that one first"
            ) from None
        except OSError:  # a file system without locks
            pass

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.yaml."""
        self.write("config.yaml", yaml.safe_dump(dict(config), sort_keys=False))

    def read_rows(self) -> list[dict[str, Any]]:
        """Return the rows of metrics.jsonl, less a last one that was cut off while written."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text().split("\n")
        try:
            return [json.loads(line) for line in lines[:-1]]  # a whole line ends in a newline
        except json.JSONDecodeError as error:
            path = str(self.metrics_path)
            raise UsageError(f"{path!r} holds a line that is no row ({error}); remove it") from None

    def append_row(self, row: Mapping[str, Any]) -> None:
        """Add a row to metrics.jsonl."""
        with self.metrics_path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def drop_rows_after(self, update: int) -> list[dict[str, Any]]:
        """Forget the rows that are to be written again, and return the others."""
        rows = [row for row in self.read_rows() if row["update"] <= update]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        return rows

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder atomically."""
        unfinished = self.path / f".{name}.unfinished"
        unfinished.write_text(text)
        unfinished.replace(self.path / name)
