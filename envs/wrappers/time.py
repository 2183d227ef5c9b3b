"""Wrappers that count an episode's steps, or change what a step is and when it pays."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.wrappers.base import StatefulWrapper, Transition, Wrapper, own_key
from envs.wrappers.checks import whole_number


@struct.dataclass
class StatisticsState:
    """The wrapped environment's state and the totals of the running episode."""

    env_state: Any
    episode_return: jax.Array  # float32 []
    episode_length: jax.Array  # int32 []


class EpisodeStatistics(StatefulWrapper):
    """Sums the reward as ``env`` gives it and counts steps.

    ``info["episode_return"]`` (float32) and ``info["episode_length"]`` (int32) are the totals of
    the running episode with this step, so they are final where ``terminated | truncated``.
    """

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, StatisticsState]:
        """Return the first observation, and the state with empty totals."""
        obs, env_state = self.env.reset(key, params)
        return obs, StatisticsState(env_state, jnp.float32(0), jnp.int32(0))

    def step(self, key: jax.Array, state: StatisticsState, action: Any, params: Any) -> Transition:
        """Step; the totals go into ``info`` and start anew with an episode."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        total = state.episode_return + jnp.asarray(reward, jnp.float32)
        length = state.episode_length + 1
        info = {**info, "episode_return": total, "episode_length": length}
        ended = terminated | truncated
        state = StatisticsState(env_state, jnp.where(ended, 0, total), jnp.where(ended, 0, length))
        return obs, state, reward, terminated, truncated, info


class FrameSkip(Wrapper):
    """Repeats each action for ``num_frames`` steps of the environment and sums their rewards.

    Observation, flags and ``info`` are those of the last frame. An episode's end cuts the
    repetition short: the frame that ends it is the last, so that the next episode begins
    unplayed. The environment counts its time limit in frames, ``EpisodeStatistics`` counts
    frames below this wrapper and actions above it. Every step computes all frames.

    Args:
        num_frames: at least 1, which changes nothing; ``UsageError`` otherwise.
    """

    def __init__(self, env: Any, num_frames: int):
        super().__init__(env)
        self._num_frames = whole_number(self, "num_frames", num_frames, least=1)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> Transition:
        """Play the frames; the first takes ``key`` itself."""

        def frame(step: Transition, key: jax.Array) -> tuple[Transition, None]:
            _, state, paid, terminated, truncated, _ = step
            obs, state, reward, *rest = self.env.step(key, state, action, params)
            ended = terminated | truncated
            kept_or_new = lambda kept, new: jnp.where(ended, kept, new)  # noqa: E731
            return jax.tree.map(kept_or_new, step, (obs, state, paid + reward, *rest)), None

        first = self.env.step(key, state, action, params)
        keys = jax.random.split(own_key(self, key), self._num_frames - 1)
        return jax.lax.scan(frame, first, keys)[0]


@struct.dataclass
class DelayState:
    """The wrapped environment's state and the rewards that are still to be paid."""

    env_state: Any
    owed: jax.Array  # float32 [delay], the next to be paid first


class DelayedReward(StatefulWrapper):
    """Pays the reward of step t at step t + ``delay``, and all that is owed at the episode's end.

    The return (undiscounted) stays the same. Put ``PreviousReward`` above it, lest the agent sees
    rewards before they are paid.

    Args:
        delay: steps, at least 0, which changes nothing; ``UsageError`` otherwise.
    """

    def __init__(self, env: Any, delay: int):
        super().__init__(env)
        self._delay = whole_number(self, "delay", delay, least=0)

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, DelayState]:
        """Return the first observation, and the state that owes nothing."""
        obs, env_state = self.env.reset(key, params)
        return obs, DelayState(env_state, jnp.zeros(self._delay))

    def step(self, key: jax.Array, state: DelayState, action: Any, params: Any) -> Transition:
        """Step; the reward (float32) is the one that is due."""
        step = self.env.step(key, state.env_state, action, params)
        obs, env_state, reward, terminated, truncated, info = step
        owed = jnp.append(state.owed, jnp.asarray(reward, jnp.float32))
        ended = terminated | truncated
        paid = jnp.where(ended, owed.sum(), owed[0])
        state = DelayState(env_state, jnp.where(ended, 0, owed[1:]))
        return obs, state, paid, terminated, truncated, info
