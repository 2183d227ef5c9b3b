"""A world model around a memory: what is seen becomes latents, and what comes is foretold.

    z_t ~ q(z | o_t)                       posterior, of the observation alone
    m_t = memory(z_0, a_0 ... z_t-1, a_t-1)   so that a window is one parallel scan
    y_t = m_t, z_t-1, a_t-1                what is known before o_t
    p(z_t | y_t)                           prior, which stands in where nothing is seen
    p(o_t | y_t, z_t)                      likelihood of the observation
    p(r_t+1 | y_t, z_t, a_t, z_t+1)        reward, with z_t+1 = 0 where an episode ended
    p(c_t+1 | y_t, z_t, a_t)               continuation: what counts later, and what is seen

Source: Deng et al. 2023 (S4WM), Samsami et al. 2024 (Recall to Imagine), Hafner et al. 2023
(DreamerV3). Other than there, reward and continuation are foretold of the action too, and not only
of what is seen after it: after an end that is the next episode's first observation. And the last
step stands beside what the memory reads out, so that a prior can copy what stays as it was.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.memory import scan_states
from ssmrl.nets.dense import Dense
from ssmrl.nets.distributional import SymexpBins
from ssmrl.nets.mlp import MLP
from ssmrl.world_model.code import Code
from ssmrl.world_model.latents import Latents, balanced_kl
from ssmrl.world_model.moments import Carry, Moment, Observed
from ssmrl.world_model.observations import Decoder, Encoder
from ssmrl.world_model.parts import Part

Losses = dict[str, jax.Array]


class WorldModel(nn.Module):
    """The networks of a world model.

    ``memory`` obeys the contract of ``ssmrl.memory``. Observations are packed as their ``parts``
    pack them, actions encoded as vectors of ``action_size`` numbers. Layers work in ``dtype``;
    parameters, states, logits and losses are float32.
    """

    memory: Any
    parts: tuple[Part, ...]
    action_size: int
    latents: Latents = Latents()
    units: int = 512  # of the layers around the memory
    encoder_sizes: tuple[int, ...] = (512,)
    decoder_sizes: tuple[int, ...] = (512,)
    head_sizes: tuple[int, ...] = (512, 512)
    bins: SymexpBins = SymexpBins()
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.encoder = Encoder(self.parts, self.encoder_sizes, self.dtype)
        self.posterior_out = Dense(self.latents.size)
        self.code = Code(self.parts, self.latents)
        self.latent_in = Dense(self.units, dtype=self.dtype)
        self.context_in = Dense(self.units, dtype=self.dtype, bias_init=nn.initializers.ones)
        self.both_in = Dense(self.units, dtype=self.dtype)
        self.prior_body = MLP((self.units,))
        self.prior_out = Dense(self.latents.size)
        self.decoder = Decoder(self.parts, self.decoder_sizes, self.dtype)
        self.seen_in = Dense(self.head_sizes[0], dtype=self.dtype)
        self.action_in = Dense(self.head_sizes[0], dtype=self.dtype, bias_init=nn.initializers.ones)
        self.reward_body = MLP(self.head_sizes)
        self.reward_out = self.bins.head()
        self.continue_body = MLP(self.head_sizes)
        self.continue_out = Dense(2)

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """Return what stands before the first step; needs no parameters."""
        latent = jnp.zeros((*batch_shape, self.latents.groups), self.latents.dtype)
        action = jnp.zeros((*batch_shape, self.action_size), jnp.float32)
        start = jnp.zeros(batch_shape, bool)
        return Carry(self.memory.initial_state(batch_shape), latent, action, start)

    def posterior(self, packed: tuple[jax.Array, ...]) -> jax.Array:
        """Return log q(z | o), [..., G, C]."""
        hidden = self.encoder(packed)
        return self.latents.log_probs(self.posterior_out(hidden) + self.code(packed))

    def prior(self, y: jax.Array) -> jax.Array:
        """Return log p(z | y), [..., G, C]."""
        x = y.astype(self.dtype)
        x = jnp.concatenate([self.prior_body(x), x], axis=-1)
        return self.latents.log_probs(self.prior_out(x))

    def observe(
        self,
        carry: Carry,
        packed_TxB: tuple[jax.Array, ...],
        action_TxBxA: jax.Array,
        start_TxB: jax.Array,
        key: jax.Array,
        every: int,
    ) -> tuple[Carry, Observed]:
        """Take in T steps at once; ``action`` is what was done after each observation.

        The memory's states are kept after every ``every``-th step, which must divide T.
        """
        log_posterior = self.posterior(packed_TxB)
        latent_TxBxZ = self.latents.sample(key, log_posterior)
        before = self.latents.one_hots(carry.latent), carry.action, carry.start
        shifted: Any = jax.tree.map(
            lambda first, x: jnp.concatenate([first[None], x[:-1]]),
            before,
            (latent_TxBxZ, action_TxBxA, start_TxB),
        )
        u_TxBxH = self._input(start_TxB, *shifted)
        state, m_TxBxH, states = scan_states(
            self.memory, carry.memory_state, u_TxBxH, start_TxB, every
        )
        latent = self.latents.compact(latent_TxBxZ[-1])
        last = Carry(state, latent, action_TxBxA[-1], start_TxB[-1])
        y_TxBxY = _beside(m_TxBxH, start_TxB, *shifted[:2])
        return last, Observed(log_posterior, latent_TxBxZ, y_TxBxY, states)

    def see(
        self,
        carry: Carry,
        packed_B: tuple[jax.Array, ...],
        start_B: jax.Array,
        key: jax.Array,
        greedy: bool | jax.Array = False,
        **prepared: Any,
    ) -> Moment:
        """Take in one observation, as ``observe`` does; draw its latent, or take the likeliest."""
        before = self.latents.one_hots(carry.latent), carry.action, carry.start
        state, y = self._step(carry.memory_state, before, start_B, prepared)
        log_probs = self.posterior(packed_B)
        drawn = self.latents.sample(key, log_probs)
        latent = jnp.where(greedy, self.latents.mode(log_probs), drawn)
        return Moment(state, y, latent, start_B)

    def imagine(self, moment: Moment, action: jax.Array, key: jax.Array, **prepared: Any) -> Moment:
        """Return where an action [*, A] leads by the prior, nothing being seen."""
        nowhere = jnp.zeros_like(moment.start)
        before = moment.latent, action, moment.start
        state, y = self._step(moment.memory_state, before, nowhere, prepared)
        return Moment(state, y, self.latents.draw(key, self.prior(y)), nowhere)

    def prepare(self) -> dict[str, Any]:
        """Return keyword arguments for many calls of ``see`` and ``imagine``."""
        prepare = getattr(self.memory, "prepare", None)
        return {} if prepare is None else {"prepared": prepare(self.dtype)}

    def foretell(
        self, y: jax.Array, latent: jax.Array, action: jax.Array, after: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return logits of the reward for an action, [..., K], and of what goes on, [..., 2].

        These are whether later rewards count, and whether something is seen of the episode after
        the action. ``after`` is the latent then, of zeros where nothing is: of what is seen it is
        learnt sooner what pays, where that hangs on what is remembered (pairs of cards).
        """
        seen = jnp.concatenate([y, latent], axis=-1).astype(self.dtype)
        # A product, since what an action pays hangs on whether it fits: card for card, say.
        x = self.seen_in(seen) * self.action_in(action.astype(self.dtype))
        goes_on = self.continue_out(self.continue_body(x)).astype(jnp.float32)
        x = jnp.concatenate([x, after.astype(self.dtype)], axis=-1)
        return self.reward_out(self.reward_body(x)), goes_on

    def expect(
        self, moment: Moment, action: jax.Array, after: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return the mean reward [...] for an action, and how likely later ones count [...].

        ``after`` is a latent to which it leads, if anything is seen after it.
        """
        reward, goes_on = self.foretell(moment.y, moment.latent, action, after)
        at_end, _ = self.foretell(moment.y, moment.latent, action, jnp.zeros_like(after))
        counts, is_seen = jnp.moveaxis(nn.sigmoid(goes_on), -1, 0)
        mean = self.bins.mean
        return is_seen * mean(reward) + (1 - is_seen) * mean(at_end), counts

    def losses(
        self,
        observed: Observed,
        packed: tuple[jax.Array, ...],
        action: jax.Array,
        reward: jax.Array,
        return_ends: jax.Array,
        ended: jax.Array,
        free: float | jax.Array,
    ) -> Losses:
        """Return what a sequence costs, part by part, in nats: [T, B] each.

        ``reward`` is that for ``action``, ``return_ends`` tells that no later one counts, and
        ``ended`` that nothing of the episode is seen after it.
        Latents of less than ``free`` nats a step cost nothing more; see ``balanced_kl``.
        """
        seen = jnp.concatenate([observed.y, observed.latent], axis=-1)
        dynamics, representation = balanced_kl(observed.log_posterior, self.prior(observed.y), free)
        later = jnp.concatenate([observed.latent[1:], jnp.zeros_like(observed.latent[:1])])
        after = jnp.where(ended[..., None], 0, later)
        reward_logits, goes_on = self.foretell(observed.y, observed.latent, action, after)
        is_over = jnp.stack([return_ends, ended], axis=-1)
        return {
            "observation": -self.decoder.log_prob(seen, packed),
            "dynamics": dynamics,
            "representation": representation,
            "reward": self.bins.loss(reward_logits, reward),
            "continuation": nn.softplus(jnp.where(is_over, goes_on, -goes_on)).sum(-1),
        }

    def decode(self, moment: Moment) -> jax.Array:
        """Return the likeliest flat observations, float32 [..., F]."""
        return self.decoder.most_likely(jnp.concatenate([moment.y, moment.latent], axis=-1))

    def _step(
        self, state: Any, before: Any, start: jax.Array, prepared: Any
    ) -> tuple[Any, jax.Array]:
        state, m = self.memory.step(state, self._input(start, *before), start, **prepared)
        return state, _beside(m, start, *before[:2])

    def _input(
        self, start: jax.Array, latent: jax.Array, action: jax.Array, was_start: jax.Array
    ) -> jax.Array:
        """Return what the memory takes in of the last step; nothing of before a start.

        Beside the two themselves a product of what was seen and what was done there, or that it was
        an episode's first step, so that a linear memory can keep the one by the other.
        """
        context = jnp.concatenate([action, was_start[..., None].astype(action.dtype)], axis=-1)
        latent, context = (
            jnp.where(start[..., None], 0, x).astype(self.dtype) for x in (latent, context)
        )
        product = self.latent_in(latent) * self.context_in(context)
        return nn.silu(product) + self.both_in(jnp.concatenate([latent, context], axis=-1))


def _beside(m: jax.Array, start: jax.Array, latent: jax.Array, action: jax.Array) -> jax.Array:
    """Return what the memory reads out and the last step side by side; of before a start zeros."""
    last = jnp.where(start[..., None], 0, jnp.concatenate([latent, action], axis=-1))
    return jnp.concatenate([m, last.astype(m.dtype)], axis=-1)
