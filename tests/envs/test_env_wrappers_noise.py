"""Noise, swings and distractors: the law of their chance, and what an episode's end does."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_env import Tiny, TinyParams
from wrapper_probes import KEY, PARAMS, Chance, batch_of, steps_of

import envs
from envs.spaces import Box
from envs.wrappers import (
    Distractors,
    EpisodeStatistics,
    NormaliseObservation,
    ObservationNoise,
    PreviousAction,
    SinusoidalPerturbation,
    own_key,
)

LONG = TinyParams(max_steps_in_episode=20)
NUM_ENVS, NUM_STEPS = 64, 100


@pytest.fixture(scope="module")
def undisturbed():
    """Return the first observations and the record of the environment alone."""
    return batch_of(Chance(), NUM_ENVS, NUM_STEPS, LONG)


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def test_the_environment_lives_through_the_same_episodes(undisturbed):
    env = ObservationNoise(SinusoidalPerturbation(Chance(), 0.5, 7), 0.5)
    _, seen = batch_of(EpisodeStatistics(Distractors(env, 3, 0.5)), NUM_ENVS, NUM_STEPS, LONG)
    _, true = undisturbed
    for name in ("reward", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(true, name))
    totals = seen.info["episode_return"][true.ended]
    np.testing.assert_allclose(totals, true.reward.reshape(5, 20, -1).sum(1).ravel(), rtol=1e-5)


def test_observation_noise_on_first_later_and_final_observations(undisturbed):
    first_seen, seen = batch_of(ObservationNoise(Chance(), 0.3), NUM_ENVS, NUM_STEPS, LONG)
    first, true = undisturbed
    noise, noise_final = seen.obs - true.obs, seen.final - true.final
    assert (first_seen - first).std() == pytest.approx(0.3, rel=0.2)  # of 128 numbers
    assert noise.std() == pytest.approx(0.3, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert abs(np.median(noise)) < 0.01
    assert np.mean(np.abs(noise) < 0.3) == pytest.approx(0.6827, abs=0.02)  # Gaussian
    ended = true.ended
    assert ended.sum() == NUM_ENVS * NUM_STEPS // 20
    # A compiler may compute the same noise twice, and round it otherwise; as written it is equal.
    np.testing.assert_allclose(seen.final[~ended], seen.obs[~ended], rtol=1e-6, atol=1e-6)
    assert noise_final[ended].std() == pytest.approx(0.3, rel=0.1)
    # Independent: the two observations of an end, entries, neighbours in time and in the batch.
    assert abs(correlation(noise[ended], noise_final[ended])) < 0.15
    assert abs(correlation(noise[..., 0], noise[..., 1])) < 0.05
    assert abs(correlation(noise[1:], noise[:-1])) < 0.05
    assert abs(correlation(noise[:, 1:], noise[:, :-1])) < 0.05


def test_where_no_episode_ends_the_final_observation_is_the_returned_one():
    steps = steps_of(ObservationNoise(Chance(), 0.3), [0] * 4, LONG)[1]
    assert not any(step.terminated | step.truncated for step in steps)
    for step in steps:
        np.testing.assert_array_equal(step.final, step.obs)


def test_noise_upon_noise_is_independent(undisturbed):
    env = ObservationNoise(ObservationNoise(Chance(), 0.3), 0.4)
    _, seen = batch_of(env, NUM_ENVS, NUM_STEPS, LONG)
    _, true = undisturbed
    assert (seen.obs - true.obs).std() == pytest.approx(0.5, rel=0.03)  # 0.7 if it were the same


def test_no_two_wrappers_of_a_stack_have_the_same_key():
    class Other:  # a wrapper of somebody else
        def __init__(self, env):
            self._env = env

        def __getattr__(self, name):
            return getattr(self._env, name)

    stack = [Distractors(ObservationNoise(Chance(), 0.1), 1)]
    stack += [ObservationNoise(stack[0], 0.1)]
    stack += [ObservationNoise(Other(stack[1]), 0.1), stack[0].env]
    keys = [own_key(env, KEY) for env in stack]
    keys += [KEY, *jax.random.split(KEY, 50)]
    data = [tuple(jax.random.key_data(key).tolist()) for key in keys]
    assert len(set(data)) == len(data)


def test_no_noise_leaves_the_observation_and_images_stay_images():
    env = ObservationNoise(Tiny(observe=lambda t: jnp.full((2, 3), t), space=Box(0, 9, (2, 3))), 0)
    _, steps = steps_of(env, [0, 0, 0])
    np.testing.assert_array_equal(steps[1].obs, np.full((2, 3), 2, np.float32))
    np.testing.assert_array_equal(steps[2].final, np.full((2, 3), 3, np.float32))
    envs.check_environment(env, PARAMS)


def test_relative_noise_by_normalising_below(undisturbed):
    env = ObservationNoise(NormaliseObservation(Chance(), [0, 0.5], [20, 0.1]), 0.5)
    _, seen = batch_of(env, NUM_ENVS, NUM_STEPS, LONG)
    _, true = undisturbed
    noise = seen.obs - (true.obs - [0, 0.5]) / [20, 0.1]
    np.testing.assert_allclose(noise.std((0, 1)), 0.5, rtol=0.05)


@pytest.mark.parametrize("shared", [True, False])
def test_sinusoid_by_hand(shared):
    env = SinusoidalPerturbation(Chance(), 2.0, 4, shared=shared)
    shape = () if shared else (2,)
    _, state = env.reset(KEY, PARAMS)
    first, steps = steps_of(env, [0] * 7)
    first_true, true = steps_of(Chance(), [0] * 7)

    def swing(phase, t):
        return 2.0 * np.sin(2 * np.pi * (t / 4 + np.asarray(phase)))

    assert state.phase.shape == shape
    np.testing.assert_allclose(first, first_true + swing(state.phase, 0), atol=1e-5)
    phases = [state.phase]
    for t, (seen, plain) in enumerate(zip(steps, true, strict=True)):
        time = t % 3 + 1
        final = plain.final + swing(phases[-1], time)
        np.testing.assert_allclose(seen.final, final, atol=1e-5)
        if seen.ended:
            phases.append(seen.state.phase)
        time = int(seen.state.time)
        assert time == (t + 1) % 3
        np.testing.assert_array_equal(seen.state.phase, phases[-1])
        np.testing.assert_allclose(seen.obs, plain.obs + swing(phases[-1], time), atol=1e-5)
    assert len({tuple(np.ravel(phase).tolist()) for phase in phases}) == 3


def test_phases_are_uniform_and_new_in_each_episode():
    env = SinusoidalPerturbation(Chance(), 1.0, 5, shared=False)
    _, seen = batch_of(env, NUM_ENVS, NUM_STEPS)
    phases = seen.state.phase[seen.ended]
    assert len(phases) > 2000
    counts = np.histogram(phases, bins=8, range=(0, 1))[0]
    expected = phases.size / 8
    assert ((counts - expected) ** 2 / expected).sum() < 24.3  # chi-squared, 7, p = 0.001
    assert abs(correlation(phases[:, 0], phases[:, 1])) < 0.06
    following = seen.state.phase[2::3], seen.state.phase[5::3]  # of one environment's episodes
    assert abs(correlation(following[0][: len(following[1])], following[1])) < 0.06


def test_a_swing_stays_exact_in_long_episodes():
    env = SinusoidalPerturbation(Chance(), 1.0, 7)
    params = TinyParams(max_steps_in_episode=10_000_000)
    _, state = env.reset(KEY, params)
    late = state.replace(time=jnp.int32(7 * 1_000_000))
    obs, *_ = env.step(KEY, late, 0, params)
    soon, *_ = env.step(KEY, state, 0, params)
    np.testing.assert_array_equal(obs, soon)


def test_a_swing_widens_the_bounds():
    space = SinusoidalPerturbation(Chance(), 0.25, 7).observation_space(PARAMS)
    np.testing.assert_array_equal(np.broadcast_to(space.low, 2), [-0.25, -0.25])
    np.testing.assert_allclose(space.high, [1e6 + 0.25, 1.25])


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_distractors_are_stationary_normal_numbers(undisturbed, rho):
    first, seen = batch_of(Distractors(Chance(), 3, rho), NUM_ENVS, NUM_STEPS, LONG)
    first_true, true = undisturbed
    np.testing.assert_array_equal(first[:, :2], first_true)
    np.testing.assert_array_equal(seen.obs[..., :2], true.obs)
    np.testing.assert_array_equal(seen.final[..., :2], true.final)
    values, final, ended = seen.obs[..., 2:], seen.final[..., 2:], seen.ended
    assert values.std() == pytest.approx(1, rel=0.04)
    assert abs(values.mean()) < 0.05
    assert np.mean(np.abs(values) < 1) == pytest.approx(0.6827, abs=0.02)
    assert values[ended].std() == pytest.approx(1, rel=0.08)  # an episode's first
    assert first[:, 2:].std() == pytest.approx(1, rel=0.2)
    # From step to step, the final observation as the old episode's last.
    assert correlation(values[:-1], final[1:]) == pytest.approx(rho, abs=0.03)
    assert abs(correlation(values[ended], final[ended])) < 0.1
    np.testing.assert_array_equal(values[~ended], final[~ended])
    for i, j in itertools.combinations(range(3), 2):
        assert abs(correlation(values[..., i], values[..., j])) < 0.1


def test_distractors_of_correlation_1_stay_for_an_episode():
    _, steps = steps_of(Distractors(Tiny(), 2, correlation=1), [0] * 6)
    values = np.array([s.obs[1:] for s in steps])
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(steps[2].final[1:], values[1])
    assert (values[2] != values[1]).all()  # the next episode's
    np.testing.assert_array_equal(values[2], values[4])


def test_no_distractors_change_nothing():
    _, steps = steps_of(Distractors(Tiny(), 0), [0] * 3)
    assert [s.obs.tolist() for s in steps] == [[1], [2], [0]]


def test_distractors_below_the_previous_action():
    env = PreviousAction(Distractors(Tiny(), 2))
    _, steps = steps_of(env, [1, 2, 0])
    np.testing.assert_array_equal(steps[0].obs[3:], [0, 1, 0])
    np.testing.assert_array_equal(steps[2].obs[3:], [0, 0, 0])
    np.testing.assert_array_equal(steps[2].final[3:], [1, 0, 0])
    np.testing.assert_array_equal([s.obs[0] for s in steps], [1, 2, 0])
    assert (np.asarray(steps[2].obs[1:3]) != np.asarray(steps[2].final[1:3])).all()
