"""Skipped frames and delayed rewards: exact sequences over an episode's end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_env import Echo, Tiny, TinyParams
from wrapper_probes import KEY, PARAMS, Chance, batch_of, steps_of

import envs
from envs.spaces import Box
from envs.wrappers import DelayedReward, EpisodeStatistics, FrameSkip, PreviousReward, own_key

FIVE = TinyParams(max_steps_in_episode=5)
LONG = TinyParams(max_steps_in_episode=7)


@pytest.mark.parametrize("truncates", [False, True])
def test_frame_skip_stops_at_the_end_of_an_episode(truncates):
    # Tiny pays t after frame t; its episodes have the frames 1 2 | 3 4 | 5.
    env = FrameSkip(Tiny(truncates=truncates), 2)
    first, steps = steps_of(env, [0] * 7, FIVE)
    assert float(first[0]) == 0
    assert [float(s.obs[0]) for s in steps] == [2, 4, 0, 2, 4, 0, 2]
    assert [float(s.final[0]) for s in steps] == [2, 4, 5, 2, 4, 5, 2]
    assert [float(s.reward) for s in steps] == [3, 7, 5, 3, 7, 5, 3]
    assert [bool(s.truncated) for s in steps] == [False, False, truncates] * 2 + [False]
    assert [bool(s.terminated) for s in steps] == [False, False, not truncates] * 2 + [False]


@pytest.mark.parametrize("num_frames", [3, 4, 50])
def test_frame_skip_plays_no_frame_of_the_next_episode(num_frames):
    _, steps = steps_of(FrameSkip(Tiny(), num_frames), [0, 0])
    for step in steps:
        assert float(step.reward) == 1 + 2 + 3
        assert float(step.final[0]) == 3
        assert float(step.obs[0]) == int(step.state.time) == 0
        assert bool(step.terminated)


def test_frame_skip_is_a_loop_of_steps_with_keys_of_their_own():
    inner, env = Chance(), FrameSkip(Chance(), 3)
    _, state = inner.reset(KEY, FIVE)
    _, records = steps_of(env, [0] * 8, FIVE)
    for i, record in enumerate(records):
        key, paid = jax.random.fold_in(KEY, i), 0.0
        for frame_key in [key, *jax.random.split(own_key(env, key), 2)]:
            obs, state, reward, terminated, _, info = inner.step(frame_key, state, 0, FIVE)
            paid += float(reward)
            if terminated:
                break
        np.testing.assert_array_equal(record.obs, obs)
        np.testing.assert_array_equal(record.final, info["final_observation"])
        assert record.reward == pytest.approx(paid, rel=1e-6)
        assert record.state == state
        assert record.ended == terminated


def test_one_frame_changes_nothing():
    first, plain = batch_of(Chance(), 3, 8)
    first_skipped, skipped = batch_of(FrameSkip(Chance(), 1), 3, 8)
    np.testing.assert_array_equal(first_skipped, first)
    for name in ("obs", "final", "reward", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(skipped, name), getattr(plain, name))


def test_frame_skip_repeats_the_action():
    _, steps = steps_of(FrameSkip(Echo(Box(-1.0, 1.0, (2,))), 2), [[0.25, 0.5], [1.0, 0.0]])
    assert [float(s.reward) for s in steps] == [1.5, 1.0]  # the second step has one frame


def test_statistics_count_frames_below_and_actions_above():
    _, below = steps_of(FrameSkip(EpisodeStatistics(Tiny()), 2), [0] * 4, FIVE)
    assert [int(s.info["episode_length"]) for s in below] == [2, 4, 5, 2]
    assert [float(s.info["episode_return"]) for s in below] == [3, 10, 15, 3]
    _, above = steps_of(EpisodeStatistics(FrameSkip(Tiny(), 2)), [0] * 4, FIVE)
    assert [int(s.info["episode_length"]) for s in above] == [1, 2, 3, 1]
    assert [float(s.info["episode_return"]) for s in above] == [3, 10, 15, 3]


def test_wrap_shows_the_skipped_frames_as_one_step():
    # Columns: time | previous action, one-hot | previous reward | start flag.
    env = envs.wrap(FrameSkip(Tiny(), 2), previous_reward=True)
    _, steps = steps_of(env, [1, 2, 0])
    np.testing.assert_array_equal(steps[0].obs, [2, 0, 1, 0, 3, 0])
    np.testing.assert_array_equal(steps[1].obs, [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(steps[1].final, [3, 0, 0, 1, 3, 0])
    np.testing.assert_array_equal(steps[2].obs, [2, 1, 0, 0, 3, 0])


@pytest.mark.parametrize("truncates", [False, True])
@pytest.mark.parametrize(
    ("delay", "paid"),
    [
        (0, [1, 2, 3, 4, 5, 1, 2]),
        (1, [0, 1, 2, 3, 4 + 5, 0, 1]),
        (2, [0, 0, 1, 2, 3 + 4 + 5, 0, 0]),
        (4, [0, 0, 0, 0, 15, 0, 0]),
        (9, [0, 0, 0, 0, 15, 0, 0]),
    ],
)
def test_delayed_reward_by_hand(delay, paid, truncates):
    _, steps = steps_of(DelayedReward(Tiny(truncates=truncates), delay), [0] * 7, FIVE)
    assert [float(s.reward) for s in steps] == paid
    assert [float(s.obs[0]) for s in steps] == [1, 2, 3, 4, 0, 1, 2]
    assert [float(s.final[0]) for s in steps] == [1, 2, 3, 4, 5, 1, 2]
    assert [bool(s.ended) for s in steps] == [False] * 4 + [True] + [False] * 2


def test_nothing_is_owed_when_an_episode_begins():
    # Infinite rewards would stay in a sum that is multiplied by zero.
    params = TinyParams(reward_scale=jnp.inf)
    _, steps = steps_of(DelayedReward(Tiny(), 1), [0] * 4, params)
    assert [float(s.reward) for s in steps] == [0, np.inf, np.inf, 0]
    np.testing.assert_array_equal(steps[2].state.owed, [0])


def test_delayed_rewards_leave_every_return_as_it_was():
    below, above = EpisodeStatistics(Chance()), EpisodeStatistics(DelayedReward(Chance(), 3))
    _, prompt = batch_of(below, 5, 30, LONG)
    _, late = batch_of(above, 5, 30, LONG)
    assert prompt.ended.sum() == 5 * 4
    np.testing.assert_array_equal(late.ended, prompt.ended)
    np.testing.assert_array_equal(late.obs, prompt.obs)
    at_ends = prompt.ended
    np.testing.assert_allclose(
        late.info["episode_return"][at_ends], prompt.info["episode_return"][at_ends], rtol=1e-6
    )
    assert not np.allclose(late.reward, prompt.reward)


def test_the_previous_reward_above_is_the_one_that_was_paid():
    _, steps = steps_of(PreviousReward(DelayedReward(Tiny(), 1)), [0] * 4)
    np.testing.assert_array_equal([s.obs for s in steps], [[1, 0], [2, 1], [0, 0], [1, 0]])
    np.testing.assert_array_equal(steps[2].final, [3, 5])


def test_skipping_and_delaying_together():
    _, steps = steps_of(DelayedReward(FrameSkip(Tiny(), 2), 1), [0] * 4, FIVE)
    assert [float(s.reward) for s in steps] == [0, 3, 12, 0]  # of 3, 7 and 5
    _, steps = steps_of(FrameSkip(DelayedReward(Tiny(), 1), 2), [0] * 4, FIVE)
    assert [float(s.reward) for s in steps] == [1, 5, 9, 1]  # of 0, 1, 2, 3 and 9


def test_state_of_a_delayed_reward_is_around_that_of_the_environment():
    _, state = DelayedReward(Tiny(), 4).reset(KEY, PARAMS)
    assert state.owed.shape == (4,)
    assert int(state.env_state.time) == 0
