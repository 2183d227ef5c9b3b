"""Writing files whole, one process at a time, and a full disk told in one sentence."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssmrl.errors import TrainingError

_FULL = {number: os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)}


@contextmanager
def room_on_disk(folder: str | Path, way_out: str) -> Iterator[None]:
    """Turn what a full disk raises inside into a ``TrainingError`` with ``way_out``.

    Orbax and TensorBoard write in several layers and threads, whose errors tell of the disk in
    their number, their words, or those of their cause.
    """
    try:
        yield
    except Exception as error:
        problem = full_disk(error)
        if problem is None:
            raise
        raise TrainingError(f"cannot write in {str(folder)!r}: {problem}; {way_out}") from error


def check_room(folder: Path, size: int) -> None:
    """Raise what writing would, an ``OSError``, where ``folder`` has no room for ``size`` bytes."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, _FULL[errno.ENOSPC], str(folder))


def write_whole(target: Path, text: str) -> None:
    """Write a file atomically: whoever reads it sees it whole, or as it was before."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    if target.is_dir():  # which the error of replacing it would not name
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    try:
        unfinished.write_text(text)
        unfinished.replace(target)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a file or folder; yield whether it is held, and not another process's.

    With ``wait`` it is, in the end. Where the file system has no locks, nothing is kept.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    opened = os.open(path, flags, 0o644)
    try:
        yield _lock(opened, wait)
    finally:
        os.close(opened)


def _lock(opened: int, wait: bool) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def full_disk(error: BaseException | None, depth: int = 20) -> str | None:
    """Return the system's words for a full disk where they stand behind ``error``, else None."""
    if error is None or depth == 0:
        return None
    if isinstance(error, OSError) and error.errno in _FULL:
        return _FULL[error.errno]
    found = [words for words in _FULL.values() if words in str(error)]
    inner = [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
    found += [words for e in inner if (words := full_disk(e, depth - 1)) is not None]
    return found[0] if found else None
