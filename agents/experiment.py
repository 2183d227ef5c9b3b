"""An experiment from a preset and the command line: a frozen dataclass, checked before tracing."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agents.sweep import Group, check_sweep, settings
from ssmrl.errors import UsageError, shown
from ssmrl.registry import Registry, did_you_mean
from ssmrl.train.config import check_above_zero, convert, from_mapping, merge, named
from ssmrl.train.values import LongInt
from ssmrl.train.yaml_file import read_yaml

AGENTS: Registry[str] = Registry("agent")  # where their classes are; imported when used
AGENTS.register("ppo", "agents.ppo:PPO")
AGENTS.register("muesli", "agents.muesli:Muesli")
AGENTS.register("r2i", "agents.r2i:R2I")


@dataclass(frozen=True)
class EnvConfig:
    """The environment, and what is appended to its observations."""

    name: str = "popgym/RepeatPreviousEasy"  # registered name, gymnax id, or module:Class
    params: dict[str, Any] = field(default_factory=dict)  # of the environment, such as time limits
    previous_action: bool = True  # append the last action, one-hot
    previous_reward: bool = False  # append the last reward
    start_flag: bool = True  # append 1 at the first observation of an episode


@dataclass(frozen=True)
class Experiment:
    """What all agents share; ``experiment_class`` adds the sections of memory and agent.

    Attributes:
        agent: which agent learns: a registered name, or module:Class
        env: the environment, and what is appended to its observations
        memory: the memory's name and options
        total_steps: environment steps of each seed
        seed: of the first; the others follow it
        num_seeds: trained side by side, vmapped
        sweep: numbers of the agent and values, trained side by side, each with every seed
        run_dir: a new folder for the run; by default one under runs/
        log_every: updates per row of metrics
        checkpoint_every: updates per checkpoint, rounded up to whole rows of metrics
        eval_episodes: parallel episodes of each evaluation
        eval_max_steps: an evaluation's episode that goes on longer is cut off and left out
        track: what shows the run beside TensorBoard: wandb, for Weights & Biases
    """

    agent: str = "ppo"
    env: EnvConfig = EnvConfig()
    memory: Any = None
    total_steps: LongInt = 1_000_000
    seed: int = 0
    num_seeds: int = 1
    sweep: dict[str, tuple[float, ...]] = field(default_factory=dict)
    run_dir: str | None = None
    log_every: int = 1
    checkpoint_every: int = 20
    eval_episodes: int = 256
    eval_max_steps: int = 20_000
    track: Literal["wandb"] | None = None

    def __post_init__(self) -> None:
        sizes = ("total_steps", "num_seeds", "log_every", "checkpoint_every")
        check_above_zero("", self, *sizes, "eval_episodes", "eval_max_steps")
        if not 0 <= self.seed < 2**31 - self.num_seeds:
            raise UsageError(f"seed must lie in 0..{2**31 - self.num_seeds - 1}, not {self.seed}")

    @property
    def seeds(self) -> range:
        """All seeds that are trained."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def groups(self) -> list[Group]:
        """What is trained side by side: each setting of the sweep with its members, one a seed."""
        n = self.num_seeds
        return [Group(s, range(i * n, (i + 1) * n)) for i, s in enumerate(settings(self.sweep))]

    @property
    def num_members(self) -> int:
        """How many agents these are, which no device may have room for."""
        return self.num_seeds * math.prod(map(len, self.sweep.values()))

    @property
    def agent_config(self) -> Any:
        """The section of the agent."""
        return getattr(self, agent_section(self.agent))

    def num_updates(self, steps_per_update: int) -> int:
        """Return how many whole updates fit into ``total_steps``; at least one must."""
        if self.total_steps < steps_per_update:
            raise UsageError(
                f"total_steps={self.total_steps} is less than one update of {steps_per_update} "
                "steps (num_envs x num_steps); lower those, or raise it to "
                f"{steps_per_update} or more"
            )
        updates = self.total_steps // steps_per_update
        if updates >= 2**31:  # they are counted in 32 bits
            raise UsageError(
                f"total_steps={self.total_steps} makes {updates} updates; lower it, or raise the "
                f"{steps_per_update} steps of an update, so that fewer than {2**31} are left"
            )
        return updates


def experiment_class(agent: str, memory: str) -> type[Experiment]:
    """Return the Experiment whose ``memory`` and agent sections have the fields of those two."""
    agent_config = agent_class(agent).Config
    fields = [
        ("memory", memory_config(memory), field(default_factory=memory_config(memory))),
        (agent_section(agent), agent_config, field(default_factory=agent_config)),
    ]
    return dataclasses.make_dataclass("Experiment", fields, bases=(Experiment,), frozen=True)


def agent_class(name: str) -> Any:
    """Return the class of the agent called ``name``, which may be ``module:Class`` too.

    Raises ``UsageError`` where there is none, or it has no dataclass of options.
    """
    found = AGENTS.get(name)
    found = AGENTS.get(found) if isinstance(found, str) else found
    if not isinstance(found, type) or not dataclasses.is_dataclass(getattr(found, "Config", None)):
        raise UsageError(
            f"agent {name!r} must be a class with a dataclass of options as its Config; "
            "agents/ppo.py has one"
        )
    return found


def agent_section(name: str) -> str:
    """Return what the agent's options are grouped under: its class's name in small letters."""
    section = agent_class(name).__name__.lower()
    if section in {f.name for f in dataclasses.fields(Experiment)}:
        raise UsageError(f"agent {name!r} cannot have {section!r} as its name; rename the class")
    return section


@functools.cache
def memory_config(name: str) -> type:
    """Return a dataclass of the memory's name and options."""
    from ssmrl import memory

    options = memory.options(name)
    fields = [("name", str, name), *((key, o.type, o.default) for key, o in options.items())]
    meanings = {"name": "registered name, or module:Class"}
    meanings |= {key: o.meaning for key, o in options.items() if o.meaning}
    lines = [f"    {key}: {meaning}" for key, meaning in meanings.items()]
    words = {"__doc__": "\n".join(["Its name and options.", "", "Attributes:", *lines])}
    return dataclasses.make_dataclass(
        "MemoryConfig", fields, frozen=True, kw_only=True, namespace=words
    )


def load_experiment(
    config: str | Path | Mapping[str, Any] | None, overrides: Mapping[str, Any] | None = None
) -> Experiment:
    """Return the experiment of a preset, YAML file or mapping, with ``overrides`` laid on top.

    Raises ``UsageError`` for whatever does not fit.
    """
    if not isinstance(config, Mapping):
        config = {} if config is None else read_config(config)
    merged = overlay(config, overrides or {})
    cls = experiment_class(_agent_name(merged), _memory_name(merged))
    experiment = from_mapping(cls, merged)
    check_sweep(experiment, agent_class(experiment.agent), agent_section(experiment.agent))
    return experiment


def overlay(mapping: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with others on top.

    Where an override names another memory or agent than is below, the options below hold only as
    far as that one has them.
    """
    merged = merge(mapping, overrides)
    agent, memory_name = _agent_name(merged), _memory_name(merged)
    kept = dict(mapping)
    if memory_name != _memory_name(mapping):
        kept["memory"] = _shared(mapping.get("memory", {}), memory_config(memory_name))
    if (before := _agent_name(mapping)) != agent:
        old = kept.pop(agent_section(before), {})
        kept[agent_section(agent)] = _shared(old, agent_class(agent).Config)
    merged = merge(kept, overrides)
    merged["memory"] = {"name": memory_name, **merged.get("memory", {})}
    return merged


def _shared(section: Mapping[str, Any], config: type) -> dict[str, Any]:
    """Return those options of a section that ``config`` has too."""
    known = {f.name for f in dataclasses.fields(config)}
    return {key: value for key, value in named(section).items() if key in known}


def _agent_name(mapping: Mapping[str, Any]) -> str:
    return convert(mapping.get("agent", "ppo"), str, "agent")


def _memory_name(mapping: Mapping[str, Any]) -> str:
    section = mapping.get("memory", {})
    if not isinstance(section, Mapping):
        raise UsageError(
            f"memory must be a group of options, not {shown(section)}; name it memory.name"
        )
    return convert(section.get("name", "s5"), str, "memory.name")


def config_folder() -> Path:
    """Return the folder of presets: beside the code in a wheel, at the top of a checkout."""
    here = Path(__file__).resolve().parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def config_names() -> list[str]:
    """Return the names of all presets, such as ``paper/popgym``."""
    return [n for n in yaml_names(config_folder()) if n.partition("/")[0] != "experiments"]


def yaml_names(folder: Path) -> list[str]:
    """Return the paths of all YAML files below a folder, without their suffix."""
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))


def read_config(config: str | Path) -> dict[str, Any]:
    """Return the mapping in a preset, or in a YAML file where the name ends in .yaml."""
    path = Path(config)
    if "\0" in str(path):
        raise UsageError(f"a config's name must be text without null bytes, not {str(path)!r}")
    if path.suffix not in (".yaml", ".yml"):
        if str(config) not in config_names():
            hint = did_you_mean(str(config), config_names())
            raise UsageError(f"unknown config {shown(str(config))}{hint}; a file must end in .yaml")
        path = config_folder() / f"{config}.yaml"
    return read_yaml(path)
