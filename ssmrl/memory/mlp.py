"""No memory: a plain network with the interface of one, the baseline for all others."""

from typing import ClassVar

import jax
from flax import linen as nn

from ssmrl.memory.base import check_layers, check_positive


class MLP(nn.Module):
    """Dense layers with leaky ReLU; the state is ``()`` and ``start`` means nothing.

    Shapes as in ``ssmrl.memory.Memory``. Raises ``UsageError`` on sizes below one.
    """

    ssm_parameters: ClassVar[tuple[str, ...]] = ()

    features: int = 256  # width of every layer, the output's among them
    num_layers: int = 1  # one on top of the other

    def __post_init__(self):
        check_positive(features=self.features)
        check_layers(self.num_layers)
        super().__post_init__()

    def setup(self):
        self.layers = [nn.Dense(self.features) for _ in range(self.num_layers)]

    @nn.nowrap
    def initial_state(self, batch_shape: tuple[int, ...]) -> tuple[()]:
        """Return the empty state, which has no leaves at all."""
        return ()

    def scan(
        self, state: tuple[()], x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[tuple[()], jax.Array]:
        """Map each input on its own; returns y_TxBxH."""
        return state, self._network(x_TxBxF)

    def scan_states(
        self, state: tuple[()], x_TxBxF: jax.Array, start_TxB: jax.Array, every: int
    ) -> tuple[tuple[()], jax.Array, tuple[()]]:
        """Map each input on its own; returns what ``scan`` does, and states without a leaf."""
        return *self.scan(state, x_TxBxF, start_TxB), ()

    def step(
        self, state: tuple[()], x_BxF: jax.Array, start_B: jax.Array
    ) -> tuple[tuple[()], jax.Array]:
        """Map the input on its own; returns y_BxH."""
        return state, self._network(x_BxF)

    def _network(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = nn.leaky_relu(layer(x))
        return x
