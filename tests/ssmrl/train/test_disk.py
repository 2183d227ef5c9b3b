"""A full disk is told in one sentence, whoever met it, and nothing else is."""

import errno

import pytest

from ssmrl.errors import TrainingError, UsageError
from ssmrl.train.disk import full_disk, room_on_disk


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


FULL = OSError(errno.ENOSPC, "No space left on device")
MET = {
    "number": FULL,
    "quota": OSError(errno.EDQUOT, "?"),
    "limit of a file": OSError(errno.EFBIG, "?", "metrics.jsonl"),
    "tensorstore's words": ValueError("RESOURCE_EXHAUSTED: Failed: No space left on device [28]"),
    "cause": raised(RuntimeError("orbax"), FULL),
    "group": ExceptionGroup("threads", [ValueError("other"), raised(ValueError("x"), FULL)]),
}


@pytest.mark.parametrize("name", MET)
def test_told_in_one_sentence(name):
    with pytest.raises(TrainingError, match=r"cannot write in 'runs/a': .*; make space") as error:
        with room_on_disk("runs/a", "make space"):
            raise MET[name]
    assert error.value.__cause__ is MET[name]


def test_other_errors_pass():
    for other in (ValueError("shapes"), UsageError("no"), OSError(errno.EACCES, "Permission")):
        assert full_disk(other) is None
        with pytest.raises(type(other)):
            with room_on_disk("runs/a", "make space"):
                raise other


def test_errors_that_cause_each_other_have_an_end():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert full_disk(first) is None
