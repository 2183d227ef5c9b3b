"""Multi-environment meta-RL on the DeepMind Control Suite, as in Lu et al. 2023, section 4.4."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.meta.mixture import Member, Mixture, choose_split
from envs.meta.projected import Projected
from envs.meta.trial import Trial
from envs.suites.dmc import PACKAGE, ControlSuite
from envs.suites.physics import PhysicsParams

NAME = "meta/DMC"
TRAIN = (
    *("BallInCup", "CartpoleSwingup", "FingerSpin", "FingerTurnHard", "PointMass", "ReacherEasy"),
)
HELD_OUT = (
    *("CartpoleBalance", "FingerTurnEasy", "PendulumSwingup", "PointMassHard", "ReacherHard"),
)
MOST_ALIKE = 0.9  # cosine of the directions in which two actuators push


@struct.dataclass
class HardParams(PhysicsParams):
    """What may vary without another compilation."""

    directions: jax.Array | None = None  # float32 [2, 2]: where each actuator pushes, of length 1


class PointMassHard(ControlSuite):
    """The point mass with unknown actuators, dm_control's ``point_mass hard``.

    MuJoCo Playground has the easy task alone. As in dm_control's ``initialize_episode``, each
    actuator pushes in a direction of its own, uniform over all pairs whose cosine is at most 0.9
    in size; the reward looks at what the actuators are told, not at the push. dm_control sets
    coefficients of the model's tendons; these are constants in MJX, so that here the controls are
    mixed instead, of which the same forces come. A task holds the pair: it is the same in all
    episodes of a trial. The arguments are those of ``ControlSuite``.
    """

    def __init__(self, **settings: Any):
        super().__init__("PointMass", **settings)
        model = self._env._mjx_model
        # Two actuators may push in one direction, which is twice what one of the model's may.
        wide = model.replace(actuator_ctrlrange=2 * model.actuator_ctrlrange)
        self._env._mjx_model = wide

    @property
    def default_params(self) -> HardParams:
        """The directions of the easy task, and the episode's length."""
        return HardParams(super().default_params.episode_length, jnp.eye(2))

    def draw_task(self, key: jax.Array, params: HardParams) -> HardParams:
        """Return a task with directions of its own."""
        return params.replace(directions=draw_directions(key))  # type: ignore[attr-defined]

    def advance(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        """Push in the task's directions; pay for the action."""
        told = jnp.clip(action, -1.0, 1.0)
        world, task = copy.copy(self), copy.copy(self._env)
        pay = self._env._get_reward
        task._get_reward = lambda data, push, info, metrics: pay(data, told, info, metrics)
        world._env = task
        push = jnp.matmul(told, params.directions, precision="highest")
        return ControlSuite.advance(world, key, state, push, params)


def draw_directions(key: jax.Array) -> jax.Array:
    """Return two directions, as rows of length 1 [2, 2], whose cosine is -0.9 to 0.9.

    The first is uniform; the second stands to its left or right at an angle that is uniform where
    it may be, as if it were drawn again until it fits.
    """
    key_first, key_angle, key_side = jax.random.split(key, 3)
    first = jax.random.uniform(key_first, (), minval=-jnp.pi, maxval=jnp.pi)
    least = jnp.arccos(MOST_ALIKE)
    angle = jax.random.uniform(key_angle, (), minval=least, maxval=jnp.pi - least)
    side = jnp.where(jax.random.bernoulli(key_side), 1.0, -1.0)
    angles = jnp.stack([first, first + side * angle])
    return jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)


def mixture(
    split: str = "train",
    num_episodes: int = 1,
    episode_length: int = 1000,
    observation_size: int = 12,
    action_size: int = 2,
    projection: str = "orthonormal",
    impl: str = "jax",
    ends: str = "truncated",
) -> Mixture:
    """Return trials of all tasks of a split, among which a batch is divided.

    ``split`` is "train", the six tasks of ``TRAIN``, or "held_out", the five of ``HELD_OUT``; the
    other settings are those of ``trial``.
    """
    sizes = (num_episodes, episode_length, observation_size, action_size)
    return Mixture(NAME, members(split, *sizes, projection, impl, ends))


def members(split: str, *settings: Any) -> list[Member]:
    """Return the tasks of a split: names, trials and their params."""
    made = [(task, trial(task, *settings)) for task in choose_split(NAME, split, TRAIN, HELD_OUT)]
    return [(task, env, env.default_params) for task, env in made]


def trial(
    task: str,
    /,
    num_episodes: int = 1,
    episode_length: int = 1000,
    observation_size: int = 12,
    action_size: int = 2,
    projection: str = "orthonormal",
    impl: str = "jax",
    ends: str = "truncated",
) -> Trial:
    """Return trials of one task of ``TRAIN`` or ``HELD_OUT``.

    As published a trial is one inner episode of 1,000 steps, which pay from 0 to 1 each, behind
    projections of observations and actions to 12 and 2 numbers that are drawn for it; their law
    was not published, see ``Projected``. ``impl`` is that of ``ControlSuite``. Only time ends a
    trial, so that by default the value of what would have come next is bootstrapped; ``ends`` is
    that of ``Trial``.
    """
    settings: dict[str, Any] = {"impl": impl, "episode_length": episode_length}
    is_hard = task == "PointMassHard"
    env = PointMassHard(**settings) if is_hard else ControlSuite(task, **settings)
    projected = Projected(env, env.default_params, observation_size, action_size, projection)
    return Trial(projected, projected.default_params, num_episodes, ends=ends)


FACTORIES: dict[str, Callable[..., Any]] = {
    NAME: mixture,
    **{f"{NAME}/{task}": functools.partial(trial, task) for task in (*TRAIN, *HELD_OUT)},
}
NEEDS = dict.fromkeys(FACTORIES, PACKAGE)
