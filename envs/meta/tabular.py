"""Random tabular MDPs: what each action does in each state, an agent has to find out."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment

from envs.meta.trial import Trial
from envs.settings import check_range
from envs.spaces import Discrete
from ssmrl.errors import UsageError, shown

BASE = 0x7AB1E  # the seed of the task that similar tasks resemble
LAWS = ("normal", "uniform")


@struct.dataclass
class Task:
    """What an agent has to find out."""

    kernel: jax.Array  # float32 [S, A, S]: chance of the next state
    rewards: jax.Array  # float32 [S, A]: mean of what an action pays
    emission: jax.Array | None = None  # float32 [S, O]: chance of what is seen in a state


@struct.dataclass
class EnvParams:
    """What may vary without another compilation."""

    task: Task
    horizon: int = 10  # steps of an episode
    noise: float = 1.0  # standard deviation of what an action pays


@struct.dataclass
class EnvState:
    """Where the player is."""

    place: jax.Array  # int32 []
    time: jax.Array  # int32 []: steps taken in this episode


class Tabular(environment.Environment):
    """Walks through S states at random, by a kernel that the task holds; see ``TabularMDP``.

    Args:
        num_states: S, at least 1.
        num_actions: A, at least 1.
        horizon: steps of an episode, at least 1.
        alpha: of the Dirichlet law of the kernel's rows, at least 0.001; the smaller, the closer
            to certainty.
        rewards: law of the mean rewards, "normal" for N(1, 1) or "uniform" for U(0, 1).
        noise: standard deviation of what is paid around the mean, at least 0.
        similarity: from 0 to 1, the chance of each pair of state and action to be as in the base
            task, which is drawn from ``jax.random.key(0x7AB1E)``: its row of the kernel and its
            mean reward both, all others are the task's own. So every pair follows the same law
            whatever the similarity; with 0 tasks are independent, with 1 all are the base task.

    Raises ``UsageError`` for other values.
    """

    has_costly_tasks = True  # to draw S A S chances takes 30 times as long as a step

    def __init__(
        self,
        num_states: int = 10,
        num_actions: int = 5,
        horizon: int = 10,
        alpha: float = 1.0,
        rewards: str = "normal",
        noise: float = 1.0,
        similarity: float = 0.0,
    ):
        super().__init__()
        check_range(self.name, "num_states", num_states, 1)
        check_range(self.name, "num_actions", num_actions, 1)
        check_range(self.name, "horizon", horizon, 1)
        check_range(self.name, "alpha", alpha, 0.001)
        check_range(self.name, "noise", noise, 0)
        check_range(self.name, "similarity", similarity, 0, 1)
        if rewards not in LAWS:
            known = " or ".join(LAWS)
            raise UsageError(
                f"environment {self.name!r}: rewards must be {known}, not {shown(rewards)}"
            )
        self._size = (num_states, num_actions)
        self._alpha, self._law, self._similarity = alpha, rewards, float(similarity)
        self._base = self._independent(jax.random.key(BASE))
        self._params = EnvParams(self._base, horizon, noise)

    @property
    def default_params(self) -> EnvParams:
        """The base task, and the constructor's horizon and noise."""
        return self._params

    def draw_task(self, key: jax.Array, params: EnvParams) -> EnvParams:
        """Return a task that is as similar to the base task as asked for."""
        return params.replace(task=self.draw(key))  # type: ignore[attr-defined]

    def draw(self, key: jax.Array) -> Task:
        """Return a task's arrays."""
        key_own, key_same = jax.random.split(key)
        own = self._independent(key_own)
        same = jax.random.bernoulli(key_same, self._similarity, self._size)
        return Task(
            jnp.where(same[..., None], self._base.kernel, own.kernel),
            jnp.where(same, self._base.rewards, own.rewards),
        )

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, Any]:
        """Put the player into the first state."""
        place = jnp.int32(0)
        return self.see(key, place, params.task), EnvState(place, jnp.int32(0))

    def step_env(
        self, key: jax.Array, state: Any, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, dict[Any, Any]]:
        """Pay, and go where chance leads."""
        task = self.task_of(state, params)
        key_place, key_reward, key_see = jax.random.split(key, 3)
        mean = task.rewards[state.place, action]
        reward = mean + params.noise * jax.random.normal(key_reward)
        place = draw_index(key_place, task.kernel[state.place, action])
        state = state.replace(place=place, time=state.time + 1)
        ended = self.is_terminated(state, params)
        return self.see(key_see, place, task), state, reward, ended, {}

    def task_of(self, state: Any, params: EnvParams) -> Task:
        """Return the task as it is now."""
        return params.task

    def see(self, key: jax.Array, place: jax.Array, task: Task) -> jax.Array:
        """Return what is seen in a state, here the state."""
        return place

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return whether the horizon is reached."""
        return state.time >= params.horizon

    def is_truncated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return false: an episode is as long as the task says."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """A."""
        return self._size[1]

    def action_space(self, params: Any = None) -> Discrete:
        """Return the space of the A actions."""
        return Discrete(self._size[1])

    def observation_space(self, params: Any = None) -> Discrete:
        """Return the space of the states."""
        return Discrete(self._size[0])

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return the state, and what each action pays there and where it is likely to lead."""
        params = self.default_params if params is None else params
        task, place = self.task_of(state, params), int(state.place)
        lines = [f"state {place}, step {int(state.time)} of {int(params.horizon)}"]
        for action in range(self._size[1]):
            row = task.kernel[place, action]
            likely = ", ".join(f"{int(i)} ({float(row[i]):.2f})" for i in jnp.argsort(-row)[:3])
            mean = float(task.rewards[place, action])
            lines.append(f"action {action} pays {mean:.2f} and leads to {likely}")
        return "\n".join(lines)

    def _independent(self, key: jax.Array) -> Task:
        key_kernel, key_rewards = jax.random.split(key)
        kernel = dirichlet(key_kernel, self._alpha, (*self._size, self._size[0]))
        if self._law == "normal":
            return Task(kernel, 1 + jax.random.normal(key_rewards, self._size))
        return Task(kernel, jax.random.uniform(key_rewards, self._size))


class TabularMDP(Tabular):
    """A random MDP, as in Duan et al. 2016 ("RL²"), section 3.2, after Osband et al. 2013.

    Observation: the state, Discrete(S). Action: Discrete(A). In state s action a pays
    N(rewards[s, a], noise²) and leads to a state drawn from kernel[s, a]. Every episode begins in
    state 0 and terminates after ``horizon`` steps. A task's rows of the kernel are
    Dirichlet(``alpha``), its mean rewards N(1, 1); the defaults are RL²'s.

    The arguments are those of ``Tabular``.
    """

    def optimal_return(self, params: EnvParams) -> jax.Array:
        """Return the value of state 0 under the best policy: float32 [], exact."""
        return value_of_start(params)


def value_of_start(params: EnvParams) -> jax.Array:
    """Return the best expected return from state 0 for a player who sees states: float32 [].

    By dynamic programming from the horizon back.
    """
    task = params.task

    def one_step_back(_: Any, value: jax.Array) -> jax.Array:
        return (task.rewards + jnp.matmul(task.kernel, value, precision="highest")).max(axis=1)

    none_left = jnp.zeros(task.rewards.shape[0], jnp.float32)
    return jax.lax.fori_loop(0, params.horizon, one_step_back, none_left)[0]


def dirichlet(key: jax.Array, alpha: float, shape: tuple[int, ...]) -> jax.Array:
    """Return an array whose last axis holds chances with the law Dirichlet(alpha, ..., alpha)."""
    if alpha == 1:  # the flat law needs no rejection sampling
        drawn = jax.random.exponential(key, shape)
        return drawn / drawn.sum(axis=-1, keepdims=True)
    return jax.random.dirichlet(key, jnp.full(shape[-1], alpha), shape[:-1])


def draw_index(key: jax.Array, chances: jax.Array) -> jax.Array:
    """Return an index of ``chances`` [N], drawn with these: int32 []; never one of chance 0."""
    steps = jnp.cumsum(chances)
    return jnp.sum(steps <= jax.random.uniform(key) * steps[-1], dtype=jnp.int32)


def trials_of(cls: type[Tabular]) -> Callable[..., Trial]:
    """Return a factory of trials, which takes the settings of ``cls`` and ``num_episodes``."""

    def factory(num_episodes: int = 25, **settings: Any) -> Trial:
        env = cls(**settings)
        return Trial(env, env.default_params, num_episodes)

    own = list(inspect.signature(factory).parameters.values())[:1]
    all_of_them = [*own, *inspect.signature(cls).parameters.values()]
    factory.__signature__ = inspect.Signature(all_of_them)  # type: ignore[attr-defined]
    return factory


FACTORIES: dict[str, Callable[..., Any]] = {"meta/TabularMDP": trials_of(TabularMDP)}
