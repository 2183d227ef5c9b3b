"""POPGym's environments (Morad et al. 2023) in JAX, with the exact rules of popgym 1.0.7."""

import functools
from collections.abc import Callable
from typing import Any

from envs.popgym.autoencode import Autoencode
from envs.popgym.battleship import Battleship
from envs.popgym.cartpole import (
    NoisyPositionOnlyCartPole,
    PositionOnlyCartPole,
    VelocityOnlyCartPole,
)
from envs.popgym.concentration import Concentration
from envs.popgym.count_recall import CountRecall
from envs.popgym.higher_lower import HigherLower
from envs.popgym.labyrinth import LabyrinthEscape, LabyrinthExplore
from envs.popgym.minesweeper import MineSweeper
from envs.popgym.multiarmed_bandit import MultiarmedBandit
from envs.popgym.pendulum import NoisyPositionOnlyPendulum, PositionOnlyPendulum
from envs.popgym.repeat_first import RepeatFirst
from envs.popgym.repeat_previous import RepeatPrevious

LEVELS = ("Easy", "Medium", "Hard")
CART_POLE = (
    {"max_steps_in_episode": 200},
    {"max_steps_in_episode": 400},
    {"max_steps_in_episode": 600},
)
NOISE = ({"noise_sigma": 0.1}, {"noise_sigma": 0.2}, {"noise_sigma": 0.3})
SIZES = ({"size": 10}, {"size": 14}, {"size": 18})
DECKS = ({"num_decks": 1}, {"num_decks": 2}, {"num_decks": 3})

# A family's class and its arguments on the three levels.
FAMILIES: dict[str, tuple[type, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "Autoencode": (Autoencode, *DECKS),
    "Battleship": (Battleship, {"board_size": 8}, {"board_size": 10}, {"board_size": 12}),
    "Concentration": (
        Concentration,
        {"num_decks": 1, "num_kinds": 2},
        {"num_decks": 2, "num_kinds": 2},
        {"num_decks": 1, "num_kinds": 13},
    ),
    "CountRecall": (
        CountRecall,
        {"num_decks": 1, "num_kinds": 2},
        {"num_decks": 2, "num_kinds": 4},
        {"num_decks": 4, "num_kinds": 13},
    ),
    "HigherLower": (HigherLower, *DECKS),
    "LabyrinthEscape": (LabyrinthEscape, *SIZES),
    "LabyrinthExplore": (LabyrinthExplore, *SIZES),
    "MineSweeper": (
        MineSweeper,
        {"dims": (4, 4), "num_mines": 2},
        {"dims": (6, 6), "num_mines": 6},
        {"dims": (8, 8), "num_mines": 10},
    ),
    "MultiarmedBandit": (
        MultiarmedBandit,
        {"num_bandits": 10, "max_steps_in_episode": 200},
        {"num_bandits": 20, "max_steps_in_episode": 400},
        {"num_bandits": 30, "max_steps_in_episode": 600},
    ),
    "NoisyPositionOnlyCartPole": (NoisyPositionOnlyCartPole, *NOISE),
    "NoisyPositionOnlyPendulum": (NoisyPositionOnlyPendulum, *NOISE),
    "PositionOnlyCartPole": (PositionOnlyCartPole, *CART_POLE),
    "PositionOnlyPendulum": (
        PositionOnlyPendulum,
        {"max_steps_in_episode": 200},
        {"max_steps_in_episode": 150},
        {"max_steps_in_episode": 100},
    ),
    "RepeatFirst": (RepeatFirst, {"num_decks": 1}, {"num_decks": 8}, {"num_decks": 16}),
    "RepeatPrevious": (
        RepeatPrevious,
        {"num_decks": 1, "k": 4},
        {"num_decks": 2, "k": 32},
        {"num_decks": 3, "k": 64},
    ),
    "VelocityOnlyCartpole": (VelocityOnlyCartPole, *CART_POLE),  # as popgym spells this id
}

FACTORIES: dict[str, Callable[..., Any]] = {
    f"popgym/{family}{level}": functools.partial(cls, **arguments)
    for family, (cls, *levels) in FAMILIES.items()
    for level, arguments in zip(LEVELS, levels, strict=True)
}

# Names of popgym up to 1.0.3, of popjaxrl, and of popgym's own class where its id differs.
OLD_FAMILIES = {
    "StatelessCartPole": "PositionOnlyCartPole",
    "NoisyStatelessCartPole": "NoisyPositionOnlyCartPole",
    "StatelessPendulum": "PositionOnlyPendulum",
    "NoisyStatelessPendulum": "NoisyPositionOnlyPendulum",
    "VelocityOnlyCartPole": "VelocityOnlyCartpole",
    "Minesweeper": "MineSweeper",
    "MultiArmedBandit": "MultiarmedBandit",
}

ALIASES = {
    f"popgym/{old}{level}": f"popgym/{new}{level}"
    for old, new in OLD_FAMILIES.items()
    for level in LEVELS
}
