"""What a run leaves on disk: its config, metrics, events, checkpoints and picture."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ssmrl.errors import UsageError
from ssmrl.train.disk import locked, write_whole
from ssmrl.train.rows import Row, parse_lines, parse_rows


class RunFolder:
    """One run's folder; nothing in it is ever overwritten by another run."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"  # which people edit
        self.trained_config_path = self.path / "config.trained.yaml"  # by which it was trained
        self.metrics_path = self.path / "metrics.jsonl"
        self.starts_path = self.path / "starts.jsonl"
        self.checkpoints = self.path / "checkpoints"

    @staticmethod
    def check_new(path: str | Path) -> None:
        """Raise ``UsageError`` where there is something already, or no folder can be made."""
        if not str(path) or "\0" in str(path):
            raise UsageError(f"run_dir must be the path of a folder, not {str(path)!r}")
        if (Path(path) / "config.yaml").exists():
            raise UsageError(
                f"run folder {str(path)!r} exists already; continue it with --resume {path}, "
                "or choose another --run-dir"
            )
        if os.path.lexists(path):
            raise UsageError(f"{str(path)!r} exists already and is no run; take another --run-dir")
        above = Path(path).absolute().parent
        while not os.path.lexists(above):
            above = above.parent
        try:
            os.rmdir(tempfile.mkdtemp(prefix=f".{Path(path).name}.", dir=above))
        except OSError as error:
            raise _cannot_make(path, error) from None

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> "RunFolder":
        """Make the folder with its config, in one atomic step.

        Raises ``UsageError`` where it exists already or cannot be made.
        """
        cls.check_new(path)
        folder = cls(path)
        unfinished = None
        try:
            folder.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = tempfile.mkdtemp(prefix=f".{folder.path.name}.", dir=folder.path.parent)
            cls(unfinished).write_config(config)
            os.chmod(unfinished, 0o755)
            os.rename(unfinished, folder.path)
        except OSError as error:
            if unfinished is not None:
                shutil.rmtree(unfinished, ignore_errors=True)
            raise _cannot_make(path, error) from None
        return folder

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Return an existing run; raise ``UsageError`` where there is none."""
        folder = cls(path)
        if not str(path) or not folder.config_path.is_file():
            raise UsageError(f"{str(path)!r} is no run folder: it holds no config.yaml")
        return folder

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other processes from training in this folder.

        Raises ``UsageError`` where one does already. Where the file system has no locks, nothing
        is kept.
        """
        with locked(self.path) as held:
            if not held:
                raise UsageError(
                    f"run {str(self.path)!r} is being trained by another process; stop that one "
                    "first"
                )
            yield

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the config by which the run is trained from now on, and the one to edit."""
        text = yaml.safe_dump(dict(config), sort_keys=False)
        for path in (self.trained_config_path, self.config_path):
            self.write(path.name, text)

    def read_rows(self) -> list[Row]:
        """Return the rows of metrics.jsonl, less what is none."""
        return self._read_rows()[0]

    def damage_of_rows(self) -> str | None:
        """Return a warning where metrics.jsonl holds lines that are no rows."""
        rows, others = self._read_rows()
        if not others:
            return None
        path = str(self.metrics_path)
        return f"{others} of {len(rows) + others} lines in {path!r} are no rows and are left out"

    def _read_rows(self) -> tuple[list[Row], int]:
        if not os.path.lexists(self.metrics_path):
            return [], 0
        return parse_rows(self.metrics_path.read_bytes())

    def append_start(self, facts: Mapping[str, Any]) -> None:
        """Add a line to starts.jsonl: where a start or resume runs, and what compiling took."""
        with self.starts_path.open("a") as file:
            file.write(json.dumps(facts) + "\n")

    def read_starts(self) -> list[dict[str, Any]]:
        """Return the facts of every start and resume, less what is none; of older code, nothing."""
        if not self.starts_path.is_file():
            return []
        return parse_lines(self.starts_path.read_bytes())[0]

    def append_row(self, row: Mapping[str, Any]) -> None:
        """Add a row to metrics.jsonl."""
        with self.metrics_path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def drop_rows_after(self, update: int) -> list[Row]:
        """Forget the rows that are to be written again, and return the others.

        A file with lines that are no rows is kept beside, as metrics.damaged.jsonl.
        """
        rows, others = self._read_rows()
        if others:
            shutil.copy2(self.metrics_path, unused(self.path / "metrics.damaged.jsonl"))
        rows = [row for row in rows if row["update"] <= update]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        return rows

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder atomically."""
        write_whole(self.path / name, text)


def unused(path: Path) -> Path:
    """Return the path, or one beside it, where nothing is yet."""
    found, number = path, 1
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def _cannot_make(path: str | Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot make run folder {str(path)!r}: {error.strerror}; take another --run-dir"
    )
