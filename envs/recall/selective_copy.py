"""Selective copying: pick the symbols out of the blanks and recite them in order."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.recall.task import RecallTask, score
from envs.settings import check_range
from envs.spaces import Discrete
from ssmrl.errors import UsageError


@struct.dataclass
class EnvState:
    """What was shown."""

    tokens: jax.Array  # int8 [num_tokens]: the symbols so far in their order, then zeros
    num_seen: jax.Array  # int32 []: how many of them are shown
    shown: jax.Array  # int32 []: the observation on the screen
    time: jax.Array  # int32 []: steps taken


@struct.dataclass
class EnvParams:
    """What may vary without a new compilation."""

    distractor_fraction: float = 0.9  # part of the shown items that are blank, below 1


class SelectiveCopy(RecallTask):
    """Symbols come at random times among blanks; then all are to be named in their order.

    The selective copying of Gu & Dao 2023 (Mamba) as a game. Of L shown items ``num_tokens`` are
    symbols, at places drawn uniformly, each symbol uniform too; the rest is blank. Then the screen
    says "answer" for ``num_tokens`` steps. Observation: Discrete(num_symbols + 2): a symbol, blank
    (``num_symbols``) or answer (``num_symbols + 1``). Action: a symbol. Reward:
    ±1/num_tokens for the i-th answer against the i-th symbol, and 0 while items are shown, so the
    perfect return is 1; without memory the best is 2/num_symbols - 1.

    Episodes have L + num_tokens steps, with L = num_tokens / (1 - distractor_fraction), rounded.
    Gu & Dao have 16 tokens among 4096 items, a fraction of 0.996.

    Args:
        num_tokens: symbols to remember, at least 1.
        num_symbols: kinds of symbols, 2 to 127.
        distractor_fraction: at least 0 (plain copying) and below 1.

    Raises ``UsageError`` for anything else.
    """

    def __init__(self, num_tokens: int = 8, num_symbols: int = 8, distractor_fraction: float = 0.9):
        super().__init__()
        check_range(self.name, "num_tokens", num_tokens, 1)
        check_range(self.name, "num_symbols", num_symbols, 2, 127)
        if not 0 <= np.float32(distractor_fraction) < 1:
            raise UsageError(
                f"environment {self.name!r}: distractor_fraction must be at least 0 and below 1, "
                f"not {distractor_fraction}"
            )
        self.num_tokens = num_tokens
        self.num_answers = num_symbols
        self.blank, self.answer_now = num_symbols, num_symbols + 1
        self._distractor_fraction = distractor_fraction

    @property
    def default_params(self) -> EnvParams:
        """The constructor's fraction of distractors."""
        return EnvParams(distractor_fraction=self._distractor_fraction)

    def num_items(self, params: EnvParams) -> jax.Array:
        """Return L, the symbols and blanks together: int32 []."""
        # In float32 outside jit too, where a Python number would be rounded otherwise.
        items = jnp.round(self.num_tokens / (1 - jnp.float32(params.distractor_fraction)))
        return items.astype(jnp.int32)

    def num_steps(self, params: EnvParams) -> jax.Array:
        """Return the items and the answers."""
        return self.num_items(params) + self.num_tokens

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Show the first item."""
        nothing = jnp.int32(0)
        state = EnvState(jnp.zeros(self.num_tokens, jnp.int8), nothing, nothing, nothing)
        return self._show(key, state, params)

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Score the answer where one is due, then show the next item."""
        place = state.time - self.num_items(params)
        is_right = action == state.tokens[jnp.maximum(place, 0)]
        reward = score(is_right, self.num_tokens, place >= 0)
        obs, state = self._show(key, dataclasses.replace(state, time=state.time + 1), params)
        return obs, state, reward, self.is_terminated(state, params), {}

    def observation_space(self, params: EnvParams) -> Discrete:
        """Return a symbol, blank, or answer."""
        return Discrete(self.num_answers + 2)

    def render(self, state: EnvState, params: EnvParams | None = None) -> str:
        """Return what the player sees, and the symbols to remember, the due one in brackets."""
        params = self.default_params if params is None else params
        due = int(state.time) - int(self.num_items(params))
        tokens = [str(t) for t in state.tokens.tolist()[: int(state.num_seen)]]
        if 0 <= due < len(tokens):
            tokens[due] = f"[{tokens[due]}]"
        names = {self.blank: "blank", self.answer_now: "answer!"}
        sees = names.get(int(state.shown), str(int(state.shown)))
        return f"the player sees {sees}   so far: {' '.join(tokens)}"

    def _show(
        self, key: jax.Array, state: EnvState, params: EnvParams
    ) -> tuple[jax.Array, EnvState]:
        """Draw the item of this moment, which spares a reset the drawing of all.

        With r symbols still to come in the last m items this one is a symbol with probability
        r/m, which makes every choice of places equally likely.
        """
        items_left = self.num_items(params) - state.time
        drawn = jax.random.randint(key, (2,), 0, jnp.stack([items_left, jnp.int32(self.blank)]))
        is_token = (drawn[0] < self.num_tokens - state.num_seen) & (items_left > 0)
        is_here = is_token & (jnp.arange(self.num_tokens) == state.num_seen)
        nothing = jnp.where(items_left > 0, self.blank, self.answer_now)
        state = dataclasses.replace(
            state,
            tokens=jnp.where(is_here, drawn[1].astype(jnp.int8), state.tokens),
            num_seen=state.num_seen + is_token,
            shown=jnp.where(is_token, drawn[1], nothing),
        )
        return state.shown, state
