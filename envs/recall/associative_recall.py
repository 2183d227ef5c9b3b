"""Associative recall: learn pairs of keys and values, then name the value of each key."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.fixed import FixedEnvironment, NoParams
from envs.recall.task import RecallTask, score
from envs.settings import check_range
from envs.spaces import MultiDiscrete

MAX_KINDS = 127


@struct.dataclass
class EnvState:
    """The pairs and where the game stands."""

    keys: jax.Array  # int8 [num_keys]: the shown ones first; while asking, the asked ones first
    value_of: jax.Array  # int8 [num_keys]: the value by key, 0 where none is shown
    shown: jax.Array  # int32 [2]: the observation on the screen
    time: jax.Array  # int32 []: steps taken


class AssociativeRecall(RecallTask, FixedEnvironment):
    """See key, value, key, value, ...; then name the value of every key, asked in random order.

    The associative recall of Ba et al. 2016 and of H3 (Fu et al. 2023) as a game, with all pairs
    asked for. The keys of an episode differ, values may repeat, and both are drawn uniformly. Key
    and value come in separate steps, so that a memory must bind neighbours.

    Observation: MultiDiscrete([num_keys + num_values, 2]) = (token, whether it is a question); the
    tokens are the keys, then the values. Action: a value, Discrete(num_values). Reward:
    ±1/num_pairs for the answer to each question and 0 before, so the perfect return is 1; without
    memory the best is 2/num_values - 1. Episodes have 3 * num_pairs steps.

    Args:
        num_pairs: pairs to learn, at least 1.
        num_keys: kinds of keys, num_pairs to 127.
        num_values: kinds of values, 2 to 127.

    Raises ``UsageError`` for anything else.
    """

    def __init__(self, num_pairs: int = 8, num_keys: int = 16, num_values: int = 8):
        super().__init__()
        check_range(self.name, "num_pairs", num_pairs, 1, MAX_KINDS)
        check_range(self.name, "num_keys", num_keys, num_pairs, MAX_KINDS)
        check_range(self.name, "num_values", num_values, 2, MAX_KINDS)
        self.num_pairs, self.num_keys = num_pairs, num_keys
        self.num_answers = num_values

    def num_steps(self, params: NoParams) -> int:
        """Return the keys, the values and the questions."""
        return 3 * self.num_pairs

    def reset_env(self, key: jax.Array, params: NoParams) -> tuple[jax.Array, EnvState]:
        """Show the first key."""
        state = EnvState(
            keys=jnp.arange(self.num_keys, dtype=jnp.int8),
            value_of=jnp.zeros(self.num_keys, jnp.int8),
            shown=jnp.zeros(2, jnp.int32),
            time=jnp.int32(0),
        )
        return self._show(key, state)

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: NoParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Score the answer where a question stands, then show the next token."""
        token, is_question = state.shown[0], state.shown[1] == 1
        asked = jnp.minimum(token, self.num_keys - 1)  # of a value nothing is asked
        reward = score(action == state.value_of[asked], self.num_pairs, is_question)
        obs, state = self._show(key, dataclasses.replace(state, time=state.time + 1))
        return obs, state, reward, self.is_terminated(state, params), {}

    def observation_space(self, params: NoParams) -> MultiDiscrete:
        """Return (token, whether it is a question)."""
        return MultiDiscrete([self.num_keys + self.num_answers, 2])

    def render(self, state: EnvState, params: NoParams | None = None) -> str:
        """Return what the player sees, and the pairs that were shown so far."""
        token, is_question = (int(x) for x in state.shown)
        num_known = min((int(state.time) + 1) // 2, self.num_pairs)
        known = sorted(state.keys.tolist()[:num_known])
        is_value = token >= self.num_keys
        sees = f"value {token - self.num_keys}" if is_value else f"key {token}"
        pairs = ", ".join(f"{k}:{int(state.value_of[k])}" for k in known)
        return f"the player sees {sees}{'?' if is_question else ''}   so far: {{{pairs}}}"

    def _show(self, key: jax.Array, state: EnvState) -> tuple[jax.Array, EnvState]:
        """Draw the token of this moment, which spares a reset the drawing of all.

        A new key is swapped from the unused ones to the front of them, a question from the pairs
        not yet asked for to the front of those, as cards are drawn from a deck.
        """
        question = state.time - 2 * self.num_pairs  # negative while pairs are shown
        is_question = question >= 0
        is_value = ~is_question & (state.time % 2 == 1)
        # After the last answer the last question shows again, where a draw moves nothing.
        place = jnp.where(is_question, jnp.minimum(question, self.num_pairs - 1), state.time // 2)
        num_choices = jnp.where(is_question, self.num_pairs, self.num_keys)
        drawn = jax.random.randint(
            key,
            (),
            jnp.where(is_value, 0, place),
            jnp.where(is_value, self.num_answers, num_choices),
        )
        slots = jnp.arange(self.num_keys)
        swapped = jnp.where(slots == drawn, state.keys[place], state.keys)
        swapped = jnp.where(slots == place, state.keys[drawn], swapped)
        keys = jnp.where(is_value, state.keys, swapped)

        is_its_key = is_value & (slots == state.keys[place])
        value_of = jnp.where(is_its_key, drawn.astype(jnp.int8), state.value_of)
        token = jnp.where(is_value, self.num_keys + drawn, keys[place])
        obs = jnp.stack([token, is_question.astype(jnp.int32)])
        return obs, dataclasses.replace(state, keys=keys, value_of=value_of, shown=obs)
