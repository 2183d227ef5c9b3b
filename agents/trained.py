"""What a run was trained with, where its config.yaml says something else by now."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from agents.experiment import Experiment, load_experiment
from ssmrl.errors import UsageError, shown
from ssmrl.train.config import to_mapping
from ssmrl.train.run_folder import RunFolder

# What says when to write, evaluate and stop may change at any time.
_FREE = (
    *("total_steps", "run_dir", "log_every", "checkpoint_every", "track"),
    *("eval_episodes", "eval_max_steps"),
)
_FIXED = ("agent", "env", "memory")


def as_trained(
    folder: RunFolder, overrides: Mapping[str, Any] | None = None
) -> tuple[Experiment, list[str]]:
    """Return the experiment that the folder's run was trained with, and warnings.

    ``config.yaml`` and ``overrides`` decide over what may change; of all else that the file says
    otherwise, a warning tells that it does not hold. Raises ``UsageError`` where the file names
    another agent, environment or memory, or other options of those.
    """
    edited = load_experiment(folder.config_path, overrides)
    if not os.path.lexists(folder.trained_config_path):
        older = (
            f"{str(folder.path)!r} is of older code, which clipped continuous actions and took "
            "integers as they are; where the environment has such, it means something else now"
        )
        return edited, [older]
    try:
        trained = load_experiment(folder.trained_config_path)
    except UsageError as error:
        return edited, [f"{error}; what {str(folder.config_path)!r} says is taken for true"]
    changed = differences(to_mapping(trained), to_mapping(edited))
    for name, (before, now) in changed.items():
        if _is_fixed(name):
            raise UsageError(
                f"{str(folder.config_path)!r} says {name}={shown(now)}, but the run was trained "
                f"with {shown(before)}; put it back, or start a new run"
            )
    warnings = [
        f"{str(folder.config_path)!r} says {name}={shown(now)}, but the run was trained with "
        f"{shown(before)}, which stays; start a new run for another"
        for name, (before, now) in changed.items()
    ]
    free = {name: getattr(edited, name) for name in _FREE}
    return dataclasses.replace(trained, **free), warnings


def differences(trained: Mapping[str, Any], edited: Mapping[str, Any]) -> dict[str, tuple]:
    """Return where two configs differ, by the dotted names of options, less what may change."""
    before, now = _flat(trained), _flat(edited)
    names = sorted(
        {*before, *now}, key=lambda name: (not _is_fixed(name), "name" not in name, name)
    )
    pairs = {name: (before.get(name), now.get(name)) for name in names if name not in _FREE}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _is_fixed(name: str) -> bool:
    return name.partition(".")[0] in _FIXED


def _flat(config: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        inner = _flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {path + key: value}
        found.update(inner)
    return found
