"""Running moments against numpy over everything seen."""

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl.rl.normalise import FadingScale, Moments, PercentileScale, RewardScale, normalise


def test_moments_over_batches_are_those_of_all():
    batches = [np.random.default_rng(i).normal(i, 1 + i, (5, 3, 2)) for i in range(4)]
    moments = Moments.of_shape((2,))
    for batch in batches:
        moments = moments.update(jnp.array(batch, jnp.float32))
    everything = np.concatenate(batches).reshape(-1, 2)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.deviation, everything.std(0), rtol=1e-5)


def test_normalise():
    moments = Moments.of_shape((2,))
    x = jnp.array([[1.0, -2.0], [3.0, 400.0]])
    np.testing.assert_allclose(normalise(moments, x), [[1, -2], [3, 10]], rtol=1e-6)
    assert normalise(None, x) is x
    moments = moments.update(x)
    np.testing.assert_allclose(normalise(moments, x), [[-1, -1], [1, 1]], rtol=1e-6)


def test_reward_scale_sums_within_episodes_and_across_rollouts():
    reward = np.random.default_rng(0).normal(size=(6, 2))
    ended = np.zeros((6, 2), bool)
    ended[1, 0] = ended[5, 1] = True
    running, sums = np.zeros(2), []
    for r, e in zip(reward, ended, strict=True):
        running = 0.9 * running + r
        sums.append(running)
        running = np.where(e, 0, running)

    scale = RewardScale.init(2)
    call = jax.jit(lambda scale, r, e: scale(r, e, 0.9))
    for part in (slice(0, 3), slice(3, 6)):
        scale, scaled = call(scale, jnp.array(reward[part], jnp.float32), jnp.array(ended[part]))
    np.testing.assert_allclose(scale.running_B, running, rtol=1e-5)
    np.testing.assert_allclose(scale.moments.deviation, np.std(sums), rtol=1e-5)
    np.testing.assert_allclose(scaled, reward[3:] / np.std(sums), rtol=1e-4)


def test_fading_scale_by_hand():
    """Mean squares 4 and 1 with decay .9: (.9 * .1 * 4 + .1 * 1) / (1 - .81); 3 over its root."""
    scale = FadingScale.init().update(jnp.array([2.0, -2.0]), 0.9)
    np.testing.assert_allclose(scale(jnp.array(3.0)), 3 / 2, rtol=1e-5)  # free of the first zero
    scale = scale.update(jnp.array([[1.0, -1.0]]), 0.9)
    np.testing.assert_allclose(scale(jnp.array(3.0)), 3 / np.sqrt(0.46 / 0.19), rtol=1e-5)


def test_fading_scale_of_nothing_but_zeros():
    scale = FadingScale.init().update(jnp.zeros(4))
    assert not scale(jnp.zeros(3)).any()


def test_percentile_scale_by_hand():
    """Of -10 to 90 the percentiles are -5 and 85, of 0 to 1 they are .05 and .95."""
    scale = PercentileScale.init()
    x = jnp.array([3.0, -8.0])
    np.testing.assert_array_equal(scale(x), x)
    wide = jnp.arange(-10.0, 91.0).reshape(1, 101)[:, ::-1]
    scale = jax.jit(PercentileScale.update)(scale, wide)  # fades by .99
    np.testing.assert_allclose([scale.low, scale.high], [-0.05, 0.85], rtol=1e-5)
    np.testing.assert_array_equal(scale(x), x)  # a range of .9 is not blown up
    scale = scale.update(wide, 0.5).update(jnp.linspace(0.0, 1.0, 101), 0.75)
    low, high = 0.75 * (0.5 * -0.05 - 2.5) + 0.25 * 0.05, 0.75 * (0.5 * 0.85 + 42.5) + 0.25 * 0.95
    np.testing.assert_allclose([scale.low, scale.high], [low, high], rtol=1e-5)
    np.testing.assert_allclose(scale(x), x / (high - low), rtol=1e-5)


def test_percentile_scale_is_blind_to_a_few_outliers():
    x = jnp.linspace(0.0, 10.0, 101)
    scales = [PercentileScale.init().update(y, 0.0) for y in (x, x.at[-4:].set(1e9))]
    np.testing.assert_allclose(scales[0].high, 9.5, rtol=1e-5)
    np.testing.assert_array_equal(scales[0].high, scales[1].high)
