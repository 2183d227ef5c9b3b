"""What the commands about environments do."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


def check(name: str, settings: Mapping[str, Any]) -> int:
    """Print what ``try_environment`` finds, subject by subject; 0 where there is no fault."""
    import envs
    from envs.trial import try_environment

    env, params = envs.make(name, **settings)
    console.print(name)
    faults = 0
    for finding in try_environment(env, params):
        faults += finding.fault is not None
        mark = "FAULT" if finding.fault else "note " if finding.remark else "ok   "
        words = finding.fault or finding.remark
        console.print(f"  {mark}  {finding.subject}" + (f": {words}" if words else ""))
    console.print("fit for training" if not faults else f"{faults} to be mended")
    return 1 if faults else 0
