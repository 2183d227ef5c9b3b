"""Maps of observations and actions: flattening, normalising, rescaling, padding."""

from collections import namedtuple

import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from tiny_env import Echo, Tiny
from wrapper_probes import PARAMS, Chance, steps_of

import envs
from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple, contains
from envs.wrappers import (
    AsCategories,
    BinnedAction,
    ClipAction,
    EpisodeStatistics,
    FlattenObservation,
    NormaliseObservation,
    PadActions,
    PadObservation,
    PreviousAction,
    RescaleAction,
    ScaleReward,
)


@struct.dataclass
class Hand:
    cards: jnp.ndarray
    coins: jnp.ndarray


Place = namedtuple("Place", "y x")


def nested_view(t):
    return {
        "where": Place(y=t, x=jnp.stack([t, t + 1])),
        "hands": (Hand(cards=jnp.stack([t, 1 * (t > 1)]), coins=jnp.float32(t) / 2), {"deep": t}),
        "grid": jnp.full((2, 1), t > 2),
    }


NESTED = Dict(
    {
        "where": Dict({"y": Discrete(4), "x": Box(0, 4, (2,), jnp.int32)}),
        "hands": Tuple(
            [
                Dict({"coins": Box(0, 2, ()), "cards": MultiDiscrete([4, 2])}),
                Dict({"deep": Discrete(5)}),
            ]
        ),
        "grid": Box(0, 1, (2, 1), jnp.bool_),
    }
)


def test_flattening_reaches_into_nested_parts_of_every_kind():
    env = FlattenObservation(Tiny(observe=nested_view, space=NESTED))
    first, steps = steps_of(env, [0] * 3)
    # grid | hands: cards, cards, coins; deep | where: x, y. Parts by sorted name.
    at_0 = [0, 0, *[1, 0, 0, 0], *[1, 0], 0, *[1, 0, 0, 0, 0], *[0, 0.25], *[1, 0, 0, 0]]
    at_2 = [0, 0, *[0, 0, 1, 0], *[0, 1], 1, *[0, 0, 1, 0, 0], *[0.5, 0.75], *[0, 0, 1, 0]]
    at_3 = [1, 1, *[0, 0, 0, 1], *[0, 1], 1.5, *[0, 0, 0, 1, 0], *[0.75, 1], *[0, 0, 0, 1]]
    np.testing.assert_array_equal(first, at_0)
    np.testing.assert_array_equal(steps[1].obs, at_2)
    np.testing.assert_array_equal(steps[2].final, at_3)
    np.testing.assert_array_equal(steps[2].obs, at_0)
    space = env.observation_space(PARAMS)
    np.testing.assert_array_equal(space.high, [1] * 8 + [2] + [1] * 11)
    assert all(contains(space, x) for x in (first, *(s.final for s in steps)))
    envs.check_environment(env, PARAMS)
    envs.check_environment(env.env, PARAMS)


@pytest.mark.parametrize(
    ("mean", "scale", "expected"),
    [
        (1, 2, [[-0.5, -0.5], [0, 0], [0.5, 0.5], [-0.5, -0.5]]),
        ([0, 1], [1, 4], [[0, -0.25], [1, 0], [2, 0.25], [0, -0.25]]),
    ],
)
def test_normalise_observation_by_hand(mean, scale, expected):
    tiny = Tiny(observe=lambda t: jnp.stack([t, t]), space=Box(0, 10, (2,), jnp.int32))
    env = NormaliseObservation(tiny, mean, scale)
    first, steps = steps_of(env, [0, 0, 0])
    np.testing.assert_array_equal([first, *(s.obs for s in steps)], expected)
    np.testing.assert_array_equal(steps[2].final, (3 - np.array(mean)) / scale * np.ones(2))
    space = env.observation_space(PARAMS)
    np.testing.assert_array_equal(space.low, (0 - np.array(mean)) / scale * np.ones(2))
    np.testing.assert_array_equal(space.high, (10 - np.array(mean)) / scale * np.ones(2))
    envs.check_environment(env, PARAMS)


def test_normalise_keeps_shapes_and_unbounded_sides():
    image = Tiny(observe=lambda t: jnp.full((2, 2), t), space=Box(-jnp.inf, 8, (2, 2)))
    env = NormaliseObservation(image, [[0], [1]], 2)
    _, steps = steps_of(env, [0])
    np.testing.assert_array_equal(steps[0].obs, [[0.5, 0.5], [0, 0]])
    space = env.observation_space(PARAMS)
    np.testing.assert_array_equal(space.low, np.full((2, 2), -np.inf))
    np.testing.assert_array_equal(space.high, [[4, 4], [3.5, 3.5]])


def test_bounds_of_normalised_observations_hold_to_the_last_bit():
    low, high = jnp.float32([-0.1, 0.7]), jnp.float32([0.3, 1.9])
    tiny = Tiny(observe=lambda t: jnp.where(t % 2, low, high), space=Box(low, high, (2,)))
    for scale in (0.3, 0.7, 1.1, 3.0, 7.0):
        env = NormaliseObservation(tiny, 0.123, scale)
        first, steps = steps_of(env, [0])
        space = env.observation_space(PARAMS)
        assert contains(space, first)
        assert contains(space, steps[0].obs)


def test_rescale_action_by_hand():
    env = RescaleAction(Echo(Box(jnp.array([-2.0, 0.0]), 4.0, (2,))))
    actions = [[-1.0, -1.0], [0.0, 0.0], [1.0, 0.5], [7.0, -7.0]]
    _, steps = steps_of(env, actions)
    # [-2, 0], [1, 2], [4, 3], and beyond the bounds [4, 0].
    assert [float(s.reward) for s in steps] == [-2, 3, 7, 4]
    space = env.action_space(PARAMS)
    np.testing.assert_array_equal([space.low, space.high], [[-1, -1], [1, 1]])
    envs.check_environment(env, PARAMS)


def test_rescaling_leaves_entries_without_two_bounds_in_their_unit():
    low, high = jnp.array([5.0, 0.0, -jnp.inf, -3e38]), jnp.array([10.0, jnp.inf, 2.0, 3e38])
    env = RescaleAction(Echo(Box(low, high, (4,))))
    np.testing.assert_array_equal(env.act([-1.0, 7.0, -7.0, 7.0], PARAMS), [5, 7, -7, 7])
    np.testing.assert_array_equal(env.act([9.0, -7.0, 7.0, -7.0], PARAMS), [10, 0, 2, -7])
    space = env.action_space(PARAMS)
    np.testing.assert_array_equal(space.low, jnp.array([-1, 0, -jnp.inf, -3e38]))
    np.testing.assert_array_equal(space.high, jnp.array([1, jnp.inf, 2, 3e38]))
    wrapped = envs.wrap(env.env)
    _, steps = steps_of(wrapped, [[3.0, -3.0, 3.0, 3.0]])
    np.testing.assert_array_equal(steps[0].obs, [1, 1, 0, 2, 3, 0])
    assert float(steps[0].reward) == 10 + 0 + 2 + 3


def test_clipped_integers_stay_integers():
    clipped = ClipAction(Echo(Box(0.0, 3.0, (2,), jnp.int32))).act(jnp.array([5, -1]), PARAMS)
    assert clipped.dtype == jnp.int32
    assert clipped.tolist() == [3, 0]


def test_rescaled_actions_never_leave_the_bounds():
    low, high = jnp.float32(-0.1), jnp.float32(0.7)
    env = RescaleAction(Tiny(Box(low, high, (3,))))
    actions = env.act(jnp.array([-1.0, 1.0, jnp.nextafter(1.0, 0.0)]), PARAMS)
    assert contains(env.env.action_space(PARAMS), actions)
    np.testing.assert_allclose(actions, [-0.1, 0.7, 0.7], rtol=1e-6)


def test_wrap_clips_to_the_rescaled_bounds():
    env = envs.wrap(RescaleAction(Echo(Box(0.0, 10.0, (1,)))))
    _, steps = steps_of(env, [[-3.0], [0.5]])
    # Columns: time | previous action, as the agent means it | start flag.
    np.testing.assert_array_equal([s.obs for s in steps], [[1, -1, 0], [2, 0.5, 0]])
    assert [float(s.reward) for s in steps] == [0, 7.5]


def test_pad_observation_by_hand():
    env = PadObservation(Chance(), 5)
    first, steps = steps_of(env, [0] * 3)
    first_true, true = steps_of(Chance(), [0] * 3)
    np.testing.assert_array_equal(first, [*first_true, 0, 0, 0])
    for seen, plain in zip(steps, true, strict=True):
        np.testing.assert_array_equal(seen.obs, [*plain.obs, 0, 0, 0])
        np.testing.assert_array_equal(seen.final, [*plain.final, 0, 0, 0])
    space = env.observation_space(PARAMS)
    np.testing.assert_array_equal(space.low, [0] * 5)
    np.testing.assert_array_equal(space.high, [1e6, 1, 0, 0, 0])
    np.testing.assert_array_equal(steps_of(PadObservation(Chance(), 2), [])[0], first_true)


def test_surplus_discrete_actions_begin_anew():
    env = PadActions(Echo(Discrete(3)), 8)
    _, steps = steps_of(env, range(8))
    assert [int(s.reward) for s in steps] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert env.action_space(PARAMS).n == env.num_actions == 8
    envs.check_environment(env, PARAMS)


def test_surplus_entries_of_an_action_are_ignored():
    env = PadActions(Echo(Box(-3.0, jnp.array([1.0, 2.0]), (2,))), 4)
    _, steps = steps_of(env, [[1.0, 2.0, 1.0, -1.0], [-3.0, 0.5, 0.0, jnp.nan]])
    assert [float(s.reward) for s in steps] == [3, -2.5]
    space = env.action_space(PARAMS)
    np.testing.assert_array_equal(space.low, [-3, -3, -1, -1])
    np.testing.assert_array_equal(space.high, [1, 2, 1, 1])
    assert space.shape == (4,)
    envs.check_environment(env, PARAMS)


def test_padding_to_the_same_size_changes_no_action():
    _, steps = steps_of(PadActions(Echo(Discrete(3)), 3), range(3))
    assert [int(s.reward) for s in steps] == [0, 1, 2]


def test_the_previous_action_above_has_the_padded_size():
    env = PreviousAction(PadActions(Tiny(), 5))
    _, steps = steps_of(env, [4, 0, 1])
    np.testing.assert_array_equal(steps[0].obs, [1, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(steps[2].obs, [0] * 6)
    np.testing.assert_array_equal(steps[2].final, [3, 0, 1, 0, 0, 0])


def test_one_network_fits_environments_of_different_sizes():
    shapes = set()
    for env in (Tiny(), Chance(), Tiny(Discrete(5), observe=nested_view, space=NESTED)):
        padded = PadActions(PadObservation(FlattenObservation(env), 25), 6)
        wrapped = envs.wrap(EpisodeStatistics(padded))
        envs.check_environment(wrapped, PARAMS)
        shapes.add((wrapped.observation_space(PARAMS).shape, wrapped.action_space(PARAMS).n))
    assert shapes == {((25 + 6 + 1,), 6)}


class Chooser(Tiny):
    """Pays the number of the action that arrived."""

    def reward(self, time, action):
        assert (action.shape, action.dtype) == ((), jnp.int32)
        return action.astype(jnp.float32)


def test_bins_are_equal_and_cover_all_numbers():
    env = BinnedAction(Chooser(Discrete(4)))
    actions = [[-9.0], [-1.0], [-0.51], [-0.5], [-0.01], [0.0], [0.5], [0.99], [1.0], [9.0]]
    _, steps = steps_of(env, actions)
    assert [int(s.reward) for s in steps] == [0, 0, 0, 1, 1, 2, 3, 3, 3, 3]
    grid = jnp.linspace(-1, 1, 3001)[:-1, None] + 1e-4
    counts = jnp.bincount(jnp.stack([env.act(a, PARAMS) for a in grid[::10]]), length=4)
    assert counts.tolist() == [75] * 4
    assert 0 <= int(env.act(jnp.array([jnp.nan]), PARAMS)) < 4
    space = env.action_space(PARAMS)
    assert (space.shape, float(space.low), float(space.high), env.num_actions) == ((1,), -1, 1, 1)
    envs.check_environment(env, PARAMS)


def test_scaled_rewards_by_hand():
    env = ScaleReward(Tiny(), 0.5, shift=-3)
    _, steps = steps_of(env, [0, 0, 0])
    assert [float(s.reward) for s in steps] == [-1, -0.5, 0]
    assert float(steps_of(ScaleReward(Tiny(), 2), [0])[1][0].reward) == 2
    envs.check_environment(env, PARAMS)


def test_an_optimum_in_other_units_is_not_passed_on():
    class Known(Tiny):
        def optimal_return(self, params):
            return jnp.float32(6)

    assert hasattr(ClipAction(Known()), "optimal_return")
    assert not hasattr(ClipAction(ScaleReward(Known(), 2)), "optimal_return")


def test_integers_read_as_categories_are_flattened_one_hot():
    most = jnp.array([[3, 1]], jnp.uint8)
    tiny = Tiny(
        observe=lambda t: jnp.stack([t, t % 2])[None].astype(jnp.uint8),
        space=Box(0, most, (1, 2), jnp.uint8),
    )
    env = AsCategories(tiny, PARAMS)
    assert env.observation_space(PARAMS).nvec.tolist() == [4, 2]
    first, steps = steps_of(FlattenObservation(env), [0, 0, 0])
    np.testing.assert_array_equal(first, [1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(steps[1].obs, [0, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(steps[2].final, [0, 0, 0, 1, 0, 1])
    envs.check_environment(env, PARAMS)
