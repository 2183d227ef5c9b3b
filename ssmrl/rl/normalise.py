"""Running statistics: of observations, of rewards, of advantages and of returns."""

import jax
import jax.numpy as jnp
from flax import struct

from ssmrl.scan import linear_scan


class Moments(struct.PyTreeNode):
    """Mean and sum of squared deviations of what was seen; leaves have the shape of one element."""

    mean: jax.Array
    squares: jax.Array
    count: jax.Array

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> "Moments":
        """Return the moments of nothing: they normalise by mean 0 and deviation 1."""
        return cls(*(jnp.zeros(s, jnp.float32) for s in (shape, shape, ())))

    def update(self, batch: jax.Array) -> "Moments":
        """Add a batch [..., *shape]: the parallel form of Chan et al. 1979."""
        batch = batch.astype(self.mean.dtype)
        axes = tuple(range(batch.ndim - self.mean.ndim))
        count = float(batch.size // self.mean.size)
        mean = batch.mean(axes)
        squares = jnp.square(batch - jnp.expand_dims(mean, axes)).sum(axes)
        total = self.count + count
        shift = mean - self.mean
        return Moments(
            mean=self.mean + shift * count / total,
            squares=self.squares + squares + jnp.square(shift) * self.count * count / total,
            count=total,
        )

    @property
    def deviation(self) -> jax.Array:
        """Standard deviation, 1 before anything was seen."""
        variance = jnp.where(self.count > 0, self.squares / jnp.maximum(self.count, 1.0), 1.0)
        return jnp.sqrt(variance + 1e-8)


def normalise(moments: Moments | None, x: jax.Array, clip: float = 10.0) -> jax.Array:
    """Return (x - mean) / deviation within ±clip; ``x`` [..., *shape] as it is without moments."""
    if moments is None:
        return x
    axes = tuple(range(x.ndim - moments.mean.ndim))
    mean, deviation = (jnp.expand_dims(m, axes) for m in (moments.mean, moments.deviation))
    return jnp.clip((x - mean) / deviation, -clip, clip)


class RewardScale(struct.PyTreeNode):
    """Divides rewards by the deviation of their running discounted sum, never shifting them.

    Nothing is clipped: where rewards are rare, the first come out large, as what was summed before
    them deviates little.
    """

    running_B: jax.Array
    moments: Moments

    @classmethod
    def init(cls, batch: int) -> "RewardScale":
        """Return the scale of ``batch`` environments that have paid nothing yet."""
        return cls(jnp.zeros(batch, jnp.float32), Moments.of_shape(()))

    def __call__(
        self, reward_TxB: jax.Array, ended_TxB: jax.Array, gamma: float | jax.Array
    ) -> tuple["RewardScale", jax.Array]:
        """Return the updated scale and the scaled rewards [T, B].

        The running sum is R_t = gamma R_{t-1} + r_t, starting anew after each episode's end
        (Engstrom et al. 2020, "reward scaling").
        """
        start_TxB = jnp.roll(ended_TxB, 1, axis=0).at[0].set(False)
        decay = jnp.reshape(jnp.asarray(gamma, reward_TxB.dtype), (1,))
        running_TxB = linear_scan(
            decay, reward_TxB[..., None], start_TxB, initial_state=self.running_B[..., None]
        )[..., 0]
        moments = self.moments.update(running_TxB)
        last_B = jnp.where(ended_TxB[-1], 0.0, running_TxB[-1])
        return RewardScale(last_B, moments), reward_TxB / moments.deviation


class FadingScale(struct.PyTreeNode):
    """Divides by the root of a fading mean of squares; that of Muesli's advantages."""

    square: jax.Array
    missing: jax.Array  # weight that no batch has taken yet

    @classmethod
    def init(cls) -> "FadingScale":
        """Return the scale of nothing, which wants a batch before it is used."""
        return cls(jnp.float32(0), jnp.float32(1))

    def update(self, x: jax.Array, decay: float = 0.99) -> "FadingScale":
        """Add the mean square of a batch of any shape; those before fade by ``decay``."""
        square = decay * self.square + (1 - decay) * jnp.square(x).mean()
        return FadingScale(square, self.missing * decay)

    def __call__(self, x: jax.Array, epsilon: float = 1e-12) -> jax.Array:
        """Return x / sqrt(mean square), free of the bias towards the zero that it began with."""
        return x * jax.lax.rsqrt(self.square / (1 - self.missing) + epsilon)


class PercentileScale(struct.PyTreeNode):
    """Divides by the range of most returns where that is above 1; that of DreamerV3's advantages.

    Small returns are not blown up, so that where there is next to no reward its noise stays small
    beside an entropy bonus; and a few extreme ones change nothing. Source: Hafner et al. 2023.
    """

    low: jax.Array
    high: jax.Array

    @classmethod
    def init(cls) -> "PercentileScale":
        """Return the scale of nothing, which divides by 1."""
        return cls(jnp.float32(0), jnp.float32(0))

    def update(self, x: jax.Array, decay: float = 0.99) -> "PercentileScale":
        """Add the 5th and 95th percentile of a batch of any shape; those before fade by ``decay``.

        Both begin at 0 and keep that bias, as published: the range grows over 1 / (1 - decay)
        batches.
        """
        low, high = jnp.percentile(x.astype(jnp.float32), jnp.array([5, 95], jnp.float32))
        fade = lambda old, new: decay * old + (1 - decay) * new  # noqa: E731
        return PercentileScale(fade(self.low, low), fade(self.high, high))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return x / max(1, high - low)."""
        return x / jnp.maximum(1.0, self.high - self.low)


class RewardUnit(struct.PyTreeNode):
    """Measures rewards by the root mean square of all that were not 0.

    A reward of 1/50 a step and one of 1 in a thousand steps are both 1 then, as bins of a fixed
    width want it. Signs, and what is 0, stay.
    """

    square: jax.Array  # sum of squares
    count: jax.Array  # of rewards that were not 0

    @classmethod
    def init(cls) -> "RewardUnit":
        """Return the unit 1, as long as no reward was seen."""
        return cls(jnp.float32(0), jnp.float32(0))

    def update(self, reward: jax.Array) -> "RewardUnit":
        """Add a batch of rewards of any shape."""
        square = self.square + jnp.square(reward).sum()
        return RewardUnit(square, self.count + (reward != 0).sum())

    @property
    def size(self) -> jax.Array:
        """The unit: what is 1 in it."""
        unit = jnp.sqrt(self.square / jnp.maximum(self.count, 1))
        return jnp.where(unit > 0, unit, 1.0)

    def __call__(self, reward: jax.Array) -> jax.Array:
        """Return rewards in the unit."""
        return reward / self.size
