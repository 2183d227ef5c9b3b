"""Sweeps: a run that trains values of some numbers side by side, each of them with every seed.

What trains side by side are a run's *members*, the leading axis of its states and of its rows:
first all seeds of the sweep's first setting, then those of the next. A run without a sweep has one
setting, which sets nothing, and its members are its seeds.
"""

import dataclasses
import itertools
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssmrl.errors import UsageError, shown
from ssmrl.foreign import foreign, is_foreign
from ssmrl.registry import did_you_mean

Sweep = Mapping[str, Sequence[float]]  # options as "ppo.gamma", and their values
Setting = dict[str, float]  # one value for each of them


@dataclass(frozen=True)
class Group:
    """A setting and the numbers of its members."""

    setting: Setting
    members: range

    @property
    def span(self) -> str:
        """The first and the last member, such as "3-5"."""
        first, last = self.members[0], self.members[-1]
        return str(first) if first == last else f"{first}-{last}"

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.setting.items())


def settings(sweep: Sweep) -> list[Setting]:
    """Return every combination of values."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def member_names(groups: Sequence[Group], seeds: Sequence[int]) -> list[str]:
    """Return what tells each member from the others, such as "ppo.gamma=0.9, seed 3"."""
    settings = [f"{group}, " if group.setting else "" for group in groups]
    return [f"{setting}seed {seed}" for setting in settings for seed in seeds]


def applied(config: Any, setting: Setting) -> Any:
    """Return an agent's section of options with the setting's values, which it checks."""
    return dataclasses.replace(config, **{_option(name): v for name, v in setting.items()})


def check_sweep(experiment: Any, agent: Any, section: str) -> None:
    """Raise ``UsageError`` where the experiment sweeps what its agent, a class, cannot vary.

    Values are tried one by one: a number that the section of options refuses is none to sweep.
    """
    if not experiment.sweep:
        return
    config = getattr(experiment, section)
    known = _numbers(experiment.agent, agent, section, config)
    for name, values in experiment.sweep.items():
        if name not in known:
            raise _no_number(name, type(experiment), section, known)
        if len(values) < 2:
            raise UsageError(
                f"sweep of {name} needs two values or more, not {list(values)}; a single one is "
                f"given as --{name.replace('_', '-')} VALUE"
            )
        twice = next((v for v in values if values.count(v) > 1), None)
        if twice is not None:
            raise UsageError(f"sweep of {name} has {twice} twice; drop one")
        for value in values:
            applied(config, {name: value})


def _numbers(agent_name: str, agent: Any, section: str, config: Any) -> list[str]:
    """Return the names of the options that the agent takes as traced numbers."""
    if not hasattr(agent, "hyperparameters"):
        own = ", or give it some as agents/ppo.py has them" if is_foreign(agent_name) else ""
        raise UsageError(
            f"agent {agent_name!r} has no hyperparameters that a sweep could vary; start one run "
            f"for each value{own}"
        )
    with foreign(f"agent {agent_name!r}: hyperparameters(config)"):
        numbers = agent.hyperparameters(config)
    if not dataclasses.is_dataclass(numbers):
        raise UsageError(
            f"agent {agent_name!r}: hyperparameters(config) must return a dataclass, whose fields "
            f"are named as options, not {shown(numbers)}"
        )
    fields = {f.name for f in dataclasses.fields(numbers)}
    return [f"{section}.{f.name}" for f in dataclasses.fields(config) if f.name in fields]


def _no_number(name: str, experiment: type, section: str, known: Sequence[str]) -> UsageError:
    """Return the error that says what ``name`` is instead."""
    hint = _hint(experiment, name)
    if hint is None:
        return UsageError(f"unknown option {shown(name)} in sweep{did_you_mean(name, known)}")
    is_size = name.startswith((f"{section}.", "memory.")) and hint in (int, tuple[int, ...])
    what = "a size, not a number that can be swept" if is_size else "no number that can be swept"
    return UsageError(f"{name} is {what}; start one run for each, or sweep {', '.join(known)}")


def _hint(config: Any, name: str) -> Any:
    """Return the type of the option that is called so, None where there is none."""
    first, _, rest = name.partition(".")
    hint = typing.get_type_hints(config).get(first)
    return _hint(hint, rest) if rest and dataclasses.is_dataclass(hint) else hint


def _option(name: str) -> str:
    return name.partition(".")[2]
