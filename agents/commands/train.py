"""``ssmrl train``: start and resume runs, and show their options."""

import dataclasses
import functools
import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents.commands.evaluate import evaluate_state
from agents.commands.look import plot
from agents.experiment import Experiment, load_experiment
from agents.run import (
    check_members,
    check_memory,
    console,
    default_run_dir,
    experiment_of,
    first_state,
    make_agent,
    options_of_size,
    own_code,
    restore,
    warn,
)
from agents.sweep import member_names
from envs.check import begins_anew
from envs.described import parts_to_mappings, space_to_mapping
from ssmrl.errors import UsageError
from ssmrl.foreign import is_foreign
from ssmrl.train import loop, sizes
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import Chunk
from ssmrl.train.config import to_mapping
from ssmrl.train.disk import room_on_disk
from ssmrl.train.lean import lean
from ssmrl.train.metrics import mean
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.runtime import device_facts, set_up_jax
from ssmrl.train.trackers import check_track, open_trackers


def start(config: str | None, overrides: Mapping[str, Any]) -> int:
    """Train a new run; nothing is written before everything has been checked."""
    set_up_jax()
    experiment = load_experiment(config, overrides)
    if config is None:
        console.print(
            "no preset or file is named, so defaults hold; ssmrl list configs has presets"
        )
    return start_run(experiment)


@dataclass(frozen=True)
class Ending:
    """When training stops, and what follows on its end."""

    deadline: float | None = None  # of time.monotonic(): stop after it; the run can be resumed
    evaluated: bool = True  # the agent is, and its curve is drawn


def start_run(experiment: Experiment, ending: Ending = Ending()) -> int:
    """Train a new run; returns 130 where it was stopped before its end, else 0."""
    check_track(experiment.track)
    agent = make_agent(experiment)
    check_members(experiment, agent, "eval_episodes", experiment.eval_episodes)
    path = default_run_dir(experiment) if experiment.run_dir is None else experiment.run_dir
    RunFolder.check_new(path)  # before the seconds that the initial state takes
    with own_code(experiment):
        check_memory(experiment, agent)
        state = first_state(experiment, agent)
        chunk, facts = _compile(experiment, agent, state, path)
    folder = RunFolder.create(path, to_mapping(dataclasses.replace(experiment, run_dir=str(path))))
    with folder.in_use(), room_on_disk(folder.path, f"make space and {_go_on(folder)}"):
        _write_spaces(agent, folder)
        folder.append_start(facts)
        return _train(experiment, agent, state, chunk, folder, ending)


def resume(path: str, overrides: Mapping[str, Any], ending: Ending = Ending()) -> int:
    """Go on with a run from its newest whole checkpoint, or from its beginning if it has none."""
    set_up_jax()
    folder = RunFolder.open(path)
    if set(overrides) - {"total_steps"}:
        raise UsageError("--resume takes no other option than --total-steps; start a new run")
    experiment = experiment_of(folder, overrides)
    check_track(experiment.track)
    agent = make_agent(experiment)
    check_memory(experiment, agent)
    with folder.in_use(), room_on_disk(folder.path, f"make space and {_go_on(folder)}"):
        state = restore(experiment, agent, folder, resuming=True)
        reached = int(np.max(state.update))
        if reached > agent.num_updates:
            steps = reached * agent.steps_per_update
            raise UsageError(f"--total-steps is below the {steps} steps that are done; raise it")
        finished = reached == agent.num_updates
        if finished:
            console.print("all steps are done; --total-steps adds more")
        compiled = None if finished else _compile(experiment, agent, state, folder.path)
        warn(filter(None, [folder.damage_of_rows()]))
        Checkpoints(folder.checkpoints).set_aside_after(reached)
        folder.write_config(to_mapping(experiment))
        _write_spaces(agent, folder)
        if compiled is None:
            return _finish(experiment, agent, state, folder, ending)
        chunk, facts = compiled
        folder.append_start(facts)
        return _train(experiment, agent, state, chunk, folder, ending)


def show_options(config: str | None, overrides: Mapping[str, Any]) -> int:
    """Print every option that the config's agent and memory have, with its value."""
    import tyro

    experiment = load_experiment(config, overrides)
    words = (
        "Trains an agent by a preset or YAML file and the options on top of it; what each is "
        "without being given stands behind it. Of one given twice the last holds. "
        "--env.params.NAME VALUE sets a parameter of the environment, --sweep NAME=VALUE,VALUE,... "
        "trains values of a number side by side, --resume RUN goes on with a run."
    )
    prog = "ssmrl train [CONFIG]"
    tyro.cli(type(experiment), default=experiment, args=["--help"], description=words, prog=prog)
    return 0


def _write_spaces(agent: Any, folder: RunFolder) -> None:
    """Write down what a player has to know of the environment."""
    env, params = agent.env.unwrapped, agent.env.params
    spaces = {"observation": env.observation_space(params), "action": env.action_space(params)}
    told: dict[str, Any] = {name: space_to_mapping(space) for name, space in spaces.items()}
    told["parts"] = parts_to_mappings(agent.env.observation_parts)
    folder.write("spaces.json", json.dumps(told) + "\n")


def _compile(
    experiment: Experiment, agent: Any, state: Any, path: str | Path
) -> tuple[Chunk, dict[str, Any]]:
    """Return the compiled updates, and where they run and what they take."""
    _print_plan(experiment, agent, state, path)
    chunk = Chunk(agent, experiment.num_members)
    began = time.monotonic()
    needed = chunk.compile(state)
    if needed:  # more than could be told before
        update = needed - sizes.bytes_of(state)
        sizes.check_fits({"update": update}, options_of_size(experiment))
    size = f"; the update needs {needed / 2**20:,.0f} MiB" if needed else ""
    seconds = time.monotonic() - began
    console.print(f"compiled in {seconds:.1f} s{size}")
    return chunk, {**device_facts(), "compile_seconds": round(seconds, 2), "bytes": needed}


def _train(
    experiment: Experiment,
    agent: Any,
    state: Any,
    chunk: Chunk,
    folder: RunFolder,
    ending: Ending,
) -> int:
    schedule = loop.Schedule(experiment.log_every, experiment.checkpoint_every, ending.deadline)
    settings = {str(g): g.members for g in experiment.groups} if experiment.sweep else {}
    config = to_mapping(experiment)
    trackers = functools.partial(open_trackers, folder, experiment.track, config, settings)
    members = member_names(experiment.groups, experiment.seeds)
    state, finished = loop.train(
        agent, state, chunk, folder, schedule, members, not experiment.sweep, console, trackers
    )
    if not finished:
        console.print(f"interrupted; {_go_on(folder)}")
        return 130
    state = lean(agent, state)  # so that the evaluation has room
    return _finish(experiment, agent, state, folder, ending)


def _go_on(folder: RunFolder) -> str:
    return f"go on with: ssmrl train --resume {shlex.quote(str(folder.path))}"


def _finish(
    experiment: Experiment, agent: Any, state: Any, folder: RunFolder, ending: Ending
) -> int:
    if not ending.evaluated:
        return 0
    evaluate_state(experiment, agent, state, folder)
    if any(mean(row["episode_return_mean"]) is not None for row in folder.read_rows()):
        plot([str(folder.path)], None)
    return 0


def _print_plan(experiment: Experiment, agent: Any, state: Any, path: str | Path) -> None:
    devices = ", ".join(str(d) for d in jax.devices())
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params)) // experiment.num_members
    numbers = {"settings": len(experiment.groups), "seeds": experiment.num_seeds}
    members = "".join(f" x {number} {what}" for what, number in numbers.items() if number > 1)
    console.print(f"{experiment.agent} with {experiment.memory.name} on {experiment.env.name}")
    if is_foreign(experiment.env.name) and not begins_anew(agent.env.env, agent.env.params):
        words = "draws nothing again that its reset has drawn, as if no episode began anew"
        warn([f"step {words}; try it with: ssmrl check {experiment.env.name}"])
    console.print(f"  run folder   {path}")
    console.print(f"  devices      {devices}")
    for what, words in agent.env.describe().items():
        console.print(f"  {what:<12} {words}")
    console.print(
        f"  updates      {agent.num_updates:,} of {agent.steps_per_update:,} steps{members}"
    )
    for name, values in experiment.sweep.items():
        console.print(f"  sweep        {name} = {', '.join(map(str, values))}")
    if hasattr(agent, "describe_minibatches"):
        console.print(f"  minibatches  {agent.describe_minibatches()}")
    console.print(f"  parameters   {parameters:,}")
