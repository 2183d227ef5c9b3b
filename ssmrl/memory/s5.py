"""S5: a stack of diagonal state-space layers that resets inside a sequence."""

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.errors import UsageError
from ssmrl.memory.base import check_layers, check_positive
from ssmrl.memory.s5_layer import (
    S5Options,
    Weights,
    discretise,
    init_layer,
    scan_layer,
    step_layer,
    with_direct,
)

State = tuple[jax.Array, ...]


class S5(S5Options):
    """S5 layers as Lu et al. 2023 (arXiv 2303.03982) run them; the defaults are theirs.

    The state is a tuple of one array [*, 2P] per layer, real and imaginary parts of P =
    ``num_states``. A start replaces it by zeros, or with ``learned_start`` by a parameter,
    "reset_state", which is zero at first. Inputs of another width than ``features`` first pass a
    Dense, "embed". Parameters of all layers are stacked on their first axis. Shapes as in
    ``ssmrl.memory.Memory``. Raises ``UsageError`` on option values that are unknown or do not fit
    together.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ("lambda_re", "lambda_im", "log_step", "b")

    num_layers: int = 4  # one on top of the other
    unroll: int | None = None  # layers per turn of the loop over layers; all, which runs fastest
    resets: bool = True  # False: start is ignored and episodes leak, the paper's S5 without resets

    def __post_init__(self):
        check_layers(self.num_layers)
        if self.unroll is not None:
            check_positive(unroll=self.unroll)
        if self.learned_start and not self.resets:
            raise UsageError("learned_start=True needs resets=True: without, no start is heeded")
        super().__post_init__()

    def setup(self):
        def init(key):
            return jax.vmap(partial(init_layer, self))(jax.random.split(key, self.num_layers))

        self.layers = self.param("layers", init)
        self.embed = nn.Dense(self.features)  # has parameters only if it is called

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> State:
        """Return zeros, one x_*x2P per layer."""
        shape = (*batch_shape, 2 * self.num_states)
        return tuple(
            jnp.zeros(shape, jnp.float32) for _ in range(self.num_layers)
        )  # apart, to be donated

    def prepare(self, dtype: Any = jnp.float32) -> list[Weights]:
        """Return what ``step`` makes of the parameters, to be made once for many steps."""
        stacked = discretise(self, self.layers, dtype)
        if jax.default_backend() == "gpu":
            stacked = with_direct(stacked)
        return [jax.tree.map(lambda v, i=i: v[i], stacked) for i in range(self.num_layers)]

    def scan(
        self, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[State, jax.Array]:
        """Take in T steps; returns the last state and y_TxBxH."""
        return self._scan(state, x_TxBxF, start_TxB, -1)

    def scan_states(
        self, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array, every: int
    ) -> tuple[State, jax.Array, State]:
        """Take in T steps; returns what ``scan`` does and states [T / every, B, ...]."""
        states, y = self._scan(state, x_TxBxF, start_TxB, slice(every - 1, None, every))
        return tuple(state[-1] for state in states), y, states

    def _scan(
        self, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array, kept: int | slice
    ) -> tuple[State, jax.Array]:
        """Take in T steps; returns the states after the steps ``kept``, and y_TxBxH."""
        heeded_TxB = self._heeded(start_TxB)

        def layer(y_TxBxH, inputs):
            weights, state_BxN = inputs
            return scan_layer(self, weights, y_TxBxH, state_BxN, heeded_TxB, kept)

        y_TxBxH = self._embedded(x_TxBxF)
        weights = discretise(self, self.layers, y_TxBxH.dtype)
        y_TxBxH, states = jax.lax.scan(
            layer, y_TxBxH, (weights, jnp.stack(state)), unroll=self.unroll or self.num_layers
        )
        return tuple(states), y_TxBxH

    def step(
        self,
        state: State,
        x_BxF: jax.Array,
        start_B: jax.Array,
        prepared: list[Weights] | None = None,
    ) -> tuple[State, jax.Array]:
        """Take in one step; returns the next state and y_BxH."""
        y_BxH, states, heeded_B = self._embedded(x_BxF), [], self._heeded(start_B)
        for weights, state_BxN in zip(prepared or self.prepare(y_BxH.dtype), state, strict=True):
            y_BxH, state_BxN = step_layer(self, weights, y_BxH, state_BxN, heeded_B)
            states.append(state_BxN)
        return tuple(states), y_BxH

    def _heeded(self, start: jax.Array) -> jax.Array | None:
        return start if self.resets else None

    def _embedded(self, x: jax.Array) -> jax.Array:
        return x if x.shape[-1] == self.features else self.embed(x).astype(x.dtype)
