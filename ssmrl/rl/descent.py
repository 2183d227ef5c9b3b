"""Gradient steps on one vector of all parameters: a few kernels, not a few for each array."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from ssmrl.train.metrics import Mean, Metrics

Loss = Callable[[jax.Array], tuple[jax.Array, Metrics]]


def clipped_adam(max_grad_norm: float) -> optax.GradientTransformation:
    """Return Adam with gradients scaled down to a global norm; step sizes are applied apart."""
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), optax.scale_by_adam(eps=1e-5))


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
