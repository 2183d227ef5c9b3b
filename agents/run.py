"""What commands share: an agent from its experiment, a run from its folder."""

import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from agents.check import check_agent
from agents.experiment import Experiment, agent_class, agent_section
from agents.parts import bytes_of_episode
from agents.sweep import applied
from agents.trained import as_trained
from ssmrl.errors import UsageError
from ssmrl.foreign import foreign, is_foreign
from ssmrl.train import sizes
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import init_seeds
from ssmrl.train.lean import has_spare, lean, refill, saved, saves_all
from ssmrl.train.run_folder import RunFolder

console = Console(highlight=False, soft_wrap=True, markup=False)


def make_agent(experiment: Experiment) -> Any:
    """Return the agent that the experiment names."""
    with own_code(experiment):
        agent = agent_class(experiment.agent)(experiment)
        if is_foreign(experiment.agent):
            check_agent(f"agent {experiment.agent!r}", agent)
    check_members(experiment, agent, "environments", agent.env.num)
    return agent


def check_members(experiment: Experiment, agent: Any, what: str, number: int) -> None:
    """Raise ``UsageError`` where not every member of a mixture would get one of ``number``."""
    members = agent.env.members
    if number < len(members):
        raise UsageError(
            f"{number} {what} are too few for {experiment.env.name!r}, which has "
            f"{len(members)} members: {', '.join(members)}"
        )


def own_code(experiment: Experiment) -> AbstractContextManager[None]:
    """Return a door that names what of the experiment is somebody's own, where tracing raises."""
    named = {
        "environment": experiment.env.name,
        "memory": experiment.memory.name,
        "agent": experiment.agent,
    }
    own = [f"{kind} {name!r}" for kind, name in named.items() if is_foreign(name)]
    tried = [kind for kind in ("environment", "memory") if is_foreign(named[kind])]
    way_out = f"ssmrl check tries the {' and the '.join(tried)}" if tried else ""
    return foreign(" or ".join(own), way_out) if own else nullcontext()


def default_run_dir(experiment: Experiment) -> Path:
    """Return a new folder's path under runs/, named by environment, memory, seed and time.

    What stands last tells apart what was started in the same second.
    """
    env = experiment.env.name.replace("/", "-").replace(":", "-")
    memory = experiment.memory.name.replace(":", "-")
    when = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{env}-{memory}-seed{experiment.seed}-{when}-{secrets.token_hex(2)}"


def experiment_of(folder: RunFolder, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Return the experiment of a run, as it was trained; print what says otherwise."""
    experiment, warnings = as_trained(folder, overrides)
    warn(warnings)
    return experiment


def warn(warnings: Iterable[str]) -> None:
    """Print one line for each warning."""
    for warning in warnings:
        console.print(f"warning: {warning}")


def load_run(
    path: str, overrides: Mapping[str, Any] | None = None
) -> tuple[RunFolder, Experiment, Any, Any]:
    """Return a run's folder, experiment, agent and newest state."""
    folder = RunFolder.open(path)
    experiment = experiment_of(folder, overrides)
    agent = make_agent(experiment)
    check_memory(experiment, agent, training=False)
    return folder, experiment, agent, restore(experiment, agent, folder)


def check_memory(experiment: Experiment, agent: Any, training: bool = True) -> None:
    """Raise ``UsageError`` where states, roll-out or evaluation exceed the device's memory."""
    members, episodes = experiment.num_members, experiment.eval_episodes
    if training:
        sizes.check_fits(sizes.estimate(agent, members), options_of_size(experiment))
    needed = sizes.estimate(agent, members, training=False)
    needed["evaluation"] = members * episodes * bytes_of_episode(agent)
    fewer = " or the sweep's values" if experiment.sweep else ""
    smaller = f"eval_episodes={episodes} or num_seeds={experiment.num_seeds}{fewer}"
    sizes.check_fits(needed, smaller)


def options_of_size(experiment: Experiment) -> str:
    """Return the names of options that a run's need of memory grows with."""
    own, section = experiment.agent_config, agent_section(experiment.agent)
    rollouts = ("replay_steps", "num_envs", "num_steps")
    descents = ("num_epochs", "batch_size", "window", "num_starts", "horizon")
    found = [name for name in (*rollouts, *descents) if hasattr(own, name)]
    names = ["num_seeds", "the sweep's values"] if experiment.sweep else ["num_seeds"]
    names += [f"{section}.{name}" for name in found]
    names += ["memory.context"] if hasattr(experiment.memory, "context") else []
    return f"{', '.join(names)} or the sizes of layers"


def first_state(experiment: Experiment, agent: Any) -> Any:
    """Return the state of all members before the first update."""
    configs = [applied(experiment.agent_config, group.setting) for group in experiment.groups]
    hypers = map(agent.hyperparameters, configs) if experiment.sweep else ()
    return init_seeds(agent, experiment.seed, experiment.num_seeds, [*hypers])


def restore(experiment: Experiment, agent: Any, folder: RunFolder, resuming: bool = False) -> Any:
    """Return what acting needs of a run's newest whole state; ``resuming``, all of it.

    Where the run resumes before a checkpoint, it is the first state.
    """
    checkpoints = Checkpoints(folder.checkpoints, must_exist=not resuming)
    if resuming and checkpoints.newest() is None:
        console.print("there is no checkpoint yet; starting from the beginning")
        return first_state(experiment, agent)
    like = jax.eval_shape(lambda: first_state(experiment, agent))
    like = saved(agent, like) if resuming else lean(agent, like)
    part = has_spare(agent) and not resuming
    update, state, warnings = checkpoints.restore(like, part=part)
    warn(warnings)
    console.print(f"restored the state after update {update}")
    if not resuming or saves_all(agent) or update >= agent.num_updates:
        return state
    no_longer = "the run no longer ends bit for bit as it would have undisturbed"
    warn([f"this run's checkpoints leave out {agent.lost(update)}; {no_longer}"])
    return refill(agent, state, experiment.num_members)
