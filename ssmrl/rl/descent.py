"""Gradient steps on all parameters at once: a few kernels, not a few for each array."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from ssmrl.rl.rows import Rows
from ssmrl.train.metrics import Mean, Metrics

Loss = Callable[[jax.Array], tuple[jax.Array, Metrics]]


def clipped_adam(max_grad_norm: float) -> optax.GradientTransformation:
    """Return Adam with gradients scaled down to a global norm; step sizes are applied apart."""
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), optax.scale_by_adam(eps=1e-5))


def clipped_laprop(
    rows: Rows,
    max_ratio: float | jax.Array = 0.3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-20,
) -> optax.GradientTransformation:
    """Return LaProp with adaptively clipped gradients; step sizes are applied apart.

        g <- g min(1, max_ratio max(|p|, 1e-3) / |g|)    for each array of parameters p
        n <- b2 n + (1 - b2) g^2
        m <- b1 m + (1 - b1) g / (sqrt(n / (1 - b2^t)) + eps)
        update = m / (1 - b1^t)

    Adam divides the mean of gradients by their scale, LaProp takes the mean of scaled gradients:
    no step is then much above 1, however small b1 is beside b2. With the published eps there is one
    exception: squares of gradients below 3e-18 vanish in float32, and what is left to divide by is
    eps, so that such a gradient makes a step of up to 316; eps=1e-15 (Ziyin et al.'s) makes none.

    Sources: Ziyin et al. 2020, whose momentum holds step sizes, too; Brock et al. 2021 for the
    clipping. The numbers are DreamerV3's (Hafner et al. 2023), and so is a norm for each array:
    Brock et al. and optax's ``adaptive_grad_clip`` have one for each unit.

    Args:
        rows: how parameters and gradients become matrices [R, WIDTH], of which the updates are.
        max_ratio: most that a gradient's norm may be of the parameters'.
        b1: decay of the momentum.
        b2: decay of the mean square.
        eps: added to the root of the mean square.
    """

    def clip(grads: jax.Array, params: jax.Array) -> jax.Array:
        most = max_ratio * jnp.maximum(rows.norms(params), 1e-3)
        return grads * rows.spread(jnp.minimum(1, most / jnp.maximum(rows.norms(grads), 1e-6)))

    return optax.chain(
        optax.stateless(clip),
        optax.scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        optax.ema(b1, debias=True),
    )


def warm_up(update: jax.Array, num_updates: int) -> jax.Array:
    """Return the share of the step size in an update, from 0: linearly up to 1 in ``num_updates``.

    The first update has a share above 0 already, unlike DreamerV3's.
    """
    return jnp.minimum(1.0, jnp.float32(update + 1) / max(num_updates, 1))


def step_sizes(params: Any, rate: jax.Array, own_rate: jax.Array, own: Sequence[str]) -> jax.Array:
    """Return the step size of every parameter, [P], in the order of ``ravel_pytree``.

    ``own_rate`` is that of the memory's parameters with one of the names in ``own``.
    """

    def size(path: tuple, leaf: jax.Array) -> jax.Array:
        is_own = path[-1].key in own and any(part.key == "memory" for part in path[:-1])
        return jnp.full_like(leaf, own_rate if is_own else rate)

    return ravel_pytree(jax.tree_util.tree_map_with_path(size, params))[0]


def descend(
    optimizer: optax.GradientTransformation,
    loss: Loss,
    params: jax.Array,
    opt_state: Any,
    sizes: jax.Array,
) -> tuple[tuple[jax.Array, Any], Metrics]:
    """Return parameters [P] and optimiser's state after one step down ``loss``, and its metrics."""
    (_, metrics), grads = jax.value_and_grad(loss, has_aux=True)(params)
    # Made once: XLA would gather the arrays again in each kernel that reads them.
    grads = jax.lax.optimization_barrier(grads)
    metrics["grad_norm"] = Mean.of(optax.global_norm(grads))
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return (params - sizes * updates, opt_state), metrics
