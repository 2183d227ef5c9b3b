"""How the commands that check something print what was found."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from rich.console import Console

from ssmrl.errors import UsageError
from ssmrl.foreign import Finding, own_words

T = TypeVar("T")
console = Console(highlight=False, soft_wrap=True, markup=False)


def report(name: str, make: Callable[[], T], examine: Callable[[T], Iterator[Finding]]) -> int:
    """Print what ``examine`` finds in what ``make`` returns; 0 where there is no fault, else 1."""
    console.print(name)
    faults = 0
    for finding in _findings(make, examine):
        faults += finding.fault is not None
        mark = "FAULT" if finding.fault else "note " if finding.remark else "ok   "
        words = finding.fault or finding.remark
        console.print(f"  {mark}  {finding.subject}" + (f": {words}" if words else ""))
    console.print("fit for training" if not faults else f"{faults} to be mended")
    return 1 if faults else 0


def _findings(
    make: Callable[[], T], examine: Callable[[T], Iterator[Finding]]
) -> Iterator[Finding]:
    try:
        made = make()
    except UsageError as error:
        if error.__cause__ is None:
            raise
        yield Finding("contract", fault=str(error))
        return
    except Exception as error:  # of code that is not ours, which making runs and may trace
        yield Finding("contract", fault=own_words(error))
        return
    yield from examine(made)
