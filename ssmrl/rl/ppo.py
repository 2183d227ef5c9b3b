"""The losses of proximal policy optimisation (Schulman et al. 2017), element by element."""

import jax
import jax.numpy as jnp


def clipped_surrogate_loss(
    log_ratio: jax.Array, advantage: jax.Array, epsilon: float | jax.Array
) -> jax.Array:
    """Return -min(r A, clip(r, 1 - epsilon, 1 + epsilon) A) with r = exp(log_ratio); equation 7."""
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1 - epsilon, 1 + epsilon)
    return -jnp.minimum(ratio * advantage, clipped * advantage)


def clipped_value_loss(
    value: jax.Array, old_value: jax.Array, target: jax.Array, epsilon: float | jax.Array | None
) -> jax.Array:
    """Return half the squared error; moving beyond old_value ± epsilon (if given) pays nothing.

    The clipping is that of the original implementation: the larger of the plain error and the
    error of the value held within ``epsilon`` (in units of the return) of the old one.
    """
    loss = jnp.square(value - target)
    if epsilon is not None:
        held = old_value + jnp.clip(value - old_value, -epsilon, epsilon)
        loss = jnp.maximum(loss, jnp.square(held - target))
    return 0.5 * loss


def approximate_kl(log_ratio: jax.Array) -> jax.Array:
    """Return r - 1 - log r, whose mean estimates KL(old, new) without bias and above zero.

    Source: Schulman 2020, "Approximating KL divergence", estimator k3.
    """
    return jnp.expm1(log_ratio) - log_ratio


def explained_variance(value: jax.Array, target: jax.Array) -> jax.Array:
    """Return 1 - Var(target - value) / Var(target) over all elements; 0 where nothing varies."""
    variance = jnp.var(target)
    safe = jnp.where(variance > 0, variance, 1.0)
    return jnp.where(variance > 0, 1 - jnp.var(target - value) / safe, 0.0)
