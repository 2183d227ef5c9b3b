"""Environments: made by name, adapted to one contract, checked, and wrapped for agents.

The contract is that of gymnax 1.x: ``reset(key, params) -> obs, state`` and ``step(key, state,
action, params) -> obs, state, reward, terminated, truncated, info`` with auto-reset and
``info["final_observation"]``, the observation before the reset.

    env, params = envs.make("popgym/RepeatPreviousEasy")
    env = envs.wrap(env, previous_action=True, start_flag=True)
    envs.check_environment(env, params)
"""

from envs.adapters import LegacyGymnax
from envs.check import check_environment
from envs.registry import make, names, register
from envs.wrappers import Wrapper, wrap

__all__ = [
    "LegacyGymnax",
    "Wrapper",
    "check_environment",
    "make",
    "names",
    "register",
    "wrap",
]
