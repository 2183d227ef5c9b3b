"""How S5's parameters begin, with the published distributions in the planar layout."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax.linen import initializers

CInit = Literal["lecun_normal", "trunc_standard_normal", "complex_normal"]
C_INITS: tuple[str, ...] = get_args(CInit)


def init_b(key: jax.Array, v: np.ndarray, features: int) -> jax.Array:
    """Return B [H, 2P], a real LeCun-normal matrix in the eigenbasis ``v`` [N, P].

    The real matrix has the published shape [N, H], whose fan-in is N.
    """
    b_NxH = initializers.lecun_normal()(key, (v.shape[0], features))
    b_PxH = jnp.matmul(_adjoint(v), b_NxH, precision="highest")
    return jnp.concatenate([b_PxH.real.T, b_PxH.imag.T], axis=-1)


def init_c(key: jax.Array, kind: CInit, v: np.ndarray, features: int) -> jax.Array:
    """Return C, stored as [2P, H] = [re; -im], so that Re(C x) is one product.

    ``lecun_normal`` and ``trunc_standard_normal`` draw a complex [H, N] and carry it into the
    eigenbasis ``v`` [N, P]. Their published shapes are [H, N, 2], with a fan-in of H N, and row
    by row [1, N, 2], with a fan-in of N. ``complex_normal`` draws the [H, P] itself.
    """
    if kind == "complex_normal":
        c = initializers.normal(stddev=0.5**0.5)(key, (features, v.shape[1], 2))
        return jnp.concatenate([c[..., 0].T, -c[..., 1].T])
    rows_apart = 0 if kind == "trunc_standard_normal" else ()
    draw = initializers.lecun_normal(batch_axis=rows_apart)
    c = draw(key, (features, v.shape[0], 2))
    c_HxN = jax.lax.complex(c[..., 0], c[..., 1])
    c_HxP = jnp.matmul(c_HxN, jnp.asarray(v, jnp.complex64), precision="highest")
    return jnp.concatenate([c_HxP.real.T, -c_HxP.imag.T])


def init_log_step(key: jax.Array, dt_min: float, dt_max: float, num_states: int) -> jax.Array:
    """Return log Δ [P], uniform between the logarithms of the two bounds."""
    return jax.random.uniform(key, (num_states,), minval=np.log(dt_min), maxval=np.log(dt_max))


def _adjoint(v: np.ndarray) -> jax.Array:
    return jnp.asarray(v.conj().T, jnp.complex64)
