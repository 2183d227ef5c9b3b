"""S5: a stack of diagonal state-space layers that resets inside a sequence."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.memory.base import check_positive
from ssmrl.memory.s5_layer import S5Layer, S5Options

LAYER_AXIS = -2  # of the state [*, L, 2P]: batch axes lead, whatever their number


class S5(S5Options):
    """S5 layers as Lu et al. 2023 (arXiv 2303.03982) run them; the defaults are theirs.

    The state is [*, num_layers, 2P], real and imaginary parts of P = ``num_states``. Inputs of
    another width than ``features`` first pass a Dense, "embed". Parameters of all layers are
    stacked on their first axis. Shapes as in ``ssmrl.memory.Memory``. Raises ``UsageError`` on
    option values that are unknown or do not fit together.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ("lambda_re", "lambda_im", "log_step", "b")

    num_layers: int = 4
    unroll: int = 1  # layers per turn of the loop over layers: num_layers runs fastest on a GPU

    def __post_init__(self):
        check_positive(num_layers=self.num_layers, unroll=self.unroll)
        super().__post_init__()

    def setup(self):
        stacked = nn.scan(
            S5Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(LAYER_AXIS, nn.broadcast),
            out_axes=LAYER_AXIS,
            length=self.num_layers,
            unroll=self.unroll,
            methods=["scan", "step"],
        )
        shared = (f.name for f in dataclasses.fields(S5Options) if f.name not in ("parent", "name"))
        self.layers = stacked(**{name: getattr(self, name) for name in shared})
        self.embed = nn.Dense(self.features)  # has parameters only if it is called

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> jax.Array:
        """Return zeros, x_*xLx2P."""
        return jnp.zeros((*batch_shape, self.num_layers, 2 * self.num_states))

    def scan(
        self, state: jax.Array, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in T steps; returns the last state and y_TxBxH."""
        y_TxBxH, state = self.layers.scan(self._embedded(x_TxBxF), state, start_TxB)
        return state, y_TxBxH

    def step(
        self, state: jax.Array, x_BxF: jax.Array, start_B: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in one step; returns the next state and y_BxH."""
        y_BxH, state = self.layers.step(self._embedded(x_BxF), state, start_B)
        return state, y_BxH

    def _embedded(self, x: jax.Array) -> jax.Array:
        return x if x.shape[-1] == self.features else self.embed(x)
