"""Brax's environments: ``brax/ant``."""

import inspect
import warnings
from typing import Any

from envs.settings import as_number
from envs.suites.base import check_id, load, refusals
from envs.suites.physics import PhysicsEnvironment
from ssmrl.errors import UsageError

PREFIX = "brax/"
PACKAGE = "brax"
BACKENDS = ("generalized", "positional", "spring", "mjx")
IDS = (  # and swimmer, which fails: brax 0.14.2 calls it with a name that JAX 0.10 took away
    "ant",
    "fast",
    "halfcheetah",
    "hopper",
    "humanoid",
    "humanoidstandup",
    "inverted_double_pendulum",
    "inverted_pendulum",
    "pusher",
    "reacher",
    "walker2d",
)


class Brax(PhysicsEnvironment):
    """One of brax's environments; ``PhysicsEnvironment`` says what is observed and paid.

    Args:
        env_id: brax's name, "ant".
        backend: one of ``BACKENDS``; None for the environment's own choice.
        episode_length: frames until truncation, the default of the parameter.
        action_repeat: frames per step.
        **settings: arguments of the environment's class, such as ``ctrl_cost_weight``.

    Raises ``UsageError`` where brax is missing, for unknown names and backends, and for text in a
    number's place.
    """

    def __init__(
        self,
        env_id: str,
        /,
        *,
        backend: str | None = None,
        episode_length: int = 1000,
        action_repeat: int = 1,
        **settings: Any,
    ):
        name = f"{PREFIX}{env_id}"
        if backend not in (None, *BACKENDS):
            known = ", ".join(BACKENDS)
            raise UsageError(f"environment {name!r}: backend must be {known}, not {backend!r}")
        suite = load("brax.envs", name, "brax")
        check_id(PREFIX, env_id, sorted({*suite._envs} - {"swimmer"}))
        own = inspect.signature(suite._envs[env_id]).parameters
        settings = {
            key: as_number(name, key, value, own[key].default) if key in own else value
            for key, value in settings.items()
        }
        chosen = {} if backend is None else {"backend": backend}
        with warnings.catch_warnings():  # that brax is no longer developed
            warnings.simplefilter("ignore", UserWarning)
            with refusals(name):
                env = suite.get_environment(env_id, **chosen, **settings)
        super().__init__(name, env, episode_length, action_repeat)
