"""The trial: several inner episodes on one task, as one episode of an environment."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.settings import check_range
from envs.spaces import Box, Dict, Space
from envs.suites.auto_reset import reset_where
from envs.suites.base import SuiteEnvironment
from envs.wrappers.base import StatefulWrapper, Transition, innermost, own_key
from ssmrl.errors import UsageError

NO_LIMIT = 2**31 - 1
ENDS = ("terminated", "truncated")
RETURNS = ("trial", "inner")


@struct.dataclass
class TrialParams:
    """What may vary without another compilation; a trial ends at whatever limit comes first."""

    inner: Any  # params of the inner environment; what makes a task is drawn anew for each trial
    num_episodes: int = NO_LIMIT  # inner episodes of a trial
    num_steps: int = NO_LIMIT  # steps of a trial


@struct.dataclass
class TrialState:
    """The inner environment's state, the task, and where in the trial we are."""

    env_state: Any
    task: Any  # params of the inner environment
    first: Any  # observation and state that all inner episodes begin with, where they do
    episode: jax.Array  # int32 []: inner episodes that have ended
    time: jax.Array  # int32 []: steps taken in this trial
    inner_return: jax.Array  # float32 []: of the running inner episode


class Trial(StatefulWrapper):
    """An environment whose episode is ``num_episodes`` inner episodes of ``env`` on one task.

    A task is a value of the inner environment's params: ``env.draw_task(key, params)`` draws one
    for each trial, where the environment has that; else all trials are on ``params``. What an agent
    has to find out, it can carry from one inner episode to the next, since its memory is reset only
    where a trial begins (Duan et al. 2016, "RL²"; Lu et al. 2023, section 3.2).

    Observation: a Dict of ``observation``, the inner one, and ``episode_done``, float32 [1]: 1 at
    the first observation of every inner episode but the trial's first. Reward: the inner one.
    ``info`` tells of every step ``inner_episode`` (int32, from 0), ``inner_return`` (float32: of
    that inner episode with this step) and ``episode_done`` (bool: it ended with this step).

    A trial that is over terminates, whatever ended its last inner episode: there is nothing more to
    earn, and nothing is bootstrapped. With ``ends="truncated"`` the value of what would have come
    next is: the agent then plays as if trials went on for ever.

    What an agent learns to raise is the return of the trial: it pays to explore in one inner
    episode for the next. Where every step pays alike, as under a pole, that has a catch: a fall
    costs nothing but the end of a trial that comes so much sooner, which a discount makes next to
    nothing, and what was learnt is lost again. With ``returns="inner"`` the return ends with every
    inner episode (``info["return_ends"]``), for learning alone: memory and trial go on.

    Args:
        env: the inner environment, with auto-reset; ``params`` are its own.
        num_episodes: inner episodes of a trial, at least 1; None for no limit.
        num_steps: steps of a trial, at least 1; None for no limit. It cuts inner episodes short.
        same_start: every inner episode begins in the state in which the trial's first began.
        ends: "terminated" or "truncated".
        returns: "trial" or "inner".

    Raises ``UsageError`` for other values, and where both limits are None.
    """

    def __init__(
        self,
        env: Any,
        params: Any,
        num_episodes: int | None = None,
        num_steps: int | None = None,
        same_start: bool = False,
        ends: str = "terminated",
        returns: str = "trial",
    ):
        super().__init__(env)
        limits = {"num_episodes": num_episodes, "num_steps": num_steps}
        given = {key: value for key, value in limits.items() if value is not None}
        if not given:
            raise UsageError(f"environment {self.name!r}: a trial needs num_episodes or num_steps")
        for key, value in given.items():
            check_range(self.name, key, value, 1)
        for key, chosen, known in (("ends", ends, ENDS), ("returns", returns, RETURNS)):
            if chosen not in known:
                words = f"{key} must be {' or '.join(known)}, not {chosen!r}"
                raise UsageError(f"environment {self.name!r}: {words}")
        self._params = TrialParams(params, **given)
        self._same_start, self._terminates = same_start, ends == "terminated"
        self._ends_returns = returns == "inner"
        is_suite = isinstance(innermost(env), SuiteEnvironment)
        self._is_costly = is_suite or getattr(env, "has_costly_tasks", False)

    @property
    def default_params(self) -> TrialParams:
        """The inner params and the limits."""
        return self._params

    def reset(self, key: jax.Array, params: TrialParams) -> tuple[dict[str, Any], TrialState]:
        """Draw a task, and begin its first inner episode."""
        key_task = own_key(self, key)
        task = jax.tree.map(_strong, draw_task(self.env, key_task, params.inner))
        first = self.env.reset(key, task)
        obs, env_state = first
        state = TrialState(
            env_state=env_state,
            task=task,
            first=first if self._same_start else (),
            episode=jnp.int32(0),
            time=jnp.int32(0),
            inner_return=jnp.float32(0),
        )
        return _seen(obs, jnp.zeros((), bool)), state

    def step(
        self, key: jax.Array, state: TrialState, action: Any, params: TrialParams
    ) -> Transition:
        """Step in the inner episode; begin the next one, or the next trial, where that is over."""
        key_new = own_key(self, key)
        inner = self.env.step(key, state.env_state, action, state.task)
        obs, env_state, reward, terminated, truncated, info = inner
        ended = terminated | truncated
        if self._same_start:
            again = lambda first, new: jnp.where(ended, first, new)  # noqa: E731
            obs, env_state = jax.tree.map(again, state.first, (obs, env_state))
        inner_return = state.inner_return + jnp.asarray(reward, jnp.float32)
        info = {
            **info,
            "inner_episode": state.episode,
            "inner_return": inner_return,
            "episode_done": ended,
            "return_ends": ended & self._ends_returns,
            "final_observation": _seen(obs, ended),
        }
        state = state.replace(  # type: ignore[attr-defined]
            env_state=env_state,
            episode=state.episode + ended,
            time=state.time + 1,
            inner_return=jnp.where(ended, 0, inner_return),
        )
        is_over = (state.episode >= params.num_episodes) | (state.time >= params.num_steps)
        current = (info["final_observation"], state)
        obs, state = self._begin_where(is_over, key_new, params, current)
        never = jnp.zeros((), bool)
        flags = (is_over, never) if self._terminates else (never, is_over)
        return obs, state, reward, *flags, info

    def most_episodes(self, params: TrialParams) -> int:
        """Return how many inner episodes a trial can have."""
        return int(min(params.num_episodes, params.num_steps))

    def optimal_return(self, key: jax.Array, params: TrialParams) -> jax.Array | None:
        """Return what an inner episode of a task, drawn with ``key``, pays who knows the task.

        Of all players the best. None where the inner environment has no ``optimal_return(task)``.
        """
        if not hasattr(innermost(self.env), "optimal_return"):
            return None
        return self.env.optimal_return(draw_task(self.env, key, params.inner))

    def observation_space(self, params: TrialParams) -> Dict:
        """Return the Dict of the flag and the inner observation."""
        inner = self.env.observation_space(params.inner)
        return Dict({"episode_done": Box(0.0, 1.0, (1,)), "observation": inner})

    def action_space(self, params: TrialParams) -> Space:
        """Return the inner space of actions."""
        return self.env.action_space(params.inner)

    def render(self, state: TrialState, params: Any = None) -> Any:
        """Return the inner environment's picture on this trial's task, below a line about it."""
        render = getattr(self.env, "render", None)
        drawn = None if render is None else render(state.env_state, state.task)
        head = f"inner episode {int(state.episode)}, step {int(state.time)} of the trial"
        return f"{head}\n{drawn}" if isinstance(drawn, str) else drawn

    def _begin_where(self, is_over: jax.Array, key: jax.Array, params: Any, current: Any) -> Any:
        """Return a new trial where one is over, drawn in vain only where that costs little."""
        if self._is_costly:
            return reset_where(self.reset, is_over, key, params, current)
        new = self.reset(key, params)
        return jax.tree.map(lambda old, new: jnp.where(is_over, new, old), current, new)


def draw_task(env: Any, key: jax.Array, params: Any) -> Any:
    """Return a task of ``env``; ``params`` themselves where the environment draws none."""
    draw = getattr(env, "draw_task", None)
    return params if draw is None else draw(key, params)


def _seen(obs: Any, ended: jax.Array) -> dict[str, Any]:
    return {"episode_done": ended.astype(jnp.float32)[None], "observation": obs}


def _strong(x: Any) -> jax.Array:
    """Return an array of x's own type: a plain number would be weakly typed."""
    x = jnp.asarray(x)
    return jax.lax.convert_element_type(x, x.dtype)
