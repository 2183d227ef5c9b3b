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
ONCE = 5.0  # seconds of a call to start, and to draw in the end


@dataclass(frozen=True)
class Pace:
    """What a cell takes: seconds for each step of its seeds, and those beside training.

    Those are ``cold`` where its program has to be compiled, and ``warm`` where a cell that differs
    in numbers only has left it in the cache.
    """

    per_step: float
    cold: float
    warm: float
    basis: str  # where it is known from


def setting_key(settings: Mapping[str, Any], env: bool = False) -> str:
    """Return what cells of about the same pace have in common: names, flags and sizes.

    Not numbers that are no sizes, such as learning rates. With ``env``, it is what cells of the
    same program have in common, else neither the environment nor the length of training.
    """
    left = {"seed", "run_dir", "log_every", "checkpoint_every"} | (
        set() if env else {"total_steps"}
    )
    kept = {name: value for name, value in settings.items() if name not in left}
    if not env:
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
        self._known: dict[str, list[Pace]] = {}
        self._compiled: set[str] = set()
        for record in (r for r in records if r["device"] == device):
            cold, settings = record["overhead_seconds"], record["settings"]
            warm = max(cold - (record["compile_seconds"] or 0.0), 0.0)
            pace = Pace(record["seconds"] / record["steps"], cold, warm, "finished cells")
            self._known.setdefault(setting_key(settings), []).append(pace)
            self._compiled.add(setting_key(settings, env=True))

    @property
    def largest_overhead(self) -> float:
        """Seconds that a cell of this experiment has taken beside training, at most."""
        paces = itertools.chain.from_iterable(self._known.values())
        return max((pace.cold for pace in paces), default=0.0)

    def seconds(self, experiment: Experiment, steps: int, evaluated: bool) -> tuple[float, str]:
        """Return what a cell takes that has so many steps to go, and how that is known.

        It is the mean of cells of the same setting; where there is none, this one is timed.
        """
        settings = settings_of(experiment)
        key, program = setting_key(settings), setting_key(settings, env=True)
        if key not in self._known:
            self._known[key] = [timed(experiment, evaluated)]
            self._compiled.add(program)
        paces = self._known[key]
        beside = [pace.warm if program in self._compiled else pace.cold for pace in paces]
        self._compiled.add(program)  # when the next cell begins
        per_step = float(np.mean([pace.per_step for pace in paces]))
        return steps * per_step + float(np.mean(beside)), paces[0].basis


def timed(experiment: Experiment, evaluated: bool) -> Pace:
    """Compile a cell, do a few updates and its evaluation, twice; write nothing but the cache."""
    cold, per_step = _tried(experiment, evaluated, LONG_ENOUGH)
    warm, _ = _tried(experiment, evaluated, 0.0)
    return Pace(per_step, cold, warm, "timing one")


def _tried(experiment: Experiment, evaluated: bool, long_enough: float) -> tuple[float, float]:
    """Return the seconds that a cell takes beside training, and for each step of training."""
    began = time.monotonic()
    agent = make_agent(experiment)
    check_memory(experiment, agent)
    state = init_seeds(agent, experiment.seed, experiment.num_seeds)
    chunk = Chunk(agent, experiment.num_seeds)
    chunk.compile(state)
    seconds: list[float] = []
    most = min(UPDATES, agent.num_updates)
    while not seconds or (sum(seconds[1:]) < long_enough and len(seconds) < most):
        start = time.monotonic()
        state, *_ = chunk(state, 1)
        seconds.append(time.monotonic() - start)
    if evaluated:
        options = (experiment.eval_episodes, 0, experiment.eval_max_steps)
        list(play_episodes(agent, state, experiment.seeds, *options))
    overhead = time.monotonic() - began - sum(seconds)
    update = float(np.median(seconds[1:] or seconds))  # the first takes longer
    return overhead, update / agent.steps_per_update
