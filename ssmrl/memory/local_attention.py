"""Causal attention to the last steps of an episode: in blocks over a sequence, or step by step.

A ring of C = ``context`` slots holds the keys and values of the last C steps. An input's age, the
number of inputs of its episode before it, says all about time: its slot is age mod C, and it sees
the slots of the last age inputs. Functions with [T, ...] take one sequence, without a batch.

Suffixes: T steps, C context, Q queries, S keys, N heads, D numbers of a head.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def ages(age_B: jax.Array, start_TxB: jax.Array) -> jax.Array:
    """Return the age of each input, [T, B], where the first would be of ``age_B`` if no start."""
    t = lax.broadcasted_iota(jnp.int32, start_TxB.shape, 0)
    began_TxB = lax.cummax(jnp.where(start_TxB, t, -1))
    return jnp.where(began_TxB < 0, age_B[None] + t, t - began_TxB)


def bounded(age: jax.Array, context: int) -> jax.Array:
    """Return an age below 3 C that is as good: above C or not as before, and the same mod 2 C."""
    return jnp.where(age < context, age, context + (age - context) % (2 * context))


def rotations(age: jax.Array, width: int, context: int) -> jax.Array:
    """Return cos(θ age) and sin(θ age) for every pair of a head's numbers, [2, ..., 1, D / 2].

    Rotary positions (Su et al. 2021, arXiv 2104.09864): the product of a rotated query and key
    depends on the difference of their ages alone. The frequencies θ, from 1 down to π / C, are
    multiples of π / C, so that ages count mod 2 C, and the angles of long episodes stay exact.
    """
    periods = np.geomspace(max(context / np.pi, 1), 1, width // 2).round().astype(np.int32)
    turns = (age % (2 * context))[..., None, None] * periods.reshape((1,) * (age.ndim + 1) + (-1,))
    angle = (turns % (2 * context)).astype(jnp.float32) * (np.pi / context)
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def rotate(x: jax.Array, rotation: jax.Array) -> jax.Array:
    """Return queries or keys [..., N, D] turned by what :func:`rotations` returned for them."""
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = rotation
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1).astype(x.dtype)


@jax.checkpoint  # the weights of all pairs are worked out again rather than kept
def attend_in_blocks(
    q_TxNxD: jax.Array, kv_Tx2xNxD: jax.Array, ring_Cx2xNxD: jax.Array, age_T: jax.Array
) -> jax.Array:
    """Return what each step sees in the ring and in the steps up to itself, [T, N, D].

    A block of at most C queries attends to itself and to the C steps before it, so that memory
    grows with T C, not with T².
    """
    steps, context = len(age_T), len(ring_Cx2xNxD)
    size = min(steps, context)
    ring = jnp.roll(ring_Cx2xNxD, -age_T[0], axis=0)  # oldest first; not seen if age_T[0] is 0
    q, own, reach = (_blocks(x, size) for x in (q_TxNxD, kv_Tx2xNxD, age_T))
    before = jnp.concatenate([ring[None].astype(own.dtype), *([own[:-1]] if len(own) > 1 else [])])
    keys, values = jnp.moveaxis(jnp.concatenate([before, own], axis=1), 2, 0)
    rows, columns = (lax.broadcasted_iota(jnp.int32, (size, context + size), i) for i in (0, 1))
    back_QxS = rows + context - columns
    nearest_QxS = (back_QxS >= 0) & (back_QxS < context)
    seen = nearest_QxS[None] & (back_QxS[None] <= reach[..., None])
    y = jax.vmap(_attend)(q, keys, values, seen)
    return y.reshape(-1, *y.shape[2:])[:steps]


def attend_in_ring(q_NxD: jax.Array, ring_Cx2xNxD: jax.Array, age: jax.Array) -> jax.Array:
    """Return what one step sees in the ring that it has been written to, [N, D].

    A query reads the ring once, as sums of products; products of matrices were 2 to 5 times slower
    on a CPU, where the selection of what is seen would be written out before them.
    """
    context = len(ring_Cx2xNxD)
    back_C = (age - jnp.arange(context)) % context
    seen_CxN = (back_C <= age)[:, None]
    keys, values = ring_Cx2xNxD[:, 0], ring_Cx2xNxD[:, 1]
    logits_CxN = jnp.sum(q_NxD[None] * keys, axis=-1) * q_NxD.shape[-1] ** -0.5
    weights_CxN = jax.nn.softmax(jnp.where(seen_CxN, logits_CxN, -jnp.inf), axis=0)
    shares = jnp.where(seen_CxN[..., None], weights_CxN[..., None] * values, 0)
    return jnp.sum(shares, axis=0).astype(q_NxD.dtype)


def written(ring_Cx2xNxD: jax.Array, kv_Tx2xNxD: jax.Array, age_T: jax.Array) -> jax.Array:
    """Return the ring after T steps: of all that belong into a slot, the last one stays."""
    context, steps = len(ring_Cx2xNxD), len(age_T)
    if steps == 1:
        return ring_Cx2xNxD.at[age_T[0] % context].set(kv_Tx2xNxD[0].astype(ring_Cx2xNxD.dtype))
    t = jnp.arange(steps, dtype=jnp.int32)
    last_C = jnp.full(context, -1, jnp.int32).at[age_T % context].max(t)
    newest = kv_Tx2xNxD[last_C].astype(ring_Cx2xNxD.dtype)
    return jnp.where((last_C >= 0)[:, None, None, None], newest, ring_Cx2xNxD)


def _attend(
    q_QxNxD: jax.Array, k_SxNxD: jax.Array, v_SxNxD: jax.Array, seen_QxS: jax.Array
) -> jax.Array:
    """Return the values' means weighted by softmax(q k / √D) over what is seen, [Q, N, D].

    A value that is not finite reaches those who see it through its key, where they are selected:
    in the sum, a weight of zero would not hold it back.
    """
    dtype = q_QxNxD.dtype
    finite = jnp.isfinite(v_SxNxD).all(axis=-1, keepdims=True)
    k_SxNxD = jnp.where(finite, k_SxNxD, jnp.nan).astype(dtype)
    v_SxNxD = jnp.where(finite, v_SxNxD, 0).astype(dtype)
    logits = jnp.einsum("qnd,snd->nqs", q_QxNxD, k_SxNxD, preferred_element_type=jnp.float32)
    logits = jnp.where(seen_QxS[None], logits * q_QxNxD.shape[-1] ** -0.5, -jnp.inf)
    weights = jax.nn.softmax(logits).astype(dtype)
    return jnp.einsum("nqs,snd->qnd", weights, v_SxNxD)


def _blocks(x: jax.Array, size: int) -> jax.Array:
    """Return [T, ...] as [T / size, size, ...], filled up with zeros."""
    missing = -len(x) % size
    x = jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) if missing else x
    return x.reshape(-1, size, *x.shape[1:])
