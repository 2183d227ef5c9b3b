"""Wrappers that change what an agent sees, does and earns, inside the auto-reset of ``step``.

At the end of an episode ``step`` returns two observations. The returned one opens the next
episode, so it carries nothing of the last one: no action, no reward, a raised start flag, noise
of its own. ``info["final_observation"]`` closes the old episode and carries what the agent would
have seen had it gone on: the last action, the last reward, start flag 0.

``wrap`` puts those on top that the agents need. What makes a task harder or fits it to others
goes below, on flat observations where it asks for them:

    env, params = envs.make("CartPole-v1")
    env = envs.wrap(Distractors(FrameSkip(env, 2), 8, correlation=0.99))
"""

from typing import Any

from envs.spaces import Box
from envs.wrappers.append import PreviousAction, PreviousReward, StartFlag
from envs.wrappers.base import StatefulWrapper, Wrapper, name_of, own_key
from envs.wrappers.noise import Distractors, ObservationNoise, SinusoidalPerturbation
from envs.wrappers.pad import PadActions, PadObservation
from envs.wrappers.time import DelayedReward, EpisodeStatistics, FrameSkip
from envs.wrappers.transform import (
    ClipAction,
    FlattenObservation,
    NormaliseObservation,
    RescaleAction,
)

__all__ = [
    "ClipAction",
    "DelayedReward",
    "Distractors",
    "EpisodeStatistics",
    "FlattenObservation",
    "FrameSkip",
    "NormaliseObservation",
    "ObservationNoise",
    "PadActions",
    "PadObservation",
    "PreviousAction",
    "PreviousReward",
    "RescaleAction",
    "SinusoidalPerturbation",
    "StartFlag",
    "StatefulWrapper",
    "Wrapper",
    "name_of",
    "own_key",
    "wrap",
]


def wrap(
    env: Any,
    *,
    previous_action: bool = True,
    previous_reward: bool = False,
    start_flag: bool = True,
) -> Wrapper:
    """Return ``env`` as the agents take it: flat observations, episode totals in ``info``.

    The observation is [flat observation | previous action | previous reward | start flag], with
    the parts that are asked for. Box actions are clipped first, so that the previous action is
    the one that the environment got. The order is that of the lines below.
    """
    wrapped: Wrapper = FlattenObservation(env)
    for wanted, wrapper in (
        (previous_action, PreviousAction),
        (previous_reward, PreviousReward),
        (start_flag, StartFlag),
    ):
        wrapped = wrapper(wrapped) if wanted else wrapped
    wrapped = EpisodeStatistics(wrapped)
    if isinstance(env.action_space(getattr(env, "default_params", None)), Box):
        wrapped = ClipAction(wrapped)
    return wrapped
