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

from envs.wrappers.append import PreviousAction, PreviousReward, StartFlag
from envs.wrappers.base import StatefulWrapper, Wrapper, name_of, own_key
from envs.wrappers.noise import Distractors, ObservationNoise, SinusoidalPerturbation
from envs.wrappers.pad import PadActions, PadObservation
from envs.wrappers.time import DelayedReward, EpisodeStatistics, FrameSkip
from envs.wrappers.transform import (
    AsCategories,
    BinnedAction,
    ClipAction,
    FlattenObservation,
    NormaliseObservation,
    RescaleAction,
    ScaleReward,
)

__all__ = [
    "AsCategories",
    "BinnedAction",
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
    "ScaleReward",
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
    """Return ``env`` as the agents take it: flat observations, actions from -1 to 1.

    What an agent's action passes on its way in, from the outermost wrapper on:

    1. ``ClipAction``: continuous actions are clipped, to -1 and 1 where both bounds are finite.
    2. ``EpisodeStatistics``: episode totals in ``info``.
    3. ``StartFlag``, ``PreviousReward``, ``PreviousAction``, where they are asked for. The
       previous action is the clipped one in the agent's own unit, so that environments that
       differ only in the bounds of their actions look the same.
    4. ``FlattenObservation``: the observation is [flat observation | previous action | previous
       reward | start flag], with integers between 0 and 1 as ``envs.spaces.encode`` has it.
    5. ``RescaleAction``: the environment gets the action stretched to its bounds.
    """
    wrapped: Wrapper = FlattenObservation(RescaleAction(env))
    for wanted, wrapper in (
        (previous_action, PreviousAction),
        (previous_reward, PreviousReward),
        (start_flag, StartFlag),
    ):
        wrapped = wrapper(wrapped) if wanted else wrapped
    return ClipAction(EpisodeStatistics(wrapped))
