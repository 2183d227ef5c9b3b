"""Random projections of observations and actions, so that no task looks like another."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.meta.trial import draw_task
from envs.spaces import Box, Discrete, Space, dtype_of, encode, encoded_size
from envs.wrappers.base import Transition, Wrapper
from envs.wrappers.checks import usage_error, whole_number
from envs.wrappers.transform import is_continuous, stretch

LAWS = ("orthonormal", "gaussian", "released")
UNROLLED = 16  # columns that are made orthogonal one by one; a batch of small QRs takes a GPU long


@struct.dataclass
class ProjectedParams:
    """The inner params, and what is drawn with a task."""

    inner: Any
    observation: jax.Array | None  # float32 [size, D]
    action: jax.Array | None  # float32 [size, K], or of discrete actions int32 [size]


class Projected(Wrapper):
    """Shows observations through a random matrix, and takes actions through another.

    Drawn for each task, so that an agent has to find out what it sees and does (Kirsch et al.
    2022; Lu et al. 2023, algorithm 1, who do not say which law they draw from). An observation o,
    encoded as a vector [D], is seen as M o [``observation_size``]. A continuous action a from -1
    to 1 [``action_size``] means a N [K], clipped to -1 and 1 and stretched to the bounds. A
    discrete one means what a random order of ``action_size`` actions says, where action i stands
    for i modulo n of the n that there are.

    Laws of M and N: "orthonormal", uniform over matrices with orthonormal columns, which keeps
    lengths and angles of observations; "gaussian", independent entries of variance 1/rows, which
    keeps lengths on average; "released", √2 times the first for M and actions as they are: what
    Lu et al.'s published code does.

    Args:
        observation_size: at least D; None leaves observations as they are.
        action_size: at least K or n; None leaves actions as they are.
        law: one of the three.

    Raises ``UsageError`` for smaller sizes, unknown laws, and actions that are neither Discrete
    nor a vector of floats.
    """

    def __init__(
        self,
        env: Any,
        params: Any,
        observation_size: int | None = None,
        action_size: int | None = None,
        law: str = "orthonormal",
    ):
        super().__init__(env)
        if law not in LAWS:
            raise usage_error(self, f"needs a law {', '.join(LAWS)}, not {law!r}")
        self._inner_params, self._law = params, law
        self._inner_size = encoded_size(env.observation_space(params))
        self._size = self._fitting("observation_size", observation_size, self._inner_size)
        self._actions = None if law == "released" else action_size
        if self._actions is not None:
            self._fitting("action_size", self._actions, self._num_actions())

    @property
    def default_params(self) -> ProjectedParams:
        """The inner params, and the projections of one task."""
        return self._project(jax.random.key(0), self._inner_params)

    def draw_task(self, key: jax.Array, params: ProjectedParams) -> ProjectedParams:
        """Return a task of the inner environment, seen through new projections."""
        key_task, key = jax.random.split(key)
        return self._project(key, draw_task(self.env, key_task, params.inner))

    def optimal_return(self, params: ProjectedParams) -> jax.Array:
        """Return that of the inner environment."""
        return self.env.optimal_return(params.inner)

    def reset(self, key: jax.Array, params: ProjectedParams) -> tuple[Any, Any]:
        """Return the projected first observation and the state."""
        obs, state = self.env.reset(key, params.inner)
        return self._seen(obs, params), state

    def step(self, key: jax.Array, state: Any, action: Any, params: ProjectedParams) -> Transition:
        """Step with what the action means; observation and final observation are projected."""
        meant = self._meant(action, params)
        obs, state, *signals, info = self.env.step(key, state, meant, params.inner)
        final = self._seen(info["final_observation"], params)
        return self._seen(obs, params), state, *signals, {**info, "final_observation": final}

    def observation_space(self, params: ProjectedParams) -> Space:
        """Return the unbounded Box [observation_size]."""
        if self._size is None:
            return self.env.observation_space(params.inner)
        return Box(-jnp.inf, jnp.inf, (self._size,), jnp.float32)

    def action_space(self, params: ProjectedParams) -> Space:
        """Return Discrete(action_size), or the Box [action_size] from -1 to 1."""
        space = self.env.action_space(params.inner)
        if self._actions is None:
            return space
        if isinstance(space, Discrete):
            return Discrete(self._actions, dtype=space.dtype)
        return Box(-1.0, 1.0, (self._actions,), space.dtype)

    def render(self, state: Any, params: Any = None) -> Any:
        """Return the inner environment's picture."""
        render = getattr(self.env, "render", None)
        return None if render is None else render(state, getattr(params, "inner", None))

    def _project(self, key: jax.Array, inner: Any) -> ProjectedParams:
        key_obs, key_act = jax.random.split(key)
        observation = action = None
        if self._size is not None:
            observation = self._matrix(key_obs, self._size, self._inner_size)
        if self._actions is not None and isinstance(self._inner_actions(), Discrete):
            action = jax.random.permutation(key_act, self._actions) % self._num_actions()
        elif self._actions is not None:
            action = self._matrix(key_act, self._actions, self._num_actions())
        return ProjectedParams(inner, observation, action)

    def _matrix(self, key: jax.Array, rows: int, columns: int) -> jax.Array:
        if self._law == "gaussian":
            return jax.random.normal(key, (rows, columns)) * rows**-0.5
        return orthonormal(key, rows, columns) * (2**0.5 if self._law == "released" else 1.0)

    def _seen(self, obs: Any, params: ProjectedParams) -> Any:
        if params.observation is None:
            return obs
        flat = encode(self.env.observation_space(params.inner), obs)
        return jnp.matmul(params.observation, flat, precision="highest")

    def _meant(self, action: Any, params: ProjectedParams) -> Any:
        if params.action is None:
            return action
        space = self.env.action_space(params.inner)
        if isinstance(space, Discrete):
            return params.action[action].astype(dtype_of(space))
        mixed = jnp.matmul(jnp.asarray(action, jnp.float32), params.action, precision="highest")
        return stretch(space, jnp.clip(mixed, -1.0, 1.0))

    def _inner_actions(self) -> Space:
        return self.env.action_space(self._inner_params)

    def _num_actions(self) -> int:
        space = self._inner_actions()
        if isinstance(space, Discrete):
            return int(space.n)
        if is_continuous(space) and len(space.shape) == 1:
            return int(space.shape[0])
        raise usage_error(self, f"takes Discrete actions and vectors of floats, not {space!r}")

    def _fitting(self, name: str, size: int | None, least: int) -> int | None:
        return None if size is None else whole_number(self, name, size, least=least)


def orthonormal(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """Return a matrix [rows, columns], rows >= columns, with orthonormal columns.

    Uniform over all of them: the Gram-Schmidt process on independent normal entries.
    """
    normal = jax.random.normal(key, (rows, columns))
    if columns > UNROLLED:
        q, r = jnp.linalg.qr(normal)
        return q * jnp.sign(jnp.diagonal(r))[None]
    found: list[jax.Array] = []
    for i in range(columns):
        column = normal[:, i]
        for _ in range(2):  # the second time takes away what rounding left of the first
            for other in found:
                column = column - other * jnp.sum(other * column)
        found.append(column * jax.lax.rsqrt(jnp.sum(column**2)))
    return jnp.stack(found, axis=1)
