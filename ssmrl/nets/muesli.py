"""An actor-critic with a model of one step: reward, value and policy after an action."""

import distrax
import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.actor_critic import ActorCritic
from ssmrl.nets.dense import Dense
from ssmrl.nets.distributional import RootBins
from ssmrl.nets.mlp import MLP


class MuesliNetwork(ActorCritic, kw_only=True):
    """The network of Muesli (Hessel et al. 2021) around a memory.

    What the memory reads out, y, is the latent state. From it and an action the model makes the
    reward's distribution and the latent state after; the same two heads tell policy and value
    before and after. Values and rewards are distributions over bins of their signed root.

    Args:
        action_size: length of the vectors that stand for actions.
        num_bins: of values and of rewards.
        largest_bin: centre of the last; the first is its negative.
    """

    action_size: int
    num_bins: int = 601
    largest_bin: float = 300.0

    def setup(self) -> None:
        self.actor_body = MLP(self.head_sizes, gain=2.0)
        self.critic_body = MLP(self.head_sizes, gain=2.0)
        self.critic_out = self.bins.head()
        self.model_body = MLP(self.head_sizes)
        # Small, so that at first an action changes little of what is foretold.
        small = nn.initializers.orthogonal(0.01)
        self.model_out = Dense(self.memory.features, kernel_init=small)
        self.reward_out = self.bins.head()

    @property
    def bins(self) -> RootBins:
        """The bins of values and of rewards."""
        return RootBins(self.num_bins, self.largest_bin)

    def remember(self, state, obs_TxBxF: jax.Array, start_TxB: jax.Array) -> jax.Array:
        """Return the latent states [T, B, H] of a sequence."""
        return self.memory.scan(state, self._encoded(obs_TxBxF), start_TxB)[1]

    def predict(self, y: jax.Array) -> tuple[distrax.Distribution, jax.Array]:
        """Return the policy in latent states [..., H], and logits of their value [..., K]."""
        return self._policy(y), self._value_logits(y)

    def imagine(self, y: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return logits of the reward [..., K] for an action [..., A], and the latent state then.

        Leading axes of ``y`` [..., H] and ``action`` broadcast.
        """
        shape = jnp.broadcast_shapes(y.shape[:-1], action.shape[:-1])
        parts = [jnp.broadcast_to(x, (*shape, x.shape[-1])) for x in (y, action)]
        hidden = self.model_body(jnp.concatenate(parts, axis=-1).astype(self.dtype))
        return self.reward_out(hidden), parts[0] + self.model_out(hidden)

    def look_ahead(self, y: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the reward foretold for an action, and the value after it; see ``imagine``."""
        logits, after = self.imagine(y, action)
        return self.bins.mean(logits), self._value(after)

    def encode(self, x: jax.Array) -> jax.Array:
        """Return rewards or values [...] as probabilities [..., K]."""
        return self.bins.encode(x)

    def _value(self, y: jax.Array) -> jax.Array:
        if self.is_initializing():
            self.imagine(y, jnp.zeros((*y.shape[:-1], self.action_size)))
        return self.bins.mean(self._value_logits(y))

    def _value_logits(self, y: jax.Array) -> jax.Array:
        return self.critic_out(self.critic_body(y.astype(self.dtype)))
