"""``ssmrl plot`` and ``ssmrl render``: pictures of runs and of episodes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from agents.experiment import Experiment
from agents.run import console, experiment_of, load_run, warn
from ssmrl.errors import UsageError
from ssmrl.train.config import check_within
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import set_up_jax

if TYPE_CHECKING:  # matplotlib waits until it is needed
    from ssmrl.report.plot import Line


def plot(paths: Sequence[str], out: str | None) -> int:
    """Draw the learning curves of runs, each labelled by what sets it apart."""
    from ssmrl.report.plot import plot_curves

    folders = [RunFolder.open(path) for path in paths]
    if out is None:
        if len(folders) > 1:
            raise UsageError("several runs go into one picture; name it with --out PICTURE.png")
        out = str(folders[0].path / "curve.png")
    experiments = [experiment_of(folder) for folder in folders]
    warn(filter(None, (folder.damage_of_rows() for folder in folders)))
    memories = [e.memory.name for e in experiments]
    distinct = len(set(memories)) == len(memories)
    labels = memories if distinct else [str(folder.path) for folder in folders]
    title = ", ".join(sorted({e.env.name for e in experiments}))
    runs = list(zip(labels, folders, experiments, strict=True))
    lines = [line for run in runs for line in _lines(*run, alone=len(runs) == 1)]
    plot_curves(lines, title, Path(out))
    console.print(f"curves in {out}")
    return 0


def _lines(label: str, folder: RunFolder, experiment: Experiment, alone: bool) -> "list[Line]":
    """Return what is drawn of a run: a line, or one for each setting of its sweep."""
    if not experiment.sweep:
        return [(label, folder)]
    run = "" if alone else f"{label}, "
    return [(f"{run}{group}", folder, group.members) for group in experiment.groups]


def render(
    path: str, out: str | None, seed: int, sampled: bool, max_steps: int, member: int
) -> int:
    """Write an episode of a run's agent as an animated picture; ``member`` of those in the run."""
    from agents.animation import animate
    from agents.dreams import dreams_of
    from agents.episode import record_episode

    set_up_jax()
    check_within("--seed", seed, least=0)
    check_within("--max-steps", max_steps, least=1, most=10_000)  # a frame each, all in memory
    target = Path(out) if out else Path(path) / "episode.gif"
    if target.suffix != ".gif":
        raise UsageError(f"an episode is written as a .gif, not as {str(target)!r}")
    _, experiment, agent, state = load_run(path, {"eval_episodes": 1})
    check_within("--member", member, least=0, most=experiment.num_members - 1)
    if experiment.num_members > 1:
        state = jax.tree.map(lambda leaf: leaf[member], state)
    episode = record_episode(agent, state, seed, not sampled, max_steps)
    dreams = dreams_of(agent, state, episode, seed)
    title = f"{experiment.memory.name} on {experiment.env.name}"
    animate(episode, title, target, agent.env.image_place, dreams)
    console.print(f"return {sum(episode.rewards):.3f} in {len(episode.rewards)} steps; {target}")
    return 0
