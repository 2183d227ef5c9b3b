"""Dark rooms: a goal, or a key and its door, that only the reward tells of."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.meta.novelty import Novelty
from envs.meta.room import Room, same, steps_between
from envs.meta.tasks import check_split
from envs.meta.trial import Trial
from envs.settings import check_range


@struct.dataclass
class RoomState:
    """Where the player is."""

    position: jax.Array  # int8 [2]: row and column
    time: jax.Array  # int16 []: steps taken


@struct.dataclass
class RoomParams:
    """The task, and the rules."""

    goal: jax.Array  # int8 [2]
    max_steps_in_episode: int = 20
    ends_at_goal: bool = True  # else every step there pays


class DarkRoom(Room):
    """Find a goal that cannot be seen, and then walk straight to it.

    The dark room of Laskin et al. 2022 ("Algorithm Distillation") with the rules of Tarasov et al.
    2025 ("Yes, Q-learning Helps Offline In-Context RL"), where the goal ends an inner episode:
    9 x 9 cells and 20 steps, or 19 x 19 and 100. The player starts in the middle. Observation:
    MultiDiscrete([size, size]), its row and column. Action: 0 stay, 1 up, 2 down, 3 left, 4 right;
    walls stop it. Reward: 1 for a step that ends on the goal (staying there is one), else 0. An
    inner episode ends there, or after ``max_steps``; with ``ends_at_goal=False``, as in Laskin et
    al., only then, and every step on the goal pays. The best return is 1, where the goal can be
    reached in time.

    Goals are all cells, the middle included. In the order of ``numpy.random.RandomState(0)
    .permutation`` the first ``num_train`` are trained on, the rest held out: 70 and 11, or 300 and
    61, as published (which ones is not). Published success on held-out goals at the 100th inner
    episode is .95 (9 x 9) and .96 (19 x 19). An agent that learns by reward has no reason to look
    where no goal ever was: the better it becomes on the 70, the more it passes the 11 by. A larger
    entropy bonus works against that; so does ``novelty``, an option of the trials, which is paid
    for each new cell until a trial has found the goal (:class:`envs.meta.novelty.Novelty`). Where
    a trial terminates, its last goals were missed, known ones too: towards the end, values fall for
    what cannot be seen. ``ends="truncated"`` of the trials keeps them as in the middle of one.

    Args:
        size: cells along a side, 2 to 127.
        max_steps: at least 1.
        num_train: goals to train on, at least 1 and not all.
        split: "train" or "held_out", which goals are drawn.
        ends_at_goal: whether reaching the goal ends an inner episode.

    Raises ``UsageError`` for other values.
    """

    def __init__(
        self,
        size: int = 9,
        max_steps: int = 20,
        num_train: int = 70,
        split: str = "train",
        ends_at_goal: bool = True,
    ):
        super().__init__(size, max_steps)
        self._tasks = part(self.name, size**2, num_train, split)
        self._rules = (max_steps, ends_at_goal)

    @property
    def default_params(self) -> RoomParams:
        """The first goal of the split, and the constructor's rules."""
        return RoomParams(self._goal(self._tasks[0]), *self._rules)

    def draw_task(self, key: jax.Array, params: RoomParams) -> RoomParams:
        """Draw one of the split's goals."""
        task = jax.random.choice(key, self._tasks)
        return params.replace(goal=self._goal(task))  # type: ignore[attr-defined]

    def optimal_return(self, params: RoomParams) -> jax.Array:
        """Return what the shortest way earns: float32 []."""
        steps = steps_between(self.centre(), params.goal)
        earned = jnp.maximum(params.max_steps_in_episode - steps + 1, 0)
        return jnp.where(params.ends_at_goal, jnp.minimum(earned, 1), earned).astype(jnp.float32)

    def reset_env(self, key: jax.Array, params: RoomParams) -> tuple[jax.Array, RoomState]:
        """Put the player in the middle."""
        return self.seen(self.centre()), RoomState(self.centre(), jnp.int16(0))

    def step_env(
        self, key: jax.Array, state: RoomState, action: jax.Array, params: RoomParams
    ) -> tuple[jax.Array, RoomState, jax.Array, jax.Array, dict[Any, Any]]:
        """Take a step."""
        state = RoomState(self.moved(state.position, action), state.time + 1)
        is_there = same(state.position, params.goal)
        is_over = is_there & params.ends_at_goal
        return self.seen(state.position), state, is_there.astype(jnp.float32), is_over, {}

    def render(self, state: RoomState, params: RoomParams | None = None) -> str:
        """Return the room: the player @, the goal $."""
        params = self.default_params if params is None else params
        return self.drawn([("$", params.goal), ("@", state.position)])

    def _goal(self, task: Any) -> jax.Array:
        return jnp.stack(jnp.divmod(task, self.size)).astype(jnp.int8)


@struct.dataclass
class KeyState:
    """Where the player is, and what it carries."""

    position: jax.Array  # int8 [2]: row and column
    has_key: jax.Array  # bool []
    time: jax.Array  # int16 []: steps taken


@struct.dataclass
class KeyParams:
    """The task, and how long there is for it."""

    key: jax.Array  # int8 [2]: where it lies
    door: jax.Array  # int8 [2]
    max_steps_in_episode: int = 50


class DarkKeyToDoor(Room):
    """Find a key, and then the door that it opens; neither can be seen.

    Laskin et al. 2022 and Tarasov et al. 2025: 9 x 9 cells and 50 steps, or 13 x 13 and 100. The
    player starts anywhere, anew in each inner episode. Observation and actions are those of
    ``DarkRoom``; whether it has the key is not shown. Reward: 1 for the first step that ends on the
    key, 1 for the first later one that ends on the door, which ends the inner episode; else 0. The
    best return is 2, where both can be reached in time.

    Tasks are all pairs of different cells. In the order of ``numpy.random.RandomState(0)
    .permutation`` the first ``num_train`` are trained on, 1,000 as published, and the rest held
    out. Published returns on held-out pairs at the 100th inner episode are 2.00 and 1.99 (13 x 13).

    Args:
        size: cells along a side, 2 to 127.
        max_steps: at least 1.
        num_train: pairs to train on, at least 1 and not all.
        split: "train" or "held_out", which pairs are drawn.

    Raises ``UsageError`` for other values.
    """

    def __init__(
        self, size: int = 9, max_steps: int = 50, num_train: int = 1000, split: str = "train"
    ):
        super().__init__(size, max_steps)
        self._tasks = part(self.name, size**2 * (size**2 - 1), num_train, split)
        self._max_steps = max_steps

    @property
    def default_params(self) -> KeyParams:
        """The first pair of the split, and the constructor's steps."""
        return KeyParams(*self._pair(self._tasks[0]), self._max_steps)

    def draw_task(self, key: jax.Array, params: KeyParams) -> KeyParams:
        """Draw one of the split's pairs."""
        where, door = self._pair(jax.random.choice(key, self._tasks))
        return params.replace(key=where, door=door)  # type: ignore[attr-defined]

    def optimal_return(self, params: KeyParams) -> jax.Array:
        """Return what the shortest ways earn, over all starts: float32 []."""
        cells = jnp.stack(jnp.divmod(jnp.arange(self.size**2), self.size), axis=-1)
        to_key = steps_between(cells, params.key[None])
        to_door = to_key + steps_between(params.key, params.door)
        steps = jnp.stack([to_key, to_door])
        return 2 * (steps <= params.max_steps_in_episode).mean(dtype=jnp.float32)

    def reset_env(self, key: jax.Array, params: KeyParams) -> tuple[jax.Array, KeyState]:
        """Put the player anywhere, without the key."""
        position = self.any_cell(key)
        return self.seen(position), KeyState(position, jnp.zeros((), bool), jnp.int16(0))

    def step_env(
        self, key: jax.Array, state: KeyState, action: jax.Array, params: KeyParams
    ) -> tuple[jax.Array, KeyState, jax.Array, jax.Array, dict[Any, Any]]:
        """Take a step, the key, and the door."""
        position = self.moved(state.position, action)
        finds_key = same(position, params.key) & ~state.has_key
        is_over = same(position, params.door) & state.has_key
        state = KeyState(position, state.has_key | finds_key, state.time + 1)
        reward = (finds_key | is_over).astype(jnp.float32)
        return self.seen(position), state, reward, is_over, {}

    def render(self, state: KeyState, params: KeyParams | None = None) -> str:
        """Return the room: the player @, the key k until it is taken, the door D."""
        params = self.default_params if params is None else params
        key = [] if bool(state.has_key) else [("k", params.key)]
        return self.drawn([("D", params.door), *key, ("@", state.position)])

    def _pair(self, task: Any) -> tuple[jax.Array, jax.Array]:
        """Return the positions of key and door; the door's number skips the key's."""
        cells = self.size**2
        key, door = jnp.divmod(task, cells - 1)
        door = door + (door >= key)
        both = jnp.stack([key, door])
        positions = jnp.stack(jnp.divmod(both, self.size), axis=-1).astype(jnp.int8)
        return positions[0], positions[1]


def part(env: str, num_tasks: int, num_train: int, split: str) -> jax.Array:
    """Return the tasks of a split, int32 [...], of 0 to ``num_tasks`` - 1.

    Raises ``UsageError`` for an unknown split, and where nothing is left to train on or held out.
    """
    check_split(env, split)
    check_range(env, "num_train", num_train, 1, num_tasks - 1)
    order = np.random.RandomState(0).permutation(num_tasks).astype(np.int32)
    return jnp.asarray(order[:num_train] if split == "train" else order[num_train:])


def dark_room(
    size: int = 9,
    max_steps: int = 20,
    num_train: int = 70,
    num_episodes: int = 20,
    split: str = "train",
    ends_at_goal: bool = True,
    novelty: float = 0.0,
    ends: str = "terminated",
) -> Trial | Novelty:
    """Return trials of ``num_episodes`` inner episodes in a ``DarkRoom``."""
    env = DarkRoom(size, max_steps, num_train, split, ends_at_goal)
    return _trial(env, num_episodes, novelty, ends)


def dark_room_19x19(
    num_episodes: int = 20, split: str = "train", novelty: float = 0.0, ends: str = "terminated"
) -> Trial | Novelty:
    """Return trials in the larger of the published rooms: 100 steps, 300 goals to train on."""
    return dark_room(19, 100, 300, num_episodes, split, novelty=novelty, ends=ends)


def dark_key_to_door(
    size: int = 9,
    max_steps: int = 50,
    num_train: int = 1000,
    num_episodes: int = 20,
    split: str = "train",
    novelty: float = 0.0,
    ends: str = "terminated",
) -> Trial | Novelty:
    """Return trials of ``num_episodes`` inner episodes of ``DarkKeyToDoor``."""
    env = DarkKeyToDoor(size, max_steps, num_train, split)
    return _trial(env, num_episodes, novelty, ends, rewards=2)


def _trial(
    env: Room, num_episodes: int, novelty: float, ends: str, rewards: int = 1
) -> Trial | Novelty:
    trial = Trial(env, env.default_params, num_episodes, ends=ends)
    return Novelty(trial, env.size, novelty, rewards) if novelty else trial


FACTORIES: dict[str, Callable[..., Any]] = {
    "meta/DarkKeyToDoor": dark_key_to_door,
    "meta/DarkRoom": dark_room,
    "meta/DarkRoom19x19": dark_room_19x19,
}
