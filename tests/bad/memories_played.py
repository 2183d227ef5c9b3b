"""Memories that remember wrongly: only playing shows it, so only `check --memory` does."""

import jax.numpy as jnp
from bad.sound import SoundMemory, Table
from flax import linen as nn

PLAYED = Table()


@PLAYED.fault("(?i)scan.*step|step.*scan")
class ScanIsNotStep(SoundMemory):
    def step(self, state, x_BxF, start_B):
        state = self.keep(state, start_B) / 3 + self.dense(x_BxF)
        return state, state


@PLAYED.fault("(?i)start")
class NeverForgets(SoundMemory):
    @nn.nowrap
    def keep(self, state, start):
        return state


@PLAYED.fault("(?i)start")
class ForgetsTheInput(SoundMemory):
    """Forgets after the first input of an episode, not before it."""

    def scan(self, state, x_TxBxF, start_TxB):
        pairs = [self.step(state, x_TxBxF[0], start_TxB[0])]
        for t in range(1, len(x_TxBxF)):
            pairs.append(self.step(pairs[-1][0], x_TxBxF[t], start_TxB[t]))
        return pairs[-1][0], jnp.stack([y for _, y in pairs])

    def step(self, state, x_BxF, start_B):
        y = state / 2 + self.dense(x_BxF)
        return self.keep(y, start_B), y


@PLAYED.fault("(?i)piece|step|back|future|later")
class RunsBackwards(SoundMemory):
    def scan(self, state, x_TxBxF, start_TxB):
        state, y = super().scan(state, x_TxBxF[::-1], start_TxB[::-1])
        return state, y[::-1]


@PLAYED.fault("(?i)batch|other|environment")
class MixesBatch(SoundMemory):
    @nn.nowrap
    def keep(self, state, start):
        return super().keep(state, start) + state.mean(0, keepdims=True)
