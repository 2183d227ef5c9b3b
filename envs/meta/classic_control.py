"""Classic control seen through random projections: four of gymnax's tasks in one batch."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from envs.meta.mixture import Member, Mixture, choose_split
from envs.meta.projected import Projected
from envs.meta.trial import Trial
from envs.settings import check_range
from envs.spaces import Discrete
from envs.wrappers.transform import BinnedAction, NormaliseObservation, ScaleReward
from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean

NAME = "meta/ClassicControl"


@dataclasses.dataclass(frozen=True)
class Task:
    """What makes a task of gymnax comparable with the others."""

    middle: tuple[float, ...]  # of each entry of the observation
    spread: tuple[float, ...]  # the size of each entry while a good player plays
    scale: float  # of scale * (reward + shift)
    shift: float = 0.0
    is_paid_by_step: bool = False  # the scale is divided by the time limit


TASKS = {
    "CartPole-v1": Task((0, 0, 0, 0), (2.4, 2, 0.21, 2), scale=1, is_paid_by_step=True),
    "Acrobot-v1": Task((0,) * 6, (1, 1, 1, 1, 4, 9), scale=1, shift=1),
    "Pendulum-v1": Task((0, 0, 0), (1, 1, 8), scale=1 / 8.1368, shift=8.1368, is_paid_by_step=True),
    "MountainCarContinuous-v0": Task((-0.3, 0), (0.9, 0.07), scale=0.01),
}


def classic_control(
    num_episodes: int = 8,
    max_steps: int = 200,
    observation_size: int = 12,
    action_size: int = 2,
    projection: str = "orthonormal",
    returns: str = "inner",
    held_out: Sequence[str] = (),
    split: str = "train",
) -> Mixture:
    """Return trials of four tasks, among which a batch is divided.

    The protocol of Lu et al. 2023, section 4.4, at a size that a CPU trains: a trial is
    ``num_episodes`` inner episodes of at most ``max_steps`` steps of one task, behind projections
    of observations and actions that are drawn for it, so that an agent has to find out which task
    it plays, and how. ``projection`` and the sizes are those of ``Projected``: at least 6 and 1.

    Entries of observations are brought to about -1 to 1 before they are projected, and discrete
    actions are bins of a continuous one (``BinnedAction``). A good inner episode pays about 1:
    CartPole-v1 its share of the time limit; Pendulum-v1 as in POPGym, from -1 to 1;
    MountainCarContinuous-v0 a hundredth of what gymnax pays; Acrobot-v1 1 for the goal, however
    late, and else 0. ``returns`` is that of ``Trial``: every inner episode's return is learnt by
    itself, since with returns over whole trials nothing is lost when a pole falls.

    ``held_out`` names tasks that are not trained on, and make up the split "held_out".
    Projections are drawn anew in every trial, so that all are held out. Raises ``UsageError`` for
    unknown names, and where a split is empty.
    """
    check_range(NAME, "max_steps", max_steps, 1)
    held_out = _known(held_out)
    trained = [name for name in TASKS if name not in held_out]
    sizes = (observation_size, action_size, projection)
    members = [
        _member(name, num_episodes, max_steps, returns, *sizes)
        for name in choose_split(NAME, split, trained, held_out)
    ]
    return Mixture(NAME, members)


def _member(name: str, num_episodes: int, max_steps: int, returns: str, *projection: Any) -> Member:
    from envs.registry import make  # which knows this suite by name

    env, params = make(name, max_steps_in_episode=max_steps)
    task = TASKS[name]
    env = NormaliseObservation(env, task.middle, task.spread)
    env = BinnedAction(env) if isinstance(env.action_space(params), Discrete) else env
    scale = task.scale / max_steps if task.is_paid_by_step else task.scale
    env = Projected(ScaleReward(env, scale, task.shift), params, *projection)
    trial = Trial(env, env.default_params, num_episodes, returns=returns)
    return name, trial, trial.default_params


def _known(held_out: Any) -> list[str]:
    if isinstance(held_out, str) or not isinstance(held_out, Sequence):
        raise UsageError(
            f"environment {NAME!r}: held_out must be a list of names, not {shown(held_out)}"
        )
    for name in held_out:
        if name not in TASKS:
            hint = did_you_mean(str(name), TASKS)
            raise UsageError(f"environment {NAME!r}: held_out has no task {shown(name)}{hint}")
    return list(held_out)


FACTORIES: dict[str, Callable[..., Any]] = {NAME: classic_control}
