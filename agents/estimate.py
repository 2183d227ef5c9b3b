"""How long cells will take: by finished ones of the same settings, or by timing one of them."""

import itertools
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from agents.experiment import Experiment
from agents.parts import play_episodes
from agents.run import check_memory, make_agent
from agents.study import settings_of
from ssmrl.train.chunk import Chunk, init_seeds

LONG_ENOUGH = 5.0  # seconds of updates, after the first, that tell their pace
UPDATES = 20  # at most, that are timed


@dataclass(frozen=True)
class Pace:
    """What a cell takes: seconds for each step of a seed, and once, beside that."""

    per_step: float
    overhead: float
    basis: str  # where it is known from

    def seconds(self, steps: int) -> float:
        """Return the seconds of a cell with so many steps to go."""
        return steps * self.per_step + self.overhead


def setting_key(settings: Mapping[str, Any]) -> str:
    """Return what cells of about the same pace have in common: names, flags and sizes.

    Neither the environment, nor the seed, nor numbers that are no sizes, such as learning rates.
    """
    left = ("seed", "run_dir", "total_steps", "log_every", "checkpoint_every")
    kept = {name: value for name, value in settings.items() if name not in left}
    kept["env"] = {k: v for k, v in settings["env"].items() if k not in ("name", "params")}
    sections = {
        name: {k: v for k, v in value.items() if not isinstance(v, float)}
        for name, value in kept.items()
        if isinstance(value, Mapping)
    }
    return json.dumps({**kept, **sections}, sort_keys=True)


class Paces:
    """The pace of each setting on this device; what no finished cell tells is timed once."""

    def __init__(self, records: Iterable[Mapping[str, Any]]):
        device = jax.devices()[0].device_kind
        here = [record for record in records if record["device"] == device]
        self._known: dict[str, list[Pace]] = {}
        for record in here:
            per_step = record["seconds"] / record["steps"]
            pace = Pace(per_step, record["overhead_seconds"], "finished cells")
            self._known.setdefault(setting_key(record["settings"]), []).append(pace)

    @property
    def largest_overhead(self) -> float:
        """Seconds that a cell of this experiment has taken beside training, at most."""
        paces = itertools.chain.from_iterable(self._known.values())
        return max((pace.overhead for pace in paces), default=0.0)

    def of(self, experiment: Experiment) -> Pace:
        """Return the mean pace of cells of the same setting; time this one if there is none."""
        key = setting_key(settings_of(experiment))
        if key not in self._known:
            self._known[key] = [timed(experiment)]
        paces = self._known[key]
        per_step, overhead = (
            sum(values) / len(paces)
            for values in zip(*((p.per_step, p.overhead) for p in paces), strict=True)
        )
        return Pace(per_step, overhead, paces[0].basis)


def timed(experiment: Experiment) -> Pace:
    """Compile a cell, do a few updates and its evaluation, and write nothing of it."""
    began = time.monotonic()
    agent = make_agent(experiment)
    check_memory(experiment, agent)
    state = init_seeds(agent, experiment.seed, experiment.num_seeds)
    chunk = Chunk(agent, experiment.num_seeds)
    chunk.compile(state)
    prepared = time.monotonic()
    state, *_ = chunk(state, 1)  # the first takes longer
    seconds = [time.monotonic() - prepared]
    while sum(seconds) < LONG_ENOUGH and len(seconds) <= min(UPDATES, agent.num_updates - 1):
        start = time.monotonic()
        state, *_ = chunk(state, 1)
        seconds.append(time.monotonic() - start)
    after = seconds[1:] or seconds
    update = float(np.median(after))
    trained = time.monotonic()
    options = (experiment.eval_episodes, 0, experiment.eval_max_steps)
    for _ in play_episodes(agent, state, experiment.seeds, *options):
        pass
    overhead = prepared - began + (time.monotonic() - trained)
    return Pace(update / agent.steps_per_update, overhead, "timed just now")
