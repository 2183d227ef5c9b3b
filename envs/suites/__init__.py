"""Environments of other JAX suites, brought to the contract: ``brax/ant``, ``dmc/CheetahRun``...

Their packages are optional, and take seconds to import: nothing here imports them before an
environment is made.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

from envs.suites import brax, craftax, dmc, navix, xland

SUITES: dict[str, tuple[Any, type]] = {
    brax.PREFIX: (brax, brax.Brax),
    craftax.PREFIX: (craftax, craftax.Craftax),
    dmc.PREFIX: (dmc, dmc.ControlSuite),
    navix.PREFIX: (navix, navix.Navix),
    xland.PREFIX: (xland, xland.XLand),
}


def factory(name: str) -> Callable[..., Any] | None:
    """Return what makes the environment ``name``; None where its prefix is not a suite's.

    Whether the suite has such an environment, and whether it is installed, shows in the call.
    """
    prefix, slash, env_id = name.partition("/")
    if prefix + slash not in SUITES:
        return None
    return functools.partial(SUITES[prefix + slash][1], env_id)


def prefix_of(env: Any) -> str | None:
    """Return ``"brax/"`` where ``env`` is of brax's own making, and so on; None for all others."""
    package = type(env).__module__.partition(".")[0]
    return next((p for p, (suite, _) in SUITES.items() if package == suite.PACKAGE), None)


def is_installed(package: str) -> bool:
    """Return whether there is such a package; nothing is imported."""
    return importlib.util.find_spec(package) is not None


def names() -> list[str]:
    """Return the names of the suites that are installed, sorted.

    They come from tables, as importing the packages takes up to half a minute; what is newer than
    a table can be made all the same. Names that could not be made are left out.
    """
    return sorted(
        f"{prefix}{env_id}"
        for prefix, (suite, _) in SUITES.items()
        if is_installed(suite.PACKAGE)
        for env_id in suite.IDS
    )
