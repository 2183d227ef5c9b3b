"""Categorical latents: groups of one-hots, drawn with gradients and told apart in nats.

Three forms, for G groups of C classes: log-probabilities [..., G, C]; one-hots side by side,
float32 [..., G * C], which networks take; and compact, the numbers of the classes, [..., G], which
replay keeps. Source: Hafner et al. 2021 (DreamerV2) and 2023 (DreamerV3).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.nets.categorical import with_uniform


@dataclass(frozen=True)
class Latents:
    """What latents look like.

    Args:
        groups: one-hots, G.
        classes: of each, C.
        unimix: share of the uniform distribution in each, from 0 to below 1; it keeps
            probabilities from 0, divergences from infinity.
    """

    groups: int = 32
    classes: int = 32
    unimix: float = 0.01

    @property
    def size(self) -> int:
        """Length of the one-hot form, and of the outputs that tell a distribution."""
        return self.groups * self.classes

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the compact form: the number of the last class fits in."""
        return np.min_scalar_type(self.classes - 1)

    def log_probs(self, outputs: jax.Array) -> jax.Array:
        """Return log((1 - unimix) softmax + unimix / C): [..., G * C] to float32 [..., G, C]."""
        return with_uniform(self._grouped(outputs), self.unimix)

    def sample(self, key: jax.Array, log_probs: jax.Array) -> jax.Array:
        """Return drawn one-hots [..., G * C], whose gradient is that of their probabilities.

        Straight through: one_hot + p - stop_gradient(p), of which the value is one_hot to the bit
        (Bengio et al. 2013).
        """
        drawn = self.draw(key, log_probs)
        probs = jnp.exp(log_probs).reshape(drawn.shape)
        return drawn + (probs - jax.lax.stop_gradient(probs))

    def draw(self, key: jax.Array, log_probs: jax.Array) -> jax.Array:
        """Return what ``sample`` does, without a gradient."""
        return self.one_hots(jax.random.categorical(key, log_probs))

    def mode(self, log_probs: jax.Array) -> jax.Array:
        """Return the likeliest one-hots [..., G * C], without a gradient."""
        return self.one_hots(jnp.argmax(log_probs, axis=-1))

    def compact(self, one_hots: jax.Array) -> jax.Array:
        """Return the numbers of the classes, [..., G * C] to [..., G]."""
        return jnp.argmax(self._grouped(one_hots), axis=-1).astype(self.dtype)

    def one_hots(self, compact: jax.Array) -> jax.Array:
        """Return the one-hots of classes, [..., G] to float32 [..., G * C]."""
        one_hots = jax.nn.one_hot(compact, self.classes, dtype=jnp.float32)
        return one_hots.reshape(*compact.shape[:-1], self.size)

    def changed(self, news: jax.Array) -> jax.Array:
        """Return which groups have a one in what is new, [..., G * C] to bool [..., G]."""
        return jnp.any(self._grouped(news) > 0, axis=-1)

    def only(self, groups: jax.Array, one_hots: jax.Array) -> jax.Array:
        """Return one-hots [..., G * C] of some groups, bool [..., G], and zeros of the others."""
        kept = self._grouped(one_hots) * groups[..., None]
        return kept.reshape(one_hots.shape)

    def _grouped(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], self.groups, self.classes)


def kl(log_p: jax.Array, log_q: jax.Array) -> jax.Array:
    """Return KL(p || q) in nats, summed over groups: log-probabilities [..., G, C] to [...]."""
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=(-2, -1))


def balanced_kl(
    log_posterior: jax.Array, log_prior: jax.Array, free: float | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the losses of dynamics and representation, [...] each, in nats a step.

        dynamics       = max(KL(sg(posterior) || prior), free)    teaches the prior
        representation = max(KL(posterior || sg(prior)), free)    teaches the posterior

    ``free`` is in nats a step, a bound on the sum over groups, as in DreamerV3: below it nothing
    is taught. Observations that hold less than it (four suits are ln 4 = 1.39 nats) may be left
    untold, so that such tasks want 0.1 or 0.

    Source: Hafner et al. 2023, equation 5, which weighs the two by 0.5 and 0.1.
    """
    stop = jax.lax.stop_gradient
    dynamics = jnp.maximum(kl(stop(log_posterior), log_prior), free)
    return dynamics, jnp.maximum(kl(log_posterior, stop(log_prior)), free)
