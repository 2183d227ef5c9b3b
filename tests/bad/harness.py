"""How a bad input is tried: run the command in this process, and judge what it says and leaves."""

import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from agents.cli import main
from ssmrl.train import loop

SECONDS = 15  # that an answer may take on a busy machine; an idle one gives it in three
LONGEST = 1000  # characters of a sentence that a person still reads

# What tells a user how to go on: what to do, what is allowed, or what there is.
WAY_OUT = re.compile(
    r"did you mean|known are|must|has to|needs?\b|nearest|such as|start a new run|start anew|"
    r"ssmrl check|--resume|instead|at least|at most|another|allowed|expected|takes (?:no|its)|"
    r"(?:^|[;,:(] |\bor |\band |\bso )(?:use|give|name|raise|lower|choose|take|make|move|remove|"
    r"delete|rename|restore|repair|install|wrap|drop|put|return|write|draw|keep|set|stop|copy|"
    r"call|pass|train|try|it has none|it holds no|there is no|invalid choice|the following)\b|"
    # The words of the operating system say of a path what another one must be.
    r"No such file|[Nn]ot a directory|[Ii]s a directory|Permission denied|Read-only file system|"
    r"Too many levels of symbolic links|File name too long|required: |unrecognized arguments"
)


class Accepted(BaseException):
    """Raised where compiling would begin: nothing was found. No ``except Exception`` sees it."""


class Hang(BaseException):
    """Raised where no answer came in time."""


@dataclass(frozen=True)
class Case:
    """A command, the files it finds in its folder, and what its answer has to name."""

    command: Sequence[str]
    words: str  # a regular expression: the thing and its value
    files: Mapping[str, str | bytes | None] = field(default_factory=dict)  # None is a folder
    may_work: bool = False  # nothing is wrong if it works instead


@dataclass(frozen=True)
class Answer:
    """What a command ended with; ``code`` is None where it got as far as compiling."""

    code: int | None
    out: str
    err: str


def ask(command: Sequence[str], capsys: Any) -> Answer:
    """Run ``ssmrl`` with these arguments; fail the test at a traceback or after ``SECONDS``."""
    capsys.readouterr()
    try:
        with _time_limit():
            code: int | None = main(list(command))
    except Accepted:
        code = None
    except Hang:
        pytest.fail(f"hang: no answer within {SECONDS} s")
    except SystemExit as end:  # argparse's, or one of a user's module that nobody caught
        code = end.code if isinstance(end.code, int) else -1
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        pytest.fail(f"traceback: {type(error).__name__}: {str(error)[:300]}")
    return Answer(code, *capsys.readouterr())


def assert_refused(answer: Answer, words: str) -> None:
    """Check that the answer is no success but one sentence with ``words`` and a way out."""
    assert answer.code not in (None, 0), f"accepted: exit code {answer.code}; {answer.out[-300:]}"
    lines = answer.err.splitlines()
    faults = [line for line in answer.out.splitlines() if line.startswith("  FAULT")]
    if answer.code == 1 and faults:  # `check` prints a line for each
        assert not lines, f"words: beside the faults there is {answer.err!r}"
        message = "\n".join(faults)
    else:
        assert answer.code in (1, 2), f"traceback: exit code {answer.code} with {answer.err!r}"
        assert lines, "words: no message"
        if lines[0].startswith("usage: "):  # argparse's
            lines = lines[-1:]
        message = lines[-1]
        assert len(lines) == 1, f"words: more than one line: {answer.err[:300]!r}"
        assert message.startswith("ssmrl"), f"words: not a sentence of ours: {message[:300]}"
    assert_words(message, words)
    assert WAY_OUT.search(message), f"way out: there is none in {message!r}"


def assert_words(message: str, words: str) -> None:
    """Check that a message is short enough and matches the regular expression."""
    assert len(message) <= LONGEST, f"long: {len(message)} characters: {message[:200]!r}"
    assert re.search(words, message), f"culprit: no {words!r} in {message!r}"


def tree(folder: Path) -> dict[str, Any]:
    """Return every path below ``folder`` with its bytes, its target if it is a link, or None."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = path.readlink()
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def plant(folder: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write the files; a text that starts with "-> " is the target of a symbolic link."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_text(content)


def stop_before_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training end in ``Accepted`` where it would compile; what it traces is still traced.

    The initial state is then one of shapes, so that nothing large is allocated either.
    """
    init = loop.init_seeds
    monkeypatch.setattr(loop, "init_seeds", lambda *args: jax.eval_shape(lambda: init(*args)))
    monkeypatch.setattr(loop, "compile_chunk", _trace_chunk)


def _trace_chunk(agent: Any, state: Any, num_seeds: int, *_: Any) -> Callable:
    jax.eval_shape(loop.make_chunk(agent, num_seeds), state, jnp.int32(1))
    raise Accepted


@contextmanager
def _time_limit() -> Iterator[None]:
    def end(*_: Any) -> None:
        raise Hang

    old = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
