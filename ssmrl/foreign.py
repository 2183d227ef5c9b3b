"""The boundary to code that is not ours: somebody's environments, memories and modules."""

import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax

from ssmrl.errors import TrainingError, UsageError

_ROOT = Path(__file__).resolve().parent.parent
_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
_NOT_THE_USERS = (
    *(str(_ROOT / package) + os.sep for package in ("ssmrl", "envs", "agents")),
    *_INSTALLED,
    *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")),
    "<",  # frozen modules and generated code
)
_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (
        jax.errors.ConcretizationTypeError,
        "Python's if, while, int() and float() cannot look at traced values: use jnp.where",
    ),
    (
        jax.errors.TracerArrayConversionError,
        "NumPy cannot look at traced values: use jax.numpy",
    ),
    (
        jax.errors.UnexpectedTracerError,
        "nothing that is computed while tracing may be kept outside the state",
    ),
)


LONGEST = 400  # characters of somebody else's words that are shown


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what is wrong with it, in one sentence; None if nothing."""

    subject: str
    fault: str | None = None
    remark: str | None = None  # what is no fault, but good to know


class Remark(str):
    """Words about what is no fault, where a fault is a plain string."""


def finding(subject: str, words: str | None) -> Finding:
    """Return what ``words`` say of a subject: a fault, a :class:`Remark`, or None for nothing."""
    is_remark = isinstance(words, Remark)
    return Finding(subject, remark=words) if is_remark else Finding(subject, fault=words)


@contextmanager
def foreign(thing: str, way_out: str = "", *, ours_too: bool = False) -> Iterator[None]:
    """Turn what somebody else's code raises inside into one sentence, a ``UsageError``.

    It names ``thing``, what was raised, the line of the user's own file, and ``way_out``; what
    was raised stays its ``__cause__``. Our own errors pass as they are; with ``ours_too``, those
    that name no ``thing`` of its kind get it in front.
    """
    try:
        yield
    except UsageError as error:
        if not ours_too or thing.partition(" ")[0] in str(error):
            raise
        raise UsageError(f"{thing}: {error}") from error.__cause__
    except TrainingError:
        raise
    except (Exception, SystemExit) as error:  # a module may call sys.exit when imported
        way_out = f"; {way_out}" if way_out else ""
        raise UsageError(f"{thing}: {own_words(error)}{way_out}") from error


def is_foreign(name: str) -> bool:
    """Return whether a registry's name is the path of somebody's own code."""
    return ":" in name


def own_words(error: BaseException) -> str:
    """Return the error's first sentence and the line of the user's code that it came from.

    Where no line is the user's it is that of the package which raised it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    users = [f for f in frames if not f.filename.startswith(_NOT_THE_USERS)]
    others = [f for f in frames if f.filename.startswith(_INSTALLED) and "/jax/" not in f.filename]
    frame = next(reversed(users or others), None)
    text, *more = str(error).strip().splitlines() or [""]
    text += f" {more[0].strip()}" if more and text.endswith(":") else ""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    words = f": {text}" if text else f" in {frame.name}" if frame else ""
    where = f" ({frame.filename}:{frame.lineno})" if frame else ""
    hint = next((f"; {hint}" for kind, hint in _HINTS if isinstance(error, kind)), "")
    return f"{type(error).__name__}{words}{where}{hint}"
