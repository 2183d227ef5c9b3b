"""How a bad input is tried: run the command in this process, and judge what it says and leaves."""

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import pytest

from agents.cli import main
from agents.commands import evaluate, train
from agents.run import first_state
from ssmrl.train.chunk import Chunk

SECONDS = 15  # that an answer may take on a busy machine; an idle one gives it in three
LONGEST = 1000  # characters of a sentence that a person still reads

VERBS = (
    "call|check|choose|clip|copy|delete|draw|drop|give|install|keep|lower|make|move|name|pass|put|"
    "raise|remove|rename|repair|restore|return|set|stop|take|train|try|use|widen|wrap|write"
)
# What tells a user how to go on.
WAY_OUT = re.compile(
    # What to do, what is allowed, or what there is.
    rf"(?:^|[;,:(] |\bor |\band |\bso )(?:{VERBS})\b|"
    r"did you mean|known are|must|has to|needs?\b|nearest|such as|start a new run|start anew|"
    r"start one run|ssmrl check|--resume|instead|at least|at most|another|allowed|expected|"
    r"supported formats|it has none|there is no|takes (?:no|its)|"
    # What is wrong with a path or a text, in words that say what another one must be.
    r"No such file|[Nn]ot a directory|[Ii]s a directory|Permission denied|Read-only file system|"
    r"Too many levels of symbolic links|File name too long|line \d+|not text|is no file|"
    r"too deeply|more than [\d,]+ values|holds no|"
    # What is, where it is known what must be: by the contract, or by Python's signatures.
    r"but the observation space (?:says|has)|has no '|says what|not a class|is not finite|"
    r"which is none|cannot be imported|differ by up to|still depends|though step|\byet\b|"
    r"takes \d+ positional arguments? but|missing \d+ required positional|"
    # The words of argparse.
    r"are required|unrecognized arguments|invalid int value|invalid choice|is written as"
)
OWN_LINE = re.compile(r"(?:bad/\w+|theirs)\.py:\d+")  # what `check` shows is the line to mend


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
    code: int | None = None
    late = False
    try:
        with _time_limit():
            code = main(list(command))
    except Accepted:
        pass
    except Hang:
        late = True  # told below: pytest cannot print where some of these come from
    except SystemExit as end:  # argparse's, or one of a user's module that nobody caught
        code = end.code if isinstance(end.code, int) else -1
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        pytest.fail(f"traceback: {type(error).__name__}: {first_line(error)}")
    if late:
        pytest.fail(f"hang: no answer within {SECONDS} s", pytrace=False)
    return Answer(code, *capsys.readouterr())


def first_line(error: BaseException) -> str:
    """Return how an error's words begin, if it has any."""
    try:
        return str(error)[:300]
    except Exception:
        return "(without words)"


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
    assert_words(message, words, within=answer.out if faults else message)
    told = WAY_OUT.search(message) or (faults and OWN_LINE.search(message))
    assert told, f"way out: there is none in {message!r}"


def assert_words(message: str, words: str, within: str | None = None) -> None:
    """Check that a message is short enough, and that it (or ``within``) matches ``words``."""
    assert len(message) <= LONGEST, f"long: {len(message)} characters: {message[:200]!r}"
    assert re.search(words, within or message), f"culprit: no {words!r} in {message!r}"


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


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return in words what is not the same in two trees; "" if nothing."""
    names = sorted({*before, *after})
    return ", ".join(n for n in names if before.get(n, Accepted) != after.get(n, Accepted))


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

    def trace(chunk: Chunk, state: Any) -> None:
        chunk.lower(state)
        raise Accepted

    shapes = lambda *args: jax.eval_shape(lambda: first_state(*args))  # noqa: E731
    monkeypatch.setattr(train, "first_state", shapes)
    monkeypatch.setattr(Chunk, "compile", trace)


def reuse(monkeypatch: pytest.MonkeyPatch, chunk: Chunk, played: list) -> None:
    """Let training go on with a chunk that is compiled, and evaluations tell what was played.

    More episodes than a computer can hold end in ``Accepted``.
    """

    def play(agent: Any, state: Any, trained: Any, episodes: int, *_: int) -> Iterator:
        if episodes > 10**6:
            raise Accepted
        return iter(played)

    monkeypatch.setattr(train, "Chunk", lambda *_: chunk)
    monkeypatch.setattr(evaluate, "play_episodes", play)


@contextmanager
def _time_limit() -> Iterator[None]:
    def end(*_: Any) -> None:
        raise Hang

    old = signal.signal(signal.SIGALRM, end)
    # Again and again, since what is raised inside a callback of C++ code is dropped there.
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 3)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
