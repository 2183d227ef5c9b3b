"""POPGym's environments (Morad et al. 2023) in JAX, with the exact rules of popgym 1.0.7."""

import functools
from collections.abc import Callable
from typing import Any

from envs.popgym.cartpole import NoisyPositionOnlyCartPole, PositionOnlyCartPole
from envs.popgym.repeat_first import RepeatFirst
from envs.popgym.repeat_previous import RepeatPrevious

# A family's class and its arguments on the levels Easy, Medium and Hard.
FAMILIES: dict[str, tuple[type, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "RepeatPrevious": (
        RepeatPrevious,
        {"num_decks": 1, "k": 4},
        {"num_decks": 2, "k": 32},
        {"num_decks": 3, "k": 64},
    ),
    "RepeatFirst": (RepeatFirst, {"num_decks": 1}, {"num_decks": 8}, {"num_decks": 16}),
    "PositionOnlyCartPole": (
        PositionOnlyCartPole,
        {"max_steps_in_episode": 200},
        {"max_steps_in_episode": 400},
        {"max_steps_in_episode": 600},
    ),
    "NoisyPositionOnlyCartPole": (
        NoisyPositionOnlyCartPole,
        {"noise_sigma": 0.1},
        {"noise_sigma": 0.2},
        {"noise_sigma": 0.3},
    ),
}

FACTORIES: dict[str, Callable[..., Any]] = {
    f"popgym/{family}{level}": functools.partial(cls, **arguments)
    for family, (cls, *levels) in FAMILIES.items()
    for level, arguments in zip(("Easy", "Medium", "Hard"), levels, strict=True)
}
