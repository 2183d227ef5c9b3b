"""Craftax and Craftax-Classic: ``craftax/Craftax-Classic-Symbolic-v1``."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.settings import as_number
from envs.spaces import Box
from envs.suites.base import SuiteEnvironment, check_id, lenient, load, time_limit

PREFIX = "craftax/"
PACKAGE = "craftax"
IDS = (
    "Craftax-Classic-Pixels-v1",
    "Craftax-Classic-Symbolic-v1",
    "Craftax-Pixels-v1",
    "Craftax-Symbolic-v1",
)
_NEVER = 2**31 - 1


class Craftax(SuiteEnvironment):
    """A world to explore, survive and craft in; Craftax-Classic is Crafter's.

    Observation: float32 from 0 to 1, a vector of symbols or pixels [height, width, 3]; in the
    whole Craftax, symbols of attributes that have grown go above 1. Action: Discrete(17), in the
    whole Craftax Discrete(43). Reward: that of an achievement when first made, and a tenth of
    the health that is lost or won. Death (and in Craftax the victory over the boss) terminates;
    ``max_timesteps`` steps (10,000 and 100,000) truncate.
    ``info["Achievements/..."]`` is 100 for what was achieved, told in an episode's last step.

    The parameters are Craftax's own. Its worlds are dear: on a CPU a reset takes 8 times as long
    as a step, in the whole Craftax 19 times. There jax 0.10 draws another map than from the same
    key alone where more than 8 are drawn at once; later ones do not.

    Args:
        env_id: one of ``IDS``.
        max_timesteps: steps until truncation, at least 1; None for Craftax's own.
        **static: fields of Craftax's ``StaticEnvParams``, such as ``max_zombies``.

    Raises ``UsageError`` where craftax is missing, for unknown names and for wrong numbers.
    """

    def __init__(self, env_id: str, /, *, max_timesteps: int | None = None, **static: Any):
        name = f"{PREFIX}{env_id}"
        limit = time_limit(name, "max_timesteps", max_timesteps)
        suite = load("craftax.craftax_env", name, "ssmrl[craftax]")
        check_id(PREFIX, env_id, IDS)
        super().__init__(name)
        self._env = suite.make_craftax_env_from_name(env_id, auto_reset=False)
        params = self._env.default_params
        self._params = params if limit is None else params.replace(max_timesteps=limit)
        if static:
            own = self._env.static_env_params
            static = {k: as_number(name, k, v, getattr(own, k, v)) for k, v in static.items()}
            self._env.static_env_params = own.replace(**static)

    @property
    def default_params(self) -> Any:
        """Craftax's own, with the constructor's time limit."""
        return self._params

    def first(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Generate a world."""
        return self._env.reset_env(key, params)

    def advance(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Act in the world."""
        obs, state, reward, _, info = self._env.step_env(key, state, action, params)
        # Craftax's flag holds the time limit too, and its discount is 0 there.
        timeless = params.replace(max_timesteps=_NEVER)
        info = {name: value for name, value in info.items() if name != "discount"}
        return obs, state, reward, self._env.is_terminal(state, timeless), info

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        """Return whether the time is over."""
        return jnp.asarray(state.timestep >= params.max_timesteps)

    @property
    def num_actions(self) -> int:
        """The number of actions."""
        return int(self._env.num_actions)

    def observation_space(self, params: Any) -> Box:
        """Return the Box of symbols or pixels."""
        highest = jnp.inf if self.name.endswith("/Craftax-Symbolic-v1") else 1.0
        return Box(0.0, highest, self._env.observation_space(params).shape, jnp.float32)

    def render(self, state: Any, params: Any = None) -> np.ndarray:
        """Return what a player sees: uint8 [height, width, 3]."""
        with lenient():
            return np.asarray(self._draw(state)).clip(0, 255).astype(np.uint8)

    @functools.cached_property
    def _draw(self) -> Callable[[Any], jax.Array]:
        package = "craftax.craftax_classic" if "Classic" in self.name else "craftax.craftax"
        renderer = load(f"{package}.renderer", self.name, "ssmrl[craftax]")
        size = load(f"{package}.constants", self.name, "ssmrl[craftax]").BLOCK_PIXEL_SIZE_IMG
        return jax.jit(renderer.make_craftax_pixel_renderer(size))
