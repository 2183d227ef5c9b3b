"""Random tabular MDPs with something hidden: the state, or the time at which the task changes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.meta.tabular import (
    EnvParams,
    EnvState,
    Tabular,
    Task,
    dirichlet,
    draw_index,
    trials_of,
    value_of_start,
)
from envs.settings import check_range
from envs.spaces import Discrete
from envs.suites.auto_reset import reset_where
from envs.wrappers.base import Transition


@struct.dataclass
class ChangingState(EnvState):
    """Where the player is, and the task as it is now."""

    task: Task
    age: jax.Array  # int32 []: episodes that have ended since the task changed


class TabularPOMDP(Tabular):
    """A random MDP whose states are seen through a random emission matrix.

    As ``TabularMDP``, but the observation is Discrete(O): what is seen in state s, at the start and
    after every step, is drawn from emission[s], a row with the law Dirichlet(``emission_alpha``).
    With a similarity, rows of states are as in the base task with the same chance as the others.

    The best return of a player who knows the task but sees observations is not computed: it may
    come to hold (A O)^horizon beliefs. ``return_seeing_states`` bounds it from above.

    Args:
        num_observations: O, at least 1.
        emission_alpha: at least 0.001; the smaller, the more a state looks like itself.
        **settings: those of ``Tabular``.
    """

    def __init__(
        self,
        num_states: int = 10,
        num_actions: int = 5,
        num_observations: int = 5,
        horizon: int = 10,
        alpha: float = 1.0,
        emission_alpha: float = 0.1,
        rewards: str = "normal",
        noise: float = 1.0,
        similarity: float = 0.0,
    ):
        check_range(self.name, "num_observations", num_observations, 1)
        check_range(self.name, "emission_alpha", emission_alpha, 0.001)
        self._emission = (emission_alpha, (num_states, num_observations))
        super().__init__(num_states, num_actions, horizon, alpha, rewards, noise, similarity)

    def draw(self, key: jax.Array) -> Task:
        """Return a task's arrays."""
        key_task, key_own, key_same = jax.random.split(key, 3)
        own = dirichlet(key_own, *self._emission)
        same = jax.random.bernoulli(key_same, self._similarity, self._size[:1])
        emission = jnp.where(same[:, None], jnp.asarray(self._base.emission), own)
        return super().draw(key_task).replace(emission=emission)  # type: ignore[attr-defined]

    def see(self, key: jax.Array, place: jax.Array, task: Task) -> jax.Array:
        """Return what is seen in a state, drawn from its row."""
        return draw_index(key, task.emission[place])  # type: ignore[index]

    def observation_space(self, params: Any = None) -> Discrete:
        """Return the space of what may be seen."""
        return Discrete(self._emission[1][1])

    def return_seeing_states(self, params: EnvParams) -> jax.Array:
        """Return what the best player earns who sees states, an upper bound: float32 []."""
        return value_of_start(params)

    def _independent(self, key: jax.Array) -> Task:
        key_task, key_emission = jax.random.split(key)
        emission = dirichlet(key_emission, *self._emission)
        return (
            super()
            ._independent(key_task)
            .replace(  # type: ignore[attr-defined]
                emission=emission
            )
        )


class ChangePointMDP(Tabular):
    """A random MDP that becomes another one at hidden times between two episodes.

    As ``TabularMDP``, but after every episode the task is drawn anew with chance ``hazard``. The
    task as it is now is part of the state and goes on over the ends of episodes: ``step``'s
    auto-reset keeps or redraws it, and only ``reset`` begins with the task of the params. In a
    ``Trial`` it so belongs to the trial, and nothing of it reaches the next one.
    ``info["episodes_since_change"]`` (int32) says how many episodes have ended on the task that the
    step was made in.

    Args:
        hazard: from 0 to 1.
        **settings: those of ``Tabular``.
    """

    def __init__(
        self,
        num_states: int = 10,
        num_actions: int = 5,
        horizon: int = 10,
        alpha: float = 1.0,
        rewards: str = "normal",
        noise: float = 1.0,
        similarity: float = 0.0,
        hazard: float = 0.1,
    ):
        check_range(self.name, "hazard", hazard, 0, 1)
        super().__init__(num_states, num_actions, horizon, alpha, rewards, noise, similarity)
        self._hazard = float(hazard)

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, ChangingState]:
        """Put the player into the first state of the params' task."""
        obs, state = super().reset_env(key, params)
        return obs, ChangingState(state.place, state.time, params.task, jnp.int32(0))

    def step(
        self, key: jax.Array, state: ChangingState, action: Any, params: EnvParams | None = None
    ) -> Transition:
        """Step; where an episode ends, begin the next one on the same or on another task."""
        params = self.default_params if params is None else params
        key_step, key_chance, key_task = jax.random.split(key, 3)
        final, last, reward, ended, _ = self.step_env(key_step, state, action, params)
        changes = ended & jax.random.bernoulli(key_chance, self._hazard)
        redraw = lambda key, _: self.draw(key)  # noqa: E731
        current = ChangingState(
            place=jnp.where(ended, 0, last.place),
            time=jnp.where(ended, 0, last.time),
            task=reset_where(redraw, changes, key_task, (), last.task),
            age=jnp.where(changes, 0, last.age + ended),
        )
        info = {"episodes_since_change": state.age, "final_observation": final}
        return current.place, current, reward, ended, jnp.zeros((), bool), info

    def task_of(self, state: ChangingState, params: EnvParams) -> Task:
        """Return the state's own task."""
        return state.task

    def optimal_return(self, params: EnvParams) -> jax.Array:
        """Return what the best player who knows the task earns before its first change.

        Tasks after a change have the same law, so that the mean over tasks holds at all times.
        """
        return value_of_start(params)


FACTORIES: dict[str, Callable[..., Any]] = {
    "meta/TabularPOMDP": trials_of(TabularPOMDP),
    "meta/ChangePointMDP": trials_of(ChangePointMDP),
}
