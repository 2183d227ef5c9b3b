"""Meta-RL on XLand-MiniGrid's tasks without rules, its benchmark "trivial"."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.meta.tasks import check_split
from envs.meta.trial import Trial
from envs.suites.base import load
from envs.suites.xland import PACKAGE, XLand
from envs.wrappers.transform import AsCategories

NAME = "meta/XLand"
COLOURS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 11)  # all but black, which is the floor's
PICKABLE = (3, 4, 5, 7, 11, 12)  # ball, square, pyramid, key, hexagon, star
GOAL = 6  # a tile that cannot be picked up
EMPTY = (0, 0)
# The package's numbers of goals: hold a tile; stand next to one, on any or on a given side of it;
# put down one next to another, or on a given side of it.
HOLD, NEXT_TO, PUT_NEXT_TO = (1,), (3, 11, 12, 13, 14), (4, 7, 8, 9, 10)
NUM_DISTRACTORS = 3
HELD_OUT_SHARE, STRIDE = 10, 7919


class TrivialXLand(XLand):
    """A world of XLand-MiniGrid whose task is a goal among three other objects, without rules.

    As the package's generator has it with ``chain_depth=0`` and ``num_distractor_objects=3``: the
    kind of goal is uniform over the eleven that there are, its one or two tiles are uniform over
    those that suit it, and the other three objects over all tiles but the goal's, with repetition.
    There are 21,410 goals (hence the package's benchmark of today, "trivial-21k", in which each
    goal comes once). Nothing is downloaded.

    Goal i, in the order of ``all_goals``, is held out where 7919 i mod 21,410 is below 2,141: a
    tenth of them, which are never trained on. ``split`` says which are drawn.
    """

    def __init__(self, world: str, split: str = "train", **settings: Any):
        check_split(NAME, split)
        super().__init__(world, **settings)
        self._rule_set = load("xminigrid.types", NAME, "ssmrl[xland]").RuleSet
        self._goals, self._first, self._count = _by_kind(split)
        self._params = self.draw_task(jax.random.key(0), self._params)

    def draw_task(self, key: jax.Array, params: Any) -> Any:
        """Return a task of the split, as the package's ruleset."""
        key_kind, key_goal, key_others = jax.random.split(key, 3)
        kind = jax.random.randint(key_kind, (), 0, len(self._count))
        place = jax.random.randint(key_goal, (), 0, jnp.asarray(self._count)[kind])
        goal = jnp.asarray(self._goals)[jnp.asarray(self._first)[kind] + place]
        own = goal[1:].reshape(2, 2)
        tiles = jnp.asarray(_tiles((*PICKABLE, GOAL)), jnp.uint8)
        is_own = (tiles[:, None] == own[None]).all(-1).any(-1)
        chances = jnp.where(is_own, -jnp.inf, 0.0)
        others = tiles[jax.random.categorical(key_others, chances, shape=(NUM_DISTRACTORS,))]
        ruleset = self._rule_set(
            goal=goal, rules=jnp.zeros((1, 7), jnp.uint8), init_tiles=jnp.concatenate([own, others])
        )
        return params.replace(ruleset=ruleset)


def all_goals() -> np.ndarray:
    """Return every goal as the package encodes it: uint8 [21410, 5], kind, tile, other tile."""
    movable, every = _tiles(PICKABLE), _tiles((*PICKABLE, GOAL))
    goals = [(kind, *tile, *EMPTY) for kind in HOLD for tile in movable]
    goals += [(kind, *tile, *EMPTY) for kind in NEXT_TO for tile in every]
    goals += [(kind, *tile, *other) for kind in PUT_NEXT_TO for tile in every for other in movable]
    return np.array(goals, np.uint8)


def is_held_out(num: int) -> np.ndarray:
    """Return of each of ``num`` goals whether it is held out: bool [num]."""
    return np.arange(num) * STRIDE % num < num // HELD_OUT_SHARE


def trivial(
    num_episodes: int = 25,
    world: str = "XLand-MiniGrid-R1-9x9",
    view_size: int = 5,
    max_steps: int | None = None,
    split: str = "train",
    ends: str = "terminated",
) -> Trial:
    """Return trials of 25 inner episodes on one goal; ``TrivialXLand`` says which.

    Reaching it pays 1 - 0.9 t/T in step t and ends the inner episode; T = ``max_steps`` steps, by
    default thrice the number of cells, truncate it. Every inner episode has other places.

    Observation: the ``view_size``² cells before the agent as 2 ``view_size``² categories, its tile
    and its colour, which agents see one-hot: their numbers have no order.
    """
    env = TrivialXLand(world, split, max_steps=max_steps)
    params = env.default_params.replace(view_size=view_size)
    return Trial(AsCategories(env, params), params, num_episodes, ends=ends)


def _tiles(kinds: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(itertools.product(kinds, COLOURS))


def _by_kind(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the goals of a split, and of each kind where it begins and how many there are."""
    goals = all_goals()
    goals = goals[is_held_out(len(goals)) == (split == "held_out")]
    _, first, count = np.unique(goals[:, 0], return_index=True, return_counts=True)
    return goals, first, count


FACTORIES: dict[str, Callable[..., Any]] = {NAME: trivial}
NEEDS = {NAME: PACKAGE}
