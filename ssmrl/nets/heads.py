"""Action heads: features become a distribution over actions (distrax)."""

from collections.abc import Sequence

import distrax
import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.categorical import Categorical, with_uniform
from ssmrl.nets.dense import Dense
from ssmrl.nets.factored import factored_logits, factored_size

_INIT = nn.initializers.orthogonal(0.01)  # nearly uniform at first, so that all actions are tried


class CategoricalHead(nn.Module):
    """One of ``num_actions``: [..., F] -> distribution over int32 [...].

    ``unimix`` is the share of the uniform distribution in it, so that no action is ever given up.
    """

    num_actions: int
    unimix: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> distrax.Distribution:
        logits = Dense(self.num_actions, kernel_init=_INIT)(x)
        if self.unimix:
            logits = with_uniform(logits, self.unimix)
        return Categorical(logits=logits, dtype=jnp.int32)


class FactoredHead(nn.Module):
    """One of ``nvec[k]`` for each k, independently: [..., F] -> over int32 [..., len(nvec)].

    ``unimix`` as in ``CategoricalHead``, of each.
    """

    nvec: Sequence[int]
    unimix: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> distrax.Distribution:
        logits = Dense(factored_size(self.nvec), kernel_init=_INIT)(x)
        logits = factored_logits(logits, self.nvec)
        if self.unimix:
            logits = with_uniform(logits, self.unimix, self.nvec)
        return distrax.Independent(Categorical(logits=logits, dtype=jnp.int32), 1)


class GaussianHead(nn.Module):
    """Diagonal Gaussian whose deviation is the same in all states: [..., F] -> over [..., size].

    Its log-probabilities are those of the unclipped action; the environment's side clips. The
    deviation is 1 at first and stays within e^-5 and e, in the unit of actions, which are from -1
    to 1 where the environment has bounds: wider still, both ends are played at random.
    """

    size: int

    @nn.compact
    def __call__(self, x: jax.Array) -> distrax.Distribution:
        mean = Dense(self.size, kernel_init=_INIT)(x)
        log_deviation = self.param(
            "log_deviation", nn.initializers.zeros, (self.size,), jnp.float32
        )
        most, least = jnp.tanh(log_deviation), 5 * jnp.tanh(log_deviation / 5)
        bounded = jnp.where(log_deviation > 0, most, least)
        deviation = jnp.broadcast_to(jnp.exp(bounded), mean.shape)
        return distrax.MultivariateNormalDiag(mean, deviation)
