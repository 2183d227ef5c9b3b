"""The categorical distribution of distrax in fewer kernels, for policies inside a hot loop."""

from collections.abc import Sequence

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.nets.affine import as_rank_of


class Categorical(distrax.Categorical):
    """``distrax.Categorical`` for actions that are its own: no draw or action is checked.

    distrax looks at the probabilities of each draw for numbers that are not finite, at each action
    for being in range, and normalises the logits twice for the entropy. Here numbers that are not
    finite show in the loss, where training stops with a message; an action out of range would
    count as certain.
    """

    def _sample_n(self, key: jax.Array, n: int) -> jax.Array:
        shape = (n, *self.logits.shape[:-1])
        return jax.random.categorical(key, self.logits, shape=shape).astype(self._dtype)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Return the logarithm of the probabilities of actions in range."""
        actions = jnp.arange(self.num_categories).reshape((1,) * value.ndim + (-1,))
        return jnp.sum(jnp.where(value[..., None] == actions, self.logits, 0), axis=-1)

    def entropy(self) -> jax.Array:
        """Return the entropy; actions of probability zero add nothing."""
        probs = jnp.exp(self.logits)
        return -jnp.sum(probs * jnp.where(probs > 0, self.logits, 0), axis=-1)


def with_uniform(logits: jax.Array, share: float, sizes: Sequence[int] | None = None) -> jax.Array:
    """Return log((1 - share) softmax(logits) + share / n), float32 [..., n].

    With ``sizes``, logits are those of :func:`ssmrl.nets.factored.factored_logits`, [..., k, n],
    and what a smaller choice does not have stays as good as impossible.
    """
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    if share == 0:
        return log_probs
    numbers = as_rank_of(logits, jnp.arange(logits.shape[-1]))
    each = np.reshape(sizes or logits.shape[-1], (1,) * (logits.ndim - 2) + (-1, 1))
    uniform = np.log(share / each).astype(np.float32)
    mixed = jnp.logaddexp(log_probs + np.float32(np.log1p(-share)), uniform)
    return jnp.where(numbers < each, mixed, log_probs)
