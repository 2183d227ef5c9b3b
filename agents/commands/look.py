"""``ssmrl plot`` and ``ssmrl render``: pictures of runs and of episodes."""

from collections.abc import Sequence
from pathlib import Path

import jax

from agents.run import console, experiment_of, load_run, warn
from ssmrl.errors import UsageError
from ssmrl.train.config import check_within
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import set_up_jax


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
    plot_curves(list(zip(labels, folders, strict=True)), title, Path(out))
    console.print(f"curves in {out}")
    return 0


def render(path: str, out: str | None, seed: int, sampled: bool, max_steps: int) -> int:
    """Write an episode of a run's agent as an animated picture."""
    from agents.animation import animate
    from agents.episode import record_episode

    set_up_jax()
    check_within("--seed", seed, least=0)
    check_within("--max-steps", max_steps, least=1, most=10_000)  # a frame each, all in memory
    target = Path(out) if out else Path(path) / "episode.gif"
    if target.suffix != ".gif":
        raise UsageError(f"an episode is written as a .gif, not as {str(target)!r}")
    _, experiment, agent, state = load_run(path, {"eval_episodes": 1})
    if experiment.num_seeds > 1:
        state = jax.tree.map(lambda leaf: leaf[0], state)
    episode = record_episode(agent, state, seed, not sampled, max_steps)
    animate(episode, f"{experiment.memory.name} on {experiment.env.name}", target)
    console.print(f"return {sum(episode.rewards):.3f} in {len(episode.rewards)} steps; {target}")
    return 0
