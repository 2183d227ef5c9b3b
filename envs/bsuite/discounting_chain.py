"""bsuite's discounting chain: five ways to a reward, one of which pays a tenth more."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.fixed import FixedEnvironment, NoParams
from envs.settings import whole_numbers
from envs.spaces import Box, Discrete

BONUS = 0.1


@struct.dataclass
class EnvState:
    """Where in which chain."""

    chain: jax.Array  # int32 []: the first action; -1 before it
    time: jax.Array  # int32 []: steps taken


class DiscountingChain(FixedEnvironment):
    """The first action chooses a chain; each chain pays once, at a step of its own.

    Rules of bsuite. Observation: float32 [2] = (chain, -1 before it is chosen; time as a part of
    the episode). Action: a chain, Discrete(5); all but the first do nothing. Reward: 1 on step
    1, 3, 10, 30 or 100 according to the chain, with the bonus 1.1. An episode has 100 steps, as
    many as the latest reward needs, terminates and is never truncated. The best return is 1.1; a
    random player gets 1.02: it is the discount that makes the late chains look worse.

    Differs from gymnax's, where a ``mapping_seed`` above 4 gives no chain the bonus, and the end
    counts as a truncation.

    Args:
        mapping_seed: which chain has the bonus: this modulo the number of chains.
        reward_steps: the step at which each chain pays, 1 or later; the latest is the episode's
            length. ``UsageError`` where one is less than 1, or there is none.
    """

    def __init__(self, mapping_seed: int = 0, reward_steps: Sequence[int] = (1, 3, 10, 30, 100)):
        super().__init__()
        steps = np.array(whole_numbers(self.name, "reward_steps", reward_steps, 1), np.int32)
        self.reward_steps = steps
        self.rewards = np.ones(steps.size, np.float32)
        self.rewards[mapping_seed % steps.size] += BONUS
        self.num_steps = int(steps.max())

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[jax.Array, EnvState]:
        """Stand before the choice."""
        state = EnvState(chain=jnp.int32(-1), time=jnp.int32(0))
        return self._observe(state), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Choose the chain at first, then go one step along it."""
        chosen = jnp.asarray(action, jnp.int32)
        chain = jnp.where(state.time == 0, chosen, state.chain)
        state = EnvState(chain=chain, time=state.time + 1)
        pays = state.time == jnp.asarray(self.reward_steps)[chain]
        reward = jnp.where(pays, jnp.asarray(self.rewards)[chain], 0.0)
        return self._observe(state), state, reward, self.is_terminated(state, params), {}

    def is_terminated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return whether the latest reward is past."""
        return state.time >= self.num_steps

    def is_truncated(self, state: EnvState, params: NoParams) -> jax.Array:
        """Return false: time never runs out."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """The chains."""
        return self.rewards.size

    def action_space(self, params: NoParams | None = None) -> Discrete:
        """Return the chain to choose."""
        return Discrete(self.num_actions)

    def observation_space(self, params: NoParams) -> Box:
        """Return the Box of (chain, part of the episode)."""
        high = jnp.array([max(1, self.num_actions - 1), 1], jnp.float32)
        return Box(jnp.array([-1.0, 0.0]), high, (2,), jnp.float32)

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return one line per chain: what it pays when, and where the player stands."""
        lines = [f"step {int(state.time)} of {self.num_steps}"]
        for chain, (step, reward) in enumerate(zip(self.reward_steps, self.rewards, strict=True)):
            here = ">" if chain == int(state.chain) else " "
            lines.append(f"{here} chain {chain}: {reward:.1f} at step {step}")
        return "\n".join(lines)

    def _observe(self, state: EnvState) -> jax.Array:
        return jnp.stack([state.chain.astype(jnp.float32), state.time / self.num_steps])
