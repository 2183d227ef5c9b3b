"""From the parts of observations to features, and from latent features to their likelihoods."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.decoder import ConvDecoder
from ssmrl.nets.dense import Dense
from ssmrl.nets.encoder import ConvEncoder
from ssmrl.nets.mlp import MLP
from ssmrl.world_model.parts import Image, Part, unpack


class Encoder(nn.Module):
    """Packed parts become features: [..., k] each -> [..., sizes[-1]].

    Images go through the convolutions of ``ConvEncoder`` first; an MLP sees the features of all
    parts side by side. Works in ``dtype``; parameters are float32.
    """

    parts: tuple[Part, ...]
    sizes: Sequence[int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, packed: Sequence[jax.Array]) -> jax.Array:
        seen = []
        for i, (part, piece) in enumerate(zip(self.parts, packed, strict=True)):
            x = part.features(piece).astype(self.dtype)
            if isinstance(part, Image):
                x = ConvEncoder(0, part.shape, (), name=f"Image_{i}")(x)
            seen.append(x)
        return MLP(self.sizes, name="MLP")(jnp.concatenate(seen, axis=-1))


class Decoder(nn.Module):
    """Latent features [..., H] become a likelihood of every part; see ``Part.log_prob``.

    An MLP stands before all of them; then comes a layer for each part, or for an image
    ``ConvDecoder``. The MLP works in ``dtype``, the last layers and likelihoods in float32.
    """

    parts: tuple[Part, ...]
    sizes: Sequence[int]
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.body = MLP(self.sizes)
        self.heads = [
            ConvDecoder(part.shape) if isinstance(part, Image) else Dense(part.outputs)
            for part in self.parts
        ]

    def log_probs(self, hidden: jax.Array, packed: Sequence[jax.Array]) -> jax.Array:
        """Return the log-likelihood of each part, summed over its columns: [..., parts]."""
        told = zip(self.parts, self._outputs(hidden), packed, strict=True)
        return jnp.stack([part.log_prob(outputs, x) for part, outputs, x in told], axis=-1)

    def log_prob(self, hidden: jax.Array, packed: Sequence[jax.Array]) -> jax.Array:
        """Return the log-likelihood of the observation: [...]."""
        return jnp.sum(self.log_probs(hidden, packed), axis=-1)

    def most_likely(self, hidden: jax.Array) -> jax.Array:
        """Return the flat observation that is likeliest part by part: float32 [..., F]."""
        told = zip(self.parts, self._outputs(hidden), strict=True)
        return unpack(self.parts, [part.most_likely(outputs) for part, outputs in told])

    def _outputs(self, hidden: jax.Array) -> list[jax.Array]:
        x = self.body(hidden.astype(self.dtype))
        return [head(x) for head in self.heads]
