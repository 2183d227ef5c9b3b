"""Trials of any environment, alone or side by side, and of POPGym's cart pole as published."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from envs.meta.mixture import Mixture, choose_split
from envs.meta.projected import Projected
from envs.meta.tasks import Varied, check_split
from envs.meta.trial import Trial
from ssmrl.errors import UsageError, shown
from ssmrl.registry import did_you_mean

CART_POLES = ("published", "released", "physics")


def trial(
    env: str = "CartPole-v1",
    settings: Mapping[str, Any] | None = None,
    vary: Mapping[str, Any] | None = None,
    observation_size: int | None = None,
    action_size: int | None = None,
    projection: str = "orthonormal",
    num_episodes: int | None = None,
    num_steps: int | None = None,
    same_start: bool = False,
    ends: str = "terminated",
    returns: str = "trial",
    split: str = "train",
) -> Trial:
    """Return trials of the environment called ``env``, made with ``settings``.

    ``vary`` and ``split`` are those of ``Varied``; sizes and ``projection``, its law, those of
    ``Projected``; the rest those of ``Trial``. Without limits a trial is one inner episode.
    """
    from envs.registry import make  # which knows this function by name

    check_split("meta/Trial", split)
    for key, value in (("settings", settings), ("vary", vary)):
        if value is not None and not isinstance(value, Mapping):
            raise UsageError(f"environment 'meta/Trial': {key} must be a group, not {shown(value)}")
    inner, params = make(env, **(settings or {}))
    if vary or split != "train":
        inner = Varied(inner, params, vary or {}, split)
    if observation_size is not None or action_size is not None:
        inner = Projected(inner, params, observation_size, action_size, projection)
        params = inner.default_params
    if num_episodes is None and num_steps is None:
        num_episodes = 1
    return Trial(inner, params, num_episodes, num_steps, same_start, ends, returns)


def cart_pole(
    num_episodes: int = 16,
    tasks: str = "published",
    ends: str = "terminated",
    returns: str = "inner",
    split: str = "train",
) -> Trial:
    """Return trials of 16 episodes of POPGym's position-only cart pole (200 steps, 1 in all).

    Every inner episode's return is learnt by itself: ``Trial`` says why.

    ``tasks`` says what an agent has to find out. "published", as in Lu et al. 2023, section 4.3:
    an orthonormal projection of the two positions to four numbers, and which action pushes left.
    "released", what their code does: a projection √2 times as long, actions as they are, and every
    inner episode of a trial begins alike. "physics": nothing is projected, but the pole's length
    and mass, the cart's mass and the force vary, each from 0.7 to 1.4 times what it is; held out
    is 1.5 to 2 times.
    """
    if tasks not in CART_POLES:
        known = ", ".join(CART_POLES)
        raise UsageError(f"environment 'meta/CartPole': tasks must be {known}, not {shown(tasks)}")
    if tasks != "physics" and split != "train":
        raise UsageError(
            "environment 'meta/CartPole': projections are drawn anew for every trial, so that all "
            "are held out; leave split at 'train'"
        )
    sizes: tuple[int | None, int | None] = (None, None) if tasks == "physics" else (4, 2)
    return trial(
        "popgym/PositionOnlyCartPoleEasy",
        None,
        _physics() if tasks == "physics" else None,
        *sizes,
        projection="released" if tasks == "released" else "orthonormal",
        num_episodes=num_episodes,
        same_start=tasks == "released",
        ends=ends,
        returns=returns,
        split=split,
    )


def _physics() -> dict[str, Any]:
    usual = {"length": 0.5, "masspole": 0.1, "masscart": 1.0, "force_mag": 10.0}
    return {
        field: {
            "train": {"low": 0.7 * value, "high": 1.4 * value},
            "held_out": {"low": 1.5 * value, "high": 2.0 * value},
        }
        for field, value in usual.items()
    }


def mixture(
    members: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
    weights: Mapping[str, float] | None = None,
    split: str = "train",
) -> Mixture:
    """Return trials of several environments, among which a batch is divided.

    ``members`` are trained on, ``held_out`` are others; each is a name and the settings of
    ``trial``, as in ``{"CartPole-v1": {"num_episodes": 4}}``, whose ``env`` is the name where it
    is not given. ``weights`` are shares of the batch, 1 by default. Without members there are two,
    gymnax's CartPole-v1 and Acrobot-v1.
    """
    name = "meta/Mixture"
    members = {"CartPole-v1": {}, "Acrobot-v1": {}} if members is None else members
    groups = {"members": members, "held_out": held_out or {}, "weights": weights or {}}
    for key, value in groups.items():
        if not isinstance(value, Mapping):
            raise UsageError(f"environment {name!r}: {key} must be a group, not {shown(value)}")
    every = {**groups["held_out"], **members}
    for label, settings in every.items():
        if not isinstance(settings, Mapping):
            raise UsageError(
                f"environment {name!r}: member {label!r} must be a group of settings, not "
                f"{shown(settings)}"
            )
    for label in groups["weights"]:
        if label not in every:
            raise UsageError(
                f"environment {name!r}: weights has no member {shown(label)}"
                f"{did_you_mean(str(label), every)}"
            )
    chosen = choose_split(name, split, list(members), list(groups["held_out"]))
    made = [(label, _member(label, every[label])) for label in chosen]
    shares = [groups["weights"].get(label, 1.0) for label in chosen]
    return Mixture(name, [(label, env, env.default_params) for label, env in made], shares)


def _member(label: str, settings: Mapping[str, Any]) -> Trial:
    known = inspect.signature(trial).parameters
    for key in settings:
        if key not in known:
            raise UsageError(
                f"environment 'meta/Mixture': member {label!r} has no setting {shown(key)}"
                f"{did_you_mean(str(key), known)}"
            )
    return trial(**{"env": label, **settings})


FACTORIES: dict[str, Callable[..., Any]] = {
    "meta/Trial": trial,
    "meta/CartPole": cart_pole,
    "meta/Mixture": mixture,
}
