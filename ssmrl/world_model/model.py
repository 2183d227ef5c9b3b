"""A world model around a memory: what is seen becomes latents, and what comes is foretold.

    z_t ~ q(z | o_t)                       posterior, of the observation alone
    n_t = relu(z_t - z_t-1)                what of it is new
    m_t = memory of (z, n, a) before t     so that a window is one parallel scan
    b_t = max(z_0 ... z_t-1)               album of what was seen in the episode
    y_t = b_t, n_t-1, m_t, z_t-1, a_t-1    what is known before o_t
    p(z_t | y_t)                           prior, which stands in where nothing is seen
    p(o_t | m_t, z_t)                      likelihood of the observation
    p(r_t+1 | y_t, z_t, a_t, z_t+1)        reward, with z_t+1 = 0 where an episode ended
    p(c_t+1 | y_t, z_t, a_t)               continuation: what counts later, and what is seen

Source: Deng et al. 2023 (S4WM), Samsami et al. 2024 (Recall to Imagine), Hafner et al. 2023
(DreamerV3). Other than there, reward and continuation are foretold of the action too, and not only
of what is seen after it: after an end that is the next episode's first observation. And album and
last step stand beside what the memory reads out, so that a prior can copy what stays as it was.
What is known enters by products with what is done or seen, :class:`ssmrl.nets.product.Product`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.memory import scan_states
from ssmrl.nets.dense import Dense
from ssmrl.nets.distributional import SymexpBins
from ssmrl.nets.mlp import MLP
from ssmrl.nets.product import Product
from ssmrl.world_model import album as albums
from ssmrl.world_model.code import Code
from ssmrl.world_model.latents import Latents, balanced_kl
from ssmrl.world_model.moments import Carry, Known, Moment, Observed, carry_after, unit
from ssmrl.world_model.observations import Decoder, Encoder
from ssmrl.world_model.outcome import Outcome
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
        self.product_in = Product(self.units, self.dtype)
        self.both_in = Dense(self.units, dtype=self.dtype)
        self.leads_to = Product(self.units, self.dtype)
        self.prior_body = MLP((self.units,))
        self.prior_out = Dense(self.latents.size)
        self.decoder = Decoder(self.parts, self.decoder_sizes, self.dtype)
        self.outcome = Outcome(self.head_sizes, self.bins, self.dtype)

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """Return what stands before the first step; needs no parameters."""
        groups = (*batch_shape, self.latents.groups)
        return Carry(
            memory_state=self.memory.initial_state(batch_shape),
            album=jnp.zeros((*batch_shape, self.latents.size), bool),
            latent=jnp.zeros(groups, self.latents.dtype),
            changed=jnp.zeros(groups, bool),
            action=jnp.zeros((*batch_shape, self.action_size), jnp.float32),
            start=jnp.zeros(batch_shape, bool),
        )

    def posterior(self, packed: tuple[jax.Array, ...]) -> jax.Array:
        """Return log q(z | o), [..., G, C]."""
        hidden = self.encoder(packed)
        return self.latents.log_probs(self.posterior_out(hidden) + self.code(packed))

    def prior(self, known: Known) -> jax.Array:
        """Return log p(z | y), [..., G, C]."""
        product = self.leads_to(known.beside(), known.action)
        hidden = self.prior_body(product)
        last = known.recalled, known.latent, known.action
        return self.latents.log_probs(
            self.prior_out(jnp.concatenate([hidden, product, *last], axis=-1))
        )

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
        last, last_news, *others = self._last(carry)
        last_TxBxZ = _of_episode(start_TxB, _shifted(last, latent_TxBxZ))
        news_TxBxZ = albums.news(latent_TxBxZ, last_TxBxZ)
        rest = _shifted((last_news, *others), (news_TxBxZ, action_TxBxA, start_TxB))
        before = last_TxBxZ, *_of_episode(start_TxB, rest)
        album_TxBxZ = albums.put_all(carry.album, last_TxBxZ, start_TxB)
        inputs = self._input(*before), start_TxB
        state, m_TxBxH, states = scan_states(self.memory, carry.memory_state, *inputs, every)
        known = _known(album_TxBxZ, m_TxBxH, before)
        moments = Moment(states, known, latent_TxBxZ, start_TxB)
        end = jax.tree.map(lambda x: x[-1], moments.replace(memory_state=()))
        end = carry_after(self.latents, end.replace(memory_state=state), action_TxBxA[-1])
        return end, Observed(log_posterior, moments)

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
        at = carry.memory_state, carry.album
        state, known = self._step(*at, self._last(carry), start_B, prepared)
        log_probs = self.posterior(packed_B)
        drawn = self.latents.sample(key, log_probs)
        latent = jnp.where(greedy, self.latents.mode(log_probs), drawn)
        return Moment(state, known, latent, start_B)

    def imagine(self, moment: Moment, action: jax.Array, key: jax.Array, **prepared: Any) -> Moment:
        """Return where an action [*, A] leads by the prior, nothing being seen."""
        nowhere = jnp.zeros_like(moment.start)
        last = moment.latent, moment.news(), action, moment.start
        at = moment.memory_state, moment.known.album
        state, known = self._step(*at, last, nowhere, prepared)
        return Moment(state, known, self.latents.draw(key, self.prior(known)), nowhere)

    def prepare(self) -> dict[str, Any]:
        """Return keyword arguments for many calls of ``see`` and ``imagine``."""
        prepare = getattr(self.memory, "prepare", None)
        return {} if prepare is None else {"prepared": prepare(self.dtype)}

    def foretell(
        self, moment: Moment, action: jax.Array, after: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return logits of the reward for an action, [..., K], and of what goes on, [..., 2].

        These are whether later rewards count, and whether something is seen of the episode after
        the action. ``after`` is the latent then, of zeros where nothing is: of what is seen it is
        learnt sooner what pays.
        """
        then = jnp.concatenate([unit(after), unit(albums.news(after, moment.latent))], axis=-1)
        return self.outcome(moment.seen(), action, then)

    def expect(
        self, moment: Moment, action: jax.Array, after: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return the mean reward [...] for an action, and how likely later ones count [...].

        ``after`` is a latent to which it leads, if anything is seen after it.
        """
        reward, goes_on = self.foretell(moment, action, after)
        at_end, _ = self.foretell(moment, action, jnp.zeros_like(after))
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
        moments, latent = observed.moments, observed.moments.latent
        log_prior = self.prior(moments.known)
        dynamics, representation = balanced_kl(observed.log_posterior, log_prior, free)
        later = jnp.concatenate([latent[1:], jnp.zeros_like(latent[:1])])
        after = jnp.where(ended[..., None], 0, later)
        reward_logits, goes_on = self.foretell(moments, action, after)
        is_over = jnp.stack([return_ends, ended], axis=-1)
        paid = self.bins.loss(reward_logits, reward)
        # What comes after the last action is not in the sequence, unless it is nothing.
        paid = paid.at[-1].set(jnp.where(ended[-1], paid[-1], 0.0))
        return {
            "observation": -self.decoder.log_prob(_shows(moments), packed),
            "dynamics": dynamics,
            "representation": representation,
            "reward": paid,
            "continuation": nn.softplus(jnp.where(is_over, goes_on, -goes_on)).sum(-1),
        }

    def decode(self, moment: Moment) -> jax.Array:
        """Return the likeliest flat observations, float32 [..., F]."""
        return self.decoder.most_likely(_shows(moment))

    def _last(self, carry: Carry) -> tuple[jax.Array, ...]:
        """Return latent, news and action of the last step, and whether it was a start."""
        latent = self.latents.one_hots(carry.latent)
        return latent, self.latents.only(carry.changed, latent), carry.action, carry.start

    def _step(
        self,
        memory_state: Any,
        album: jax.Array,
        last: tuple[jax.Array, ...],
        start: jax.Array,
        prepared: Any,
    ) -> tuple[Any, Known]:
        before = _of_episode(start, last)
        album = albums.put(album, before[0], start)
        state, m = self.memory.step(memory_state, self._input(*before), start, **prepared)
        return state, _known(album, m, before)

    def _input(
        self, latent: jax.Array, news: jax.Array, action: jax.Array, was_start: jax.Array
    ) -> jax.Array:
        """Return what the memory takes in of the last step.

        Beside the two themselves a product of what was seen and what was done there, or that it was
        an episode's first step, so that a linear memory can keep the one by the other.
        """
        context = jnp.concatenate([action, was_start[..., None].astype(action.dtype)], axis=-1)
        latent = jnp.concatenate([unit(latent), unit(news)], axis=-1).astype(self.dtype)
        context = context.astype(self.dtype)
        product = self.product_in(latent, context)
        return nn.silu(product) + self.both_in(jnp.concatenate([latent, context], axis=-1))


def _shifted(first: Any, x_TxB: Any) -> Any:
    """Return what stood before each of T steps, ``first`` [B, ...] before the first of them."""
    return jax.tree.map(lambda a, x: jnp.concatenate([a[None], x[:-1]]), first, x_TxB)


def _of_episode(start: jax.Array, before: Any) -> Any:
    """Return what was of the step before, arrays [*] or [*, N]: zeros and False at a start."""

    def masked(x: jax.Array) -> jax.Array:
        at_start = jnp.expand_dims(start, range(start.ndim, x.ndim))
        return jnp.where(at_start, jnp.zeros_like(x), x)

    return jax.tree.map(masked, before)


def _shows(moment: Moment) -> jax.Array:
    """Return what an observation is foretold of."""
    recalled = moment.known.recalled
    return jnp.concatenate([recalled, moment.latent.astype(recalled.dtype)], axis=-1)


def _known(album: jax.Array, m: jax.Array, before: tuple[jax.Array, ...]) -> Known:
    """Return what is known, in the dtype of what the memory reads out."""
    latent, news, action, _ = before
    album, news, latent, action = (x.astype(m.dtype) for x in (album, news, latent, action))
    return Known(album, news, m, latent, action)
