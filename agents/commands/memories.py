"""What the command about memories does."""

from collections.abc import Iterator, Mapping
from typing import Any

from agents.commands.findings import report
from agents.experiment import memory_config
from ssmrl import memory
from ssmrl.foreign import Finding, foreign, is_foreign
from ssmrl.memory.examine import examine_memory
from ssmrl.train.config import from_mapping

SMALL = {
    "features": 8,
    "num_layers": 2,
    "state_size": 8,
    "context": 6,
}  # for the library's own, to be quick


def check(name: str, values: Mapping[str, Any]) -> int:
    """Print what ``examine_memory`` finds, subject by subject; 0 where there is no fault.

    The library's memories take small sizes for those that ``values`` does not give. Raises
    ``UsageError`` where name or options do not fit.
    """
    with foreign(f"memory {name!r}"):
        known = memory.options(name)
    small = {} if is_foreign(name) else {k: v for k, v in SMALL.items() if k in known}
    given = vars(from_mapping(memory_config(name), {**small, **values, "name": name}))
    changed = {k: v for k, v in given.items() if k in known and v != known[k].default}

    def examine(made: Any) -> Iterator[Finding]:
        if changed:
            yield Finding("options", remark=", ".join(f"{k}={v}" for k, v in changed.items()))
        yield from examine_memory(made)

    return report(name, lambda: memory.make(**given), examine)
