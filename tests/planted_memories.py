"""A sound memory of a few lines, and what it becomes with one fault planted in each."""

import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


class Sound(nn.Module):
    """Inputs, mapped by a Dense, of which every step forgets a half."""

    ssm_parameters: ClassVar[tuple[str, ...]] = ("kernel",)

    features: int = 4  # of inputs and outputs

    def setup(self):
        self.embed = nn.Dense(self.features)

    @nn.nowrap
    def initial_state(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features))

    def step(self, state, x_BxF, start_B):
        return self.cell(state, self.embed(x_BxF), start_B)

    def scan(self, state, x_TxBxF, start_TxB):
        return jax.lax.scan(
            lambda state, inputs: self.cell(state, *inputs), state, (self.embed(x_TxBxF), start_TxB)
        )

    def cell(self, state, u_BxH, start_B):
        state = self.kept(state, start_B) + u_BxH
        return state, jnp.tanh(state)

    def kept(self, state, start_B):
        return 0.5 * jnp.where(start_B[..., None], 0, state)


# What shapes and dtypes show.


class Integers(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        return state, y.astype(jnp.int32)


class Complex(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        return state, y + 1j


class TooWide(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        return state, jnp.concatenate([y, y], axis=-1)


class BatchFirst(Sound):
    def scan(self, *inputs):
        state, y = super().scan(*inputs)
        return state, jnp.swapaxes(y, 0, 1)


class ThreeValues(Sound):
    def step(self, *inputs):
        return *super().step(*inputs), {}


class Growing(Sound):
    def step(self, state, *inputs):
        new, y = super().step(state[..., : self.features], *inputs)
        return jnp.concatenate([state, new], axis=-1), y


class OtherDtype(Sound):
    def step(self, *inputs):
        state, y = super().step(*inputs)
        return state.astype(jnp.bfloat16), y


class OtherKind(Sound):
    def scan(self, *inputs):
        state, y = super().scan(*inputs)
        return (state,), y


class NoBatch(Sound):
    @nn.nowrap
    def initial_state(self, batch_shape):
        return jnp.zeros(self.features)


class PythonIf(Sound):
    def step(self, state, x_BxF, start_B):
        if start_B.any():
            state = jnp.zeros_like(state)
        return super().step(state, x_BxF, start_B)


class OtherParameters(Sound):
    @nn.compact
    def step(self, state, x_BxF, start_B):
        return self.cell(state, nn.Dense(self.features, name="own")(x_BxF), start_B)


class OtherWidths(Sound):
    def step(self, state, x_BxF, start_B):
        return super().step(state, jnp.concatenate([x_BxF, x_BxF[..., :1]], axis=-1), start_B)


class IntegerParameter(Sound):
    def setup(self):
        super().setup()
        self.delay = self.param("delay", lambda key: jnp.int32(3))


class NoSuchParameter(Sound):
    ssm_parameters: ClassVar[tuple[str, ...]] = ("lambda_re",)


class NotATuple(Sound):
    ssm_parameters: ClassVar[Any] = "kernel"


class NoWidth(Sound):
    features: int | None = None


class NoMaking(Sound):
    def __post_init__(self):
        raise RuntimeError("not today")


class OnSelf(Sound):
    def step(self, *inputs):
        self.last, y = super().step(*inputs)
        return self.last, y


class Collection(Sound):
    def setup(self):
        super().setup()
        self.count = self.variable("counts", "steps", lambda: jnp.zeros(()))


class OwnChance(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        return state, y + jax.random.normal(self.make_rng("noise"), y.shape)


class Unready(Sound):
    """``prepare`` is there, but ``step`` takes nothing of it."""

    def prepare(self, dtype=jnp.float32):
        return self.embed.variables


class OwnStates(Sound):
    """No fault: it has the states inside a scan at hand."""

    def scan_states(self, state, x_TxBxF, start_TxB, every):
        def step(state, inputs):
            state, y = self.cell(state, *inputs)
            return state, (y, state)

        state, (y, states) = jax.lax.scan(step, state, (self.embed(x_TxBxF), start_TxB))
        return state, y, self.kept_states(states, every)

    def kept_states(self, states, every):
        return states[every - 1 :: every]


class StatesOfEveryStep(OwnStates):
    def kept_states(self, states, every):
        return states


class NoStates(Sound):
    def scan_states(self, state, x_TxBxF, start_TxB, every):
        return self.scan(state, x_TxBxF, start_TxB)


class Raising(Sound):
    @nn.nowrap
    def initial_state(self, batch_shape):
        raise KeyError("no\nstate")


# What other inputs show.


class FollowsInputs(Sound):
    def scan(self, state, x_TxBxF, start_TxB):
        state, y = super().scan(state, x_TxBxF, start_TxB)
        return state.astype(x_TxBxF.dtype), y


class OneAxis(Sound):
    def kept(self, state, start_B):
        return 0.5 * jnp.einsum("bh,b->bh", state, 1 - start_B)


class OwnWidth(Sound):
    """No fault, but takes only inputs as wide as its outputs."""

    def step(self, state, x_BxF, start_B):
        return self.cell(state, x_BxF, start_B)

    def scan(self, state, x_TxBxF, start_TxB):
        return jax.lax.scan(lambda s, i: self.cell(s, *i), state, (x_TxBxF, start_TxB))

    ssm_parameters: ClassVar[tuple[str, ...]] = ()


# What tracing twice and running twice show.


class NumpyChance(Sound):
    def kept(self, *inputs):
        return np.random.default_rng().uniform(0.4, 0.6) * super().kept(*inputs)


class Counts(Sound):
    steps: ClassVar[int] = 0

    def cell(self, *inputs):
        type(self).steps += 1
        return super().cell(*inputs)


class History(Sound):
    history: ClassVar[list] = []

    def cell(self, state, *inputs):
        self.history.append(state)
        return super().cell(state, *inputs)


tickets = itertools.count()


class FromOutside(Sound):
    def scan(self, *inputs):
        state, y = super().scan(*inputs)
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        ticket = jax.pure_callback(
            lambda: np.float32(next(tickets)), shape, vmap_method="sequential"
        )
        return state, y + ticket


class OnlyOnce(Sound):
    """Raises when it runs, which tracing does not show."""

    def scan(self, *inputs):
        state, y = super().scan(*inputs)

        def fail():
            raise RuntimeError("no device for this")

        return state, y + jax.pure_callback(fail, jax.ShapeDtypeStruct((), jnp.float32))


class KnowsTracing(Sound):
    def kept(self, state, start_B):
        factor = 1 if isinstance(state, jax.core.Tracer) else 2
        return factor * super().kept(state, start_B)


# What sequences show.


class ScanIsNotStep(Sound):
    def scan(self, state, x_TxBxF, start_TxB):
        state, y = super().scan(state, x_TxBxF, start_TxB)
        return state, y + 1e-3


class OtherState(Sound):
    def scan(self, *inputs):
        state, y = super().scan(*inputs)
        return 1.001 * state, y


class OtherGradient(Sound):
    """``scan`` gives the values of ``step``, but lets no gradient through its states."""

    def scan(self, state, x_TxBxF, start_TxB):
        return jax.lax.scan(
            lambda s, i: self.cell(jax.lax.stop_gradient(s), *i),
            state,
            (self.embed(x_TxBxF), start_TxB),
        )


class OtherPieces(Sound):
    """Short scans begin anew."""

    def scan(self, state, x_TxBxF, start_TxB):
        return super().scan(state if len(x_TxBxF) > 2 else 0 * state, x_TxBxF, start_TxB)


class DeafAtFirst(Sound):
    """Misses a start at the first step of a scan."""

    def scan(self, state, x_TxBxF, start_TxB):
        return super().scan(state, x_TxBxF, start_TxB.at[0].set(False))


class NoGradientAtZero(Sound):
    def cell(self, state, u_BxH, start_B):
        length = jnp.linalg.norm(u_BxH, axis=-1, keepdims=True)
        return super().cell(state, u_BxH / (1 + length), start_B)


class Overflows(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        return state, jnp.exp(1e4 * y)


class NoVmap(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        fixed = jax.lax.stop_gradient(y)
        return state, y + jax.pure_callback(np.tanh, fixed, fixed)


class StatesBefore(OwnStates):
    """Gives the states before the last step of a piece, where those after it are due."""

    def kept_states(self, states, every):
        return states[every - 2 :: every]


class StatesWithoutGradient(OwnStates):
    def kept_states(self, states, every):
        return jax.lax.stop_gradient(super().kept_states(states, every))


class WrongPrepare(Sound):
    def prepare(self, dtype=jnp.float32):
        return jnp.asarray(0.6, dtype)

    def step(self, state, x_BxF, start_B, prepared=0.5):
        state = 2 * prepared * self.kept(state, start_B) + self.embed(x_BxF)
        return state, jnp.tanh(state)


class MixesRows(Sound):
    def cell(self, state, u_BxH, start_B):
        return super().cell(state, u_BxH - 1e-3 * u_BxH.mean(axis=0, keepdims=True), start_B)


class Backwards(Sound):
    def scan(self, state, x_TxBxF, start_TxB):
        state, y = super().scan(state, x_TxBxF[::-1], start_TxB[::-1])
        return state, y[::-1]


class LooksAhead(Sound):
    def scan(self, state, x_TxBxF, start_TxB):
        ahead = 1e-7 * jnp.concatenate([x_TxBxF[1:], x_TxBxF[-1:]])
        return super().scan(state, x_TxBxF + ahead, start_TxB)


# What starts show.


class Leaks(Sound):
    def kept(self, state, start_B):
        return jnp.where(start_B[..., None], 0.01, 0.5) * state


class LeaksLater(Sound):
    """Averages three inputs; its window does not know of starts."""

    @nn.nowrap
    def initial_state(self, batch_shape):
        return jnp.zeros((*batch_shape, 2, self.features))

    def cell(self, state, u_BxH, start_B):
        window = jnp.concatenate([state, u_BxH[..., None, :]], axis=-2)
        y = jnp.where(start_B[..., None], u_BxH, window.mean(axis=-2))
        return window[..., 1:, :], y


class LeaksMuchLater(Sound):
    """Its sum of all inputs knows of no start, but shows only four steps after one."""

    @nn.nowrap
    def initial_state(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features + 1))

    def cell(self, state, u_BxH, start_B):
        age = jnp.where(start_B[..., None], 0, state[..., -1:] + 1)
        total = 0.9 * state[..., :-1] + u_BxH
        return jnp.concatenate([total, age], axis=-1), jnp.where(age < 4, u_BxH, total)


class LeaksGradient(Sound):
    """Zero in value over a start, but not in gradient."""

    def kept(self, state, start_B):
        return super().kept(state, start_B) + 0.1 * (state - jax.lax.stop_gradient(state))


class RootOfState(Sound):
    """Selects after the root whose slope is infinite at zero, so that 0 times infinity appears."""

    def kept(self, state, start_B):
        size = jnp.where(start_B[..., None], 0, jnp.abs(state))
        return jnp.where(start_B[..., None], 0, jnp.sign(state) * jnp.sqrt(size))


class ForgetsFirst(Sound):
    def cell(self, state, u_BxH, start_B):
        state, y = super().cell(state, u_BxH, start_B)
        return jnp.where(start_B[..., None], 0, state), y


class HidesFirst(Sound):
    def cell(self, state, u_BxH, start_B):
        state, y = super().cell(state, u_BxH, start_B)
        return state, jnp.where(start_B[..., None], 0, y)


class Multiplies(Sound):
    """No fault, but a state of NaN is there for good."""

    def kept(self, state, start_B):
        return 0.5 * (1 - start_B[..., None]) * state


class LearntStart(Sound):
    """No fault: an episode begins from a parameter, a state from zeros."""

    def setup(self):
        super().setup()
        self.first = self.param("first", nn.initializers.ones, (self.features,))

    def kept(self, state, start_B):
        first = self.first.reshape((1,) * start_B.ndim + (-1,))
        return 0.5 * jnp.where(start_B[..., None], first, state)


# What it is for.


class Constant(Sound):
    def cell(self, *inputs):
        state, y = super().cell(*inputs)
        return state, jnp.ones_like(y)


class CannotLearn(Sound):
    """No fault, but of no great use: no gradient goes through time."""

    def kept(self, state, start_B):
        return super().kept(jax.lax.stop_gradient(state), start_B)


class Demanding(Sound, kw_only=True):
    """No fault, but an option without a default."""

    decay_rate: float

    def kept(self, state, start_B):
        return 2 * (1 - self.decay_rate) * super().kept(state, start_B)
