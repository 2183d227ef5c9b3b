"""Environments by name: ours, gymnax's, and any that an import path reaches."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import gymnax

from envs import bsuite, meta, popgym, recall, suites
from envs.adapters import LegacyGymnax, is_legacy
from envs.fixed import NoParams
from envs.settings import as_number
from ssmrl.errors import UsageError, shown
from ssmrl.foreign import foreign
from ssmrl.registry import Registry, did_you_mean

Factory = Callable[..., Any]
METHODS = ("reset", "step", "action_space", "observation_space")

_registry: Registry[Factory] = Registry("environment")
for _table in (bsuite.FACTORIES, meta.FACTORIES, popgym.FACTORIES, recall.FACTORIES):
    for _name, _factory in _table.items():
        _registry.register(_name, _factory)


def register(name: str, factory: Factory) -> None:
    """Let ``make(name, **settings)`` call ``factory(**settings)``, a class or a function.

    Raises ``UsageError`` where the name is taken or holds a ':'.
    """
    if name in gymnax.registered_envs:
        raise UsageError(f"environment {name!r} is already registered in gymnax; choose another")
    if name in popgym.ALIASES or name in bsuite.SWEEPS or name in suites.names():
        raise UsageError(f"environment {name!r} is already there under this name; choose another")
    _registry.register(name, factory)


def names() -> list[str]:
    """Return the names of environments, gymnax's own among them, sorted.

    ``make`` knows more: older names of popgym, the settings of bsuite's sweeps, import paths, and
    what needs packages that are not installed.
    """
    lacking = {name for name, needed in meta.NEEDS.items() if not suites.is_installed(needed)}
    ours = [name for name in _registry.names() if name not in lacking]
    return sorted([*ours, *suites.names(), *gymnax.registered_envs])


def make(name: str, /, **settings: Any) -> tuple[Any, Any]:
    """Return the environment called ``name`` and its parameters.

    Args:
        name: a registered name ("popgym/RepeatPreviousEasy") or an older one of popgym
            ("popgym/StatelessCartPoleEasy"), a setting of bsuite ("bsuite/memory_len/22"), one of
            gymnax's ids ("CartPole-v1"), or an import path of a class or factory ("mine:MyEnv").
        **settings: fields of the environment's ``default_params``, which are replaced there, and
            arguments of its constructor (or factory). A key that is both goes to both.

    Environments of gymnax before 1.0 come back inside ``LegacyGymnax``. Raises ``UsageError`` for
    an unknown name, an unknown key, text in a number's place, for whatever the environment's own
    code raises while it is built (the ``__cause__``), and where that builds no environment.
    """
    with foreign(f"environment {shown(name)}", ours_too=True):
        env, params = _make(name, settings)
        return (LegacyGymnax(env) if is_legacy(env, params) else env), params


def _make(name: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    factory = _factory_of(name)
    named, takes_any = _keywords(factory)
    arguments = {
        key: as_number(name, key, value, named[key])
        for key, value in settings.items()
        if key in named
    }
    for key, default in named.items():
        if default is inspect.Parameter.empty and key not in arguments:
            raise UsageError(f"environment {name!r} needs a value for its parameter {key!r}")
    env = _checked(name, factory(**arguments))
    params = _default_params(env)
    fields = {f.name for f in dataclasses.fields(params)} if _is_dataclass(params) else set()

    others = {k: v for k, v in settings.items() if k not in named and k not in fields}
    known = {*fields, *named, *_keywords(type(env))[0]}
    if others and not takes_any:
        raise _unknown(name, next(iter(others)), known)
    if others:
        env = _checked(name, _construct(name, factory, {**arguments, **others}, others, known))
        params = _default_params(env)

    replaced = {
        key: as_number(name, key, value, getattr(params, key))
        for key, value in settings.items()
        if key in fields
    }
    return env, dataclasses.replace(params, **replaced) if replaced else params


def _checked(name: str, env: Any) -> Any:
    """Return what was made; raise ``UsageError`` where it cannot be one of gymnax's kind."""
    if prefix := suites.prefix_of(env):
        raise UsageError(
            f"environment {name!r} is the suite's own, with spaces and signatures that are not "
            f"gymnax's; it is adapted under a name that begins with {prefix!r}, see ssmrl list envs"
        )
    for method in METHODS:
        if not hasattr(env, method):
            alone = "; return it alone, without its parameters" if isinstance(env, tuple) else ""
            raise UsageError(
                f"environment {name!r} is no environment: what was made is of type "
                f"{type(env).__name__}, which has no {method!r}{alone}"
            )
        found = getattr(env, method)
        if method in ("reset", "step") and not callable(found):
            raise UsageError(
                f"environment {name!r} has {method}={shown(found)}, of type "
                f"{type(found).__name__}, but must have a method"
            )
    return env


def _default_params(env: Any) -> Any:
    try:
        return env.default_params
    except AttributeError as error:
        if error.name != "default_params":  # something that the property itself looks for
            raise
        return NoParams()


def _factory_of(name: str) -> Factory:
    name = popgym.ALIASES.get(name, name)
    if name in bsuite.SWEEPS:
        base, settings = bsuite.SWEEPS[name]
        return functools.partial(bsuite.FACTORIES[base], **settings)
    if ":" not in name and name not in _registry.names():
        if (of_suite := suites.factory(name)) is not None:
            return of_suite
        if name not in gymnax.registered_envs:
            raise UsageError(f"unknown environment {shown(name)}{did_you_mean(name, names())}")
        return functools.partial(_from_gymnax, name)
    factory = _registry.get(name)
    if not callable(factory):
        kind = type(factory).__name__
        raise UsageError(f"environment {name!r} is of type {kind}, not a class or factory")
    return factory


def _from_gymnax(env_id: str, /, **arguments: Any) -> Any:
    return gymnax.make(env_id, **arguments)[0]


def _keywords(factory: Factory) -> tuple[dict[str, Any], bool]:
    """Return the keyword arguments with their defaults, and whether there is a ``**``."""
    parameters = inspect.signature(factory).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {p.name: p.default for p in parameters if p.kind in kinds}
    return named, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _construct(name: str, factory: Factory, arguments: dict, others: dict, known: set) -> Any:
    """Call a factory that passes its keywords on, so that only the call tells which it knows."""
    try:
        return factory(**arguments)
    except TypeError as error:
        text = str(error)
        if "unexpected keyword argument" not in text and "takes no arguments" not in text:
            raise
        refused = [key for key in others if repr(key) in text] or list(others)
        raise _unknown(name, refused[0], known) from None


def _unknown(name: str, key: str, known: set[str]) -> UsageError:
    way_out = did_you_mean(key, known) if known else "; it has none"
    return UsageError(f"environment {name!r} has no parameter {key!r}{way_out}")


def _is_dataclass(params: Any) -> bool:
    return dataclasses.is_dataclass(params) and not isinstance(params, type)
