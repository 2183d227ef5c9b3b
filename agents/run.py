"""What the commands do: start, resume, evaluate and plot runs."""

import dataclasses
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from agents.experiment import AGENTS, Experiment, load_experiment
from agents.parts import play_episodes
from ssmrl.errors import UsageError
from ssmrl.registry import import_module
from ssmrl.report.statistics import Summary, summarise
from ssmrl.train import loop
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.config import to_mapping
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import enable_compilation_cache

console = Console(highlight=False, soft_wrap=True)


def start(config: str | None, overrides: Mapping[str, Any]) -> int:
    """Train a new run; nothing is written before everything has been checked."""
    enable_compilation_cache()
    experiment = load_experiment(config, overrides)
    agent = make_agent(experiment)
    path = experiment.run_dir or default_run_dir(experiment)
    RunFolder.check_new(path)  # before the seconds that the initial state takes
    state = loop.init_seeds(agent, experiment.seed, experiment.num_seeds)
    chunk = _compile(experiment, agent, state, path)
    folder = RunFolder.create(path, to_mapping(dataclasses.replace(experiment, run_dir=str(path))))
    with folder.in_use():
        return _train(experiment, agent, state, chunk, folder)


def resume(path: str, overrides: Mapping[str, Any]) -> int:
    """Go on with a run from its newest whole checkpoint, or from its beginning if it has none."""
    enable_compilation_cache()
    folder = RunFolder.open(path)
    if set(overrides) - {"total_steps"}:
        raise UsageError("--resume takes no other option than --total-steps; start a new run")
    experiment = load_experiment(folder.path / "config.yaml", overrides)
    agent = make_agent(experiment)
    with folder.in_use():
        state = _restore(experiment, agent, folder, resuming=True)
        reached = int(np.max(state.update))
        if reached > agent.num_updates:
            steps = reached * agent.steps_per_update
            raise UsageError(f"--total-steps is below the {steps} steps that are done; raise it")
        if reached == agent.num_updates:
            console.print("all steps are done; --total-steps adds more")
            return _finish(experiment, agent, state, folder)
        chunk = _compile(experiment, agent, state, folder.path)
        folder.write_config(to_mapping(experiment))
        return _train(experiment, agent, state, chunk, folder)


def evaluate(path: str, episodes: int | None, seed: int) -> int:
    """Print the greedy and the sampled return of a run's agent."""
    enable_compilation_cache()
    if episodes is not None and episodes < 1:
        raise UsageError(f"--episodes must be above 0, not {episodes}")
    folder, experiment, agent, state = _load(path)
    _evaluate(experiment, agent, state, folder, episodes or experiment.eval_episodes, seed)
    return 0


def plot(paths: Sequence[str], out: str | None) -> int:
    """Draw the learning curves of runs, each labelled by what sets it apart."""
    from ssmrl.report.plot import plot_curves

    folders = [RunFolder.open(path) for path in paths]
    if out is None:
        if len(folders) > 1:
            raise UsageError("several runs go into one picture; name it with --out PICTURE.png")
        out = str(folders[0].path / "curve.png")
    experiments = [load_experiment(folder.path / "config.yaml") for folder in folders]
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

    enable_compilation_cache()
    if max_steps < 1:
        raise UsageError(f"--max-steps must be above 0, not {max_steps}")
    target = Path(out) if out else Path(path) / "episode.gif"
    if target.suffix != ".gif":
        raise UsageError(f"an episode is written as a .gif, not as {str(target)!r}")
    _, experiment, agent, state = _load(path)
    if experiment.num_seeds > 1:
        state = jax.tree.map(lambda leaf: leaf[0], state)
    episode = record_episode(agent, state, seed, not sampled, max_steps)
    animate(episode, f"{experiment.memory.name} on {experiment.env.name}", target)
    console.print(f"return {sum(episode.rewards):.3f} in {len(episode.rewards)} steps; {target}")
    return 0


def show_options(config: str | None, overrides: Mapping[str, Any]) -> int:
    """Print every option that the config's agent and memory have, with its value."""
    import tyro

    experiment = load_experiment(config, overrides)
    words = (
        "Trains an agent by a preset or YAML file and the options on top of it; what each is "
        "without being given stands behind it. --env.params.NAME VALUE sets a parameter of the "
        "environment, --resume RUN goes on with a run."
    )
    prog = "ssmrl train [CONFIG]"
    tyro.cli(type(experiment), default=experiment, args=["--help"], description=words, prog=prog)
    return 0


def make_agent(experiment: Experiment) -> Any:
    """Return the agent that the experiment names."""
    return import_module(AGENTS.get(experiment.agent)).Agent(experiment)


def default_run_dir(experiment: Experiment) -> Path:
    """Return a new folder's path under runs/, named by environment, memory, seed and time.

    What stands last tells apart what was started in the same second.
    """
    env = experiment.env.name.replace("/", "-").replace(":", "-")
    memory = experiment.memory.name.replace(":", "-")
    when = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{env}-{memory}-seed{experiment.seed}-{when}-{secrets.token_hex(2)}"


def _compile(experiment: Experiment, agent: Any, state: Any, path: str | Path) -> Any:
    _print_plan(experiment, agent, state, path)
    return loop.compile_chunk(agent, state, experiment.num_seeds, console)


def _train(experiment: Experiment, agent: Any, state: Any, chunk: Any, folder: RunFolder) -> int:
    schedule = loop.Schedule(experiment.log_every, experiment.checkpoint_every)
    state, finished = loop.train(
        agent, state, chunk, folder, schedule, experiment.num_seeds, console
    )
    if not finished:
        console.print(f"interrupted; go on with: ssmrl train --resume {folder.path}")
        return 130
    return _finish(experiment, agent, state, folder)


def _finish(experiment: Experiment, agent: Any, state: Any, folder: RunFolder) -> int:
    _evaluate(experiment, agent, state, folder, experiment.eval_episodes, experiment.seed)
    if any(loop.mean(row["episode_return_mean"]) is not None for row in folder.read_rows()):
        plot([str(folder.path)], None)
    return 0


def _print_plan(experiment: Experiment, agent: Any, state: Any, path: str | Path) -> None:
    devices = ", ".join(str(d) for d in jax.devices())
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params)) // experiment.num_seeds
    seeds = f" x {experiment.num_seeds} seeds" if experiment.num_seeds > 1 else ""
    console.print(f"{experiment.agent} with {experiment.memory.name} on {experiment.env.name}")
    console.print(f"  run folder   {path}")
    console.print(f"  devices      {devices}")
    console.print(
        f"  updates      {agent.num_updates:,} of {agent.steps_per_update:,} steps{seeds}"
    )
    console.print(f"  minibatches  {agent.describe_minibatches()}")
    console.print(f"  parameters   {parameters:,}")


def _load(path: str) -> tuple[RunFolder, Experiment, Any, Any]:
    folder = RunFolder.open(path)
    experiment = load_experiment(folder.path / "config.yaml")
    agent = make_agent(experiment)
    return folder, experiment, agent, _restore(experiment, agent, folder)


def _restore(experiment: Experiment, agent: Any, folder: RunFolder, resuming: bool = False) -> Any:
    checkpoints = Checkpoints(folder.checkpoints)
    if resuming and checkpoints.newest() is None:
        console.print("there is no checkpoint yet; starting from the beginning")
        return loop.init_seeds(agent, experiment.seed, experiment.num_seeds)
    like = jax.eval_shape(lambda: loop.init_seeds(agent, experiment.seed, experiment.num_seeds))
    update, state, warnings = checkpoints.restore(like)
    for warning in warnings:
        console.print(f"warning: {warning}")
    if resuming:
        checkpoints.set_aside_after(update)
    console.print(f"restored the state after update {update}")
    return state


def _evaluate(
    experiment: Experiment, agent: Any, state: Any, folder: RunFolder, episodes: int, seed: int
) -> None:
    summaries: dict[str, Summary] = {}
    for kind, played in play_episodes(agent, state, experiment.num_seeds, episodes, seed):
        summaries[kind] = summarise(np.asarray(played.returns))
        unfinished = int(np.size(played.finished) - np.sum(played.finished))
        late = f"; {unfinished} episodes were cut off unfinished" if unfinished else ""
        console.print(f"{kind} return {summaries[kind]}{late}")
    results = {kind: dataclasses.asdict(summary) for kind, summary in summaries.items()}
    text = {"update": int(np.max(state.update)), "episodes": episodes, "seed": seed, **results}
    folder.write("evaluation.json", json.dumps(text, indent=2) + "\n")
    console.print(f"evaluation in {folder.path / 'evaluation.json'}")
