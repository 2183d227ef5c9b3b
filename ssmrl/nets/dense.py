"""The dense layer of all networks."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ssmrl.nets.affine import add_bias


class Dense(nn.Module):
    """Returns x W + b, [..., F] -> [..., features], as ``flax.linen.Dense``.

    Works in ``dtype``; parameters are float32. It differs in two gradients: that of the bias is a
    kernel apart (:mod:`ssmrl.nets.affine`), and factors of the input's columns can be given by
    themselves, as ``scale``, [F]. They go into W, so that what they learn needs no gradient of x.
    """

    features: int
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array, scale: jax.Array | None = None) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        if scale is not None:
            kernel = scale[:, None] * kernel
        return add_bias(x.astype(self.dtype) @ kernel.astype(self.dtype), bias)
