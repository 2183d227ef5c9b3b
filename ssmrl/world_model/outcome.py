"""What an action brings: the reward, whether later rewards count, and whether anything is seen."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.dense import Dense
from ssmrl.nets.distributional import SymexpBins
from ssmrl.nets.mlp import MLP
from ssmrl.nets.product import Product


class Outcome(nn.Module):
    """Logits of the reward for an action, [..., K], and of what goes on, [..., 2].

    What an action pays hangs on whether it fits what is known, and that on what is seen after it.
    What pairs of 24 cards pay was not learnt in 2,000 gradient steps by a head that was given the
    next latent without a product (mean square error 0.96, of rewards about 1), but by this (0.21).
    """

    sizes: tuple[int, ...]  # of the layers
    bins: SymexpBins
    dtype: Any = jnp.float32

    def setup(self) -> None:
        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        self.fits = Product(self.sizes[0], self.dtype)
        # Of zeros at first: where nothing is told by what is seen after, it is noise.
        self.after_in = Dense(self.sizes[0], dtype=self.dtype, kernel_init=zeros, bias_init=ones)
        self.reward_body = MLP(self.sizes)
        self.reward_out = self.bins.head()
        self.continue_body = MLP(self.sizes)
        self.continue_out = Dense(2)

    def __call__(
        self, seen: jax.Array, action: jax.Array, after: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take all that is known [..., F], the action [..., A], what is seen then [..., S]."""
        seen, action, after = (x.astype(self.dtype) for x in (seen, action, after))
        x = self.fits(seen, action)
        goes_on = self.continue_out(self.continue_body(x)).astype(jnp.float32)
        x = jnp.concatenate([x * self.after_in(after), after], axis=-1)
        return self.reward_out(self.reward_body(x)), goes_on
