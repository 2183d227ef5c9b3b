"""What brax and MuJoCo Playground share: their environments speak the same protocol."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.settings import check_range
from envs.spaces import Box, Dict
from envs.suites.base import SuiteEnvironment, lenient


@struct.dataclass
class PhysicsState:
    """The time, and the suite's own state, which ``PhysicsEnvironment.inner`` puts together."""

    # The leaves alone: MuJoCo's trees carry constants, so that two that are equal look different.
    leaves: list[Any]
    time: jax.Array  # int32 []: frames of this episode


@struct.dataclass
class PhysicsParams:
    """What may vary without another compilation."""

    episode_length: int = 1000  # frames; with action_repeat k an episode has 1/k as many steps


class PhysicsEnvironment(SuiteEnvironment):
    """An environment with ``reset(key) -> State`` and ``step(State, action) -> State``.

    Observation: float32, a Box without bounds, or a Dict of them. Action: Box [K] from -1 to 1.
    The suite's ``done`` terminates; ``episode_length`` frames truncate. Its wrappers are not used:
    they would begin every episode in the same state. A step takes ``action_repeat`` frames with
    one action and pays their sum; frames after a termination are not played (the suites' own
    repetition goes on, and forgets the termination). ``info["metrics"]`` holds the suite's
    metrics of the last frame.

    Where the simulation diverges, to numbers that are not finite, the episode terminates; what is
    not finite in reward and final observation becomes 0 there, lest one broken environment spoils
    all parameters.

    Args:
        name: the environment's name.
        env: the suite's environment.
        episode_length: default of the parameter, at least 1.
        action_repeat: frames per step, at least 1.

    Raises ``UsageError`` for other numbers.
    """

    def __init__(self, name: str, env: Any, episode_length: int = 1000, action_repeat: int = 1):
        super().__init__(name)
        check_range(name, "episode_length", episode_length, 1)
        check_range(name, "action_repeat", action_repeat, 1)
        self._env = env
        self._episode_length = episode_length
        self._action_repeat = action_repeat
        with lenient():
            inner = jax.eval_shape(lambda key: env.reset(key), jax.random.key(0))
        self._tree = jax.tree.structure(inner)
        self._observation_space = _unbounded_space(_observation(inner))

    @property
    def default_params(self) -> PhysicsParams:
        """The episode's length."""
        return PhysicsParams(episode_length=self._episode_length)

    def first(self, key: jax.Array, params: Any) -> tuple[Any, PhysicsState]:
        """Draw an initial state."""
        inner = self._env.reset(key)
        return _observation(inner), PhysicsState(jax.tree.leaves(inner), jnp.int32(0))

    def advance(
        self, key: jax.Array, state: PhysicsState, action: Any, params: Any
    ) -> tuple[Any, PhysicsState, Any, Any, dict[str, Any]]:
        """Simulate ``action_repeat`` frames, or as many as there are until the termination."""

        def frame(carry: tuple[Any, jax.Array], _: None) -> tuple[tuple[Any, jax.Array], None]:
            ended = _terminated(carry[0])
            inner, reward = self._frame(carry[0], action)
            keep = lambda old, new: jnp.where(ended, old, new)  # noqa: E731
            return jax.tree.map(keep, carry, (inner, carry[1] + reward)), None

        if self._action_repeat == 1:
            inner, paid = self._frame(self.inner(state), action)
        else:
            none_yet = (self.inner(state), jnp.float32(0))
            (inner, paid), _ = jax.lax.scan(frame, none_yet, length=self._action_repeat)
        state = PhysicsState(jax.tree.leaves(inner), state.time + self._action_repeat)
        obs = jax.tree.map(_finite, _observation(inner))
        info = {"metrics": dict(inner.metrics)}
        return obs, state, _finite(paid), _terminated(inner), info

    def is_truncated(self, state: PhysicsState, params: PhysicsParams) -> jax.Array:
        """Return whether the time is over."""
        return jnp.asarray(state.time >= params.episode_length)

    @property
    def num_actions(self) -> int:
        """The number of actuators."""
        return int(self._env.action_size)

    def action_space(self, params: PhysicsParams | None = None) -> Box:
        """Return the Box [K] from -1 to 1."""
        return Box(-1.0, 1.0, (self.num_actions,), jnp.float32)

    def observation_space(self, params: PhysicsParams) -> Box | Dict:
        """Return the unbounded space."""
        return self._observation_space

    def render(self, state: PhysicsState, params: PhysicsParams | None = None) -> str:
        """Return the time and what the agent sees, in numbers."""
        params = self.default_params if params is None else params
        head = f"{self.name}, frame {int(state.time)} of {int(params.episode_length)}"
        return f"{head}\n{_observation(self.inner(state))}"

    def inner(self, state: PhysicsState) -> Any:
        """Return the suite's own state, which its renderers take."""
        return jax.tree.unflatten(self._tree, state.leaves)

    def _frame(self, inner: Any, action: Any) -> tuple[Any, jax.Array]:
        """Return the suite's state after one frame, in the types of the one before, and reward."""
        written_into = jax.tree.map(lambda x: x, inner)  # its dictionaries serve as scratch paper
        new = self._env.step(written_into, action)
        like = lambda x, old: jnp.asarray(x, jnp.asarray(old).dtype)  # noqa: E731
        return jax.tree.map(like, new, inner), jnp.asarray(new.reward, jnp.float32)


def _observation(inner: Any) -> Any:
    obs = inner.obs
    return dict(obs) if isinstance(obs, Mapping) else obs


def _unbounded_space(obs: Any) -> Box | Dict:
    """Return the space of such observations: a Box without bounds, or a Dict of them."""
    if isinstance(obs, dict):
        return Dict({key: _unbounded_space(part) for key, part in obs.items()})
    return Box(-jnp.inf, jnp.inf, obs.shape, jnp.float32)


def _terminated(inner: Any) -> jax.Array:
    numbers = [*jax.tree.leaves(inner.obs), inner.reward]
    diverged = ~jnp.stack([jnp.isfinite(x).all() for x in numbers]).all()
    return (inner.done > 0) | diverged


def _finite(x: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(x), x, 0)
