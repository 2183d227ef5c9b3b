"""``ssmrl eval``: greedy and sampled episodes of a run's agent."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents.experiment import Experiment
from agents.parts import optimal_inner_return, play_episodes
from agents.run import check_members, console, load_run, make_agent
from agents.sweep import Group
from envs.spaces import encoded_size
from ssmrl.errors import TrainingError, UsageError, shown
from ssmrl.report.evaluation import Episodes
from ssmrl.report.statistics import Summary, summarise
from ssmrl.shapes import difference
from ssmrl.train.config import check_within, from_mapping, merge, named, to_mapping
from ssmrl.train.disk import room_on_disk
from ssmrl.train.lean import lean
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import set_up_jax


def evaluate(
    path: str,
    episodes: int | None,
    seed: int,
    max_steps: int | None,
    elsewhere: Mapping[str, Any] | None = None,
) -> int:
    """Print the greedy and the sampled return of a run's agent.

    ``elsewhere`` are settings of the section env that stand in place of what was trained on; what
    is found goes into files of another name then.
    """
    set_up_jax()
    check_within("--seed", seed, least=0)
    given = {"eval_episodes": episodes, "eval_max_steps": max_steps}
    overrides = {name: value for name, value in given.items() if value is not None}
    for name, value in overrides.items():
        check_within(f"--{name.removeprefix('eval_').replace('_', '-')}", value, least=1)
    folder, experiment, agent, state = load_run(path, overrides)
    suffix = ""
    if elsewhere:
        experiment, agent = move(experiment, agent, elsewhere)
        suffix = suffix_of(elsewhere)
    with room_on_disk(folder.path, "make space and evaluate again"):
        evaluate_state(experiment, agent, state, folder, seed, suffix)
    return 0


def evaluate_state(
    experiment: Experiment,
    agent: Any,
    state: Any,
    folder: RunFolder,
    seed: int = 0,
    suffix: str = "",
) -> None:
    """Play the experiment's number of episodes, print their returns and write evaluation.json.

    Of trials, adaptation.png too; ``suffix`` stands in the files' names. Of a sweep, each setting
    is told by itself.
    """
    episodes, max_steps = experiment.eval_episodes, experiment.eval_max_steps
    check_members(experiment, agent, "eval_episodes", episodes)
    results: dict[str, Any] = {
        "env": {"name": experiment.env.name, "params": experiment.env.params},
        "update": int(np.max(state.update)),
        "episodes": episodes,
        "seed": seed,
        "max_steps": max_steps,
    }
    state = lean(agent, state)  # which is copied
    groups, sound = experiment.groups, _sound(agent, state, experiment.num_members)
    told: list[dict[str, Any]] = [{} for _ in groups]
    inner: list[dict[str, np.ndarray]] = [{} for _ in groups]
    seeds, mixed = [*experiment.seeds] * len(groups), agent.env.with_num(episodes).groups
    for kind, played in play_episodes(agent, state, seeds, episodes, seed, max_steps):
        if experiment.sweep:
            console.print(f"{kind} return by members and setting")
        for i, title in enumerate(_titles(kind, groups)):
            kept = [member for member in groups[i].members if sound[member]]
            part = jax.tree.map(lambda x, kept=kept: np.asarray(x)[kept], played)
            broken = len(groups[i].members) - len(kept)
            told[i][kind] = _told(kind, title, part, broken, experiment) | _by_member(mixed, part)
            inner[i][kind] = part.inner_returns
    if agent.env.num_inner_episodes > 1:
        for group, entry, curves in zip(groups, told, inner, strict=True):
            if not len(curves["greedy"]):  # all of them broke in training
                continue
            which = f"-members-{group.span}" if experiment.sweep else ""
            picture = folder.path / f"adaptation{suffix}{which}.png"
            title = ": ".join(filter(None, (experiment.env.name, str(group))))
            entry["adaptation"] = _adaptation(agent, curves, title, picture)
    if experiment.sweep:
        settings = [{"setting": group.setting, "members": [*group.members]} for group in groups]
        results["sweep"] = [s | entry for s, entry in zip(settings, told, strict=True)]
    else:
        results |= told[0]
    file = f"evaluation{suffix}.json"
    folder.write(file, json.dumps(results, indent=2) + "\n")
    console.print(f"evaluation in {folder.path / file}")


def _titles(kind: str, groups: Sequence[Group]) -> list[str]:
    """Return what stands before each group's return; of a sweep, columns of a table."""
    if len(groups) == 1:
        return [f"{kind} return"]
    columns = [[group.span for group in groups], [str(group) for group in groups]]
    wide, wider = (max(map(len, column)) for column in columns)
    return [f"  {span:<{wide}}  {group:<{wider}} " for span, group in zip(*columns, strict=True)]


def _sound(agent: Any, state: Any, num_members: int) -> np.ndarray:
    """Return of which members all that they have learnt is finite, [members].

    A sweep goes on without those of which it is not.
    """
    leaves = jax.device_get(jax.tree.leaves(agent.learnt(state)))
    finite = [np.isfinite(leaf).reshape(num_members, -1) for leaf in leaves if leaf.size]
    return np.all(np.hstack(finite), axis=1)


def move(
    experiment: Experiment, agent: Any, elsewhere: Mapping[str, Any]
) -> tuple[Experiment, Any]:
    """Return experiment and agent in an environment that the agent was not trained in.

    Raises ``UsageError`` where it sees or does something else there, or its networks do not fit.
    """
    moved = from_mapping(type(experiment), merge(to_mapping(experiment), {"env": named(elsewhere)}))
    other = make_agent(moved)
    for what in ("observation_space", "action_space"):
        before, now = getattr(agent.env, what), getattr(other.env, what)
        if type(before) is not type(now) or encoded_size(before) != encoded_size(now):
            raise UsageError(
                f"{moved.env.name!r} with {shown(moved.env.params)} has {what.replace('_', ' ')} "
                f"{_sized(now)}, but the agent was trained with {_sized(before)}; evaluate it "
                "where sizes are the same"
            )
    key = jax.random.key(0)
    networks = [jax.eval_shape(a.init, key).params for a in (agent, other)]
    if differs := difference(*networks):
        path, before, now = differs
        raise UsageError(
            f"{moved.env.name!r} with {shown(moved.env.params)} shows other values than the agent "
            f"was trained with: its networks would have {now} at {path}, but have {before}; "
            "evaluate it where observations have the same bounds"
        )
    return moved, other


def _sized(space: Any) -> str:
    return f"{type(space).__name__} of {encoded_size(space)} numbers"


def suffix_of(settings: Mapping[str, Any]) -> str:
    """Return what sets the files of an evaluation elsewhere apart."""
    flat = {**settings, **settings.get("params", {})}
    parts = [f"{key}={value}" for key, value in sorted(flat.items()) if key != "params"]
    return "-" + re.sub(r"[^\w.=,-]+", "-", ",".join(parts))[:100]


def _by_member(groups: Mapping[str, slice], played: Episodes) -> dict[str, Any]:
    """Return, and print, what the members of a mixture pay, each by itself."""
    found: dict[str, Any] = {}
    for name, rows in groups.items():
        summary = summarise(*(np.asarray(x)[..., rows] for x in (played.returns, played.finished)))
        console.print(f"  {name}: {summary or 'unknown'}")
        found[name] = None if summary is None else dataclasses.asdict(summary)
    return {"members": found} if found else {}


def _adaptation(
    agent: Any, inner: Mapping[str, np.ndarray], title: str, picture: Path
) -> dict[str, Any]:
    """Print, draw and return the returns of inner episodes, [seeds, trials, K] of each kind."""
    from ssmrl.report import adaptation as report  # with matplotlib, which takes time to import

    curves = {kind: report.adaptation(returns) for kind, returns in inner.items()}
    optimal = optimal_inner_return(agent.env)
    console.print("\n".join(report.table(curves, optimal)))
    report.plot_adaptation(curves, optimal, title, picture)
    console.print(f"adaptation in {picture}")
    return {"optimal": optimal, **{kind: curve.to_mapping() for kind, curve in curves.items()}}


def _told(
    kind: str, title: str, played: Episodes, broken: int, experiment: Experiment
) -> dict[str, Any]:
    """Print and return what the finished episodes paid, and how many were cut off.

    Of ``broken`` members, whose training was, there is nothing in ``played``.
    """
    returns, finished = np.asarray(played.returns), np.asarray(played.finished)
    if not np.isfinite(returns).all():
        raise TrainingError(
            f"{kind} episodes paid returns that are not finite; look for faulty rewards with "
            f"ssmrl check {experiment.env.name}"
        )
    cut = int(finished.size - finished.sum())
    limit = f"cut off after {experiment.eval_max_steps} steps, which --max-steps can raise"
    summary = summarise(returns, finished)
    if summary is None:
        why = f"all {cut} episodes were {limit}" if cut else "training broke"
        console.print(f"{title} unknown: {why}")
    else:
        out = [f"{cut} episodes {limit}"] if cut else []
        out += [f"{broken} members that broke in training"] if broken else []
        late = f"; left out are {' and '.join(out)}" if out else ""
        console.print(f"{title} {summary}{late}")
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Summary))
    scores = {**nothing, "count": 0} if summary is None else dataclasses.asdict(summary)
    pairs = zip(np.atleast_2d(returns), np.atleast_2d(finished), strict=True)
    by_seed = [float(r[f].mean()) if f.any() else None for r, f in pairs]
    return {**scores, "finished": finished.size - cut, "cut_off": cut, "by_seed": by_seed}
