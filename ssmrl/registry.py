"""Named factories that users can extend, and helpful words where a name is unknown."""

import difflib
import importlib
import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Generic, TypeVar

from ssmrl.errors import UsageError, shown
from ssmrl.foreign import foreign

T = TypeVar("T")
OWN_PACKAGES = ("agents", "envs", "ssmrl")  # which a folder of the user's cannot be


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'a' or 'b'?", or the known names where none comes near.

    Names such as popgym/RepeatFirstEasy and ppo.num_envs are compared by their last part, as they
    are often typed without the first; the whole name only decides between equals.
    """
    known = sorted(known)
    likeness = {k: _likeness(_tail(name), _tail(k)) + 0.1 * _likeness(name, k) for k in known}
    best = sorted((k for k in known if likeness[k] >= 0.6), key=lambda k: -likeness[k])
    near = [k for k in best[:3] if likeness[k] > likeness[best[0]] - 0.1]
    if near:
        return "; did you mean " + " or ".join(map(repr, near)) + "?"
    return "; known are " + ", ".join(known[:20]) + ("..." if len(known) > 20 else "")


def _tail(name: str) -> str:
    return name.replace("/", ".").rsplit(".", 1)[-1]


def _likeness(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first.casefold(), second.casefold()).ratio()


def import_module(name: str) -> ModuleType:
    """Import a module of the project's or of the folder that the user stands in."""
    if os.getcwd() not in sys.path:  # an installed command does not look in its own folder
        sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


class Registry(Generic[T]):
    """A table from names to factories; wherever a name goes, ``module:attribute`` goes too."""

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> None:
        """Add an entry; raise ``UsageError`` where the name is taken or looks like a path."""
        if ":" in name:
            raise UsageError(f"a {self.kind} name cannot hold ':' (an import path does): {name!r}")
        if name in self._entries:
            raise UsageError(f"{self.kind} {name!r} is already registered; choose another name")
        self._entries[name] = entry

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """Return the entry called ``name``, or what the import path ``module:attribute`` names."""
        if ":" in name:
            return self._import(name)
        if name not in self._entries:
            raise UsageError(
                f"unknown {self.kind} {shown(name)}{did_you_mean(name, self._entries)}"
            )
        return self._entries[name]

    def _import(self, path: str) -> T:
        module_name, _, attribute = path.partition(":")
        if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
            raise UsageError(f"{self.kind} {path!r} is no import path such as my_module:MyClass")
        with foreign(f"{self.kind} {path!r}: {module_name!r} cannot be imported"):
            try:
                module = import_module(module_name)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                    raise  # the module is there, but something that it imports is not
                raise UsageError(
                    f"{self.kind} {path!r}: there is no module {module_name!r} in {os.getcwd()} or "
                    f"on Python's path{_taken(module_name)}"
                ) from None
        if not hasattr(module, attribute):
            raise UsageError(
                f"{self.kind} {path!r}: module {module_name!r} has no {attribute!r}"
                f"{_taken(module_name)}"
            )
        return getattr(module, attribute)


def _taken(module_name: str) -> str:
    top = module_name.partition(".")[0]
    return f"; {top} is ssmrl's own package, rename yours" if top in OWN_PACKAGES else ""
