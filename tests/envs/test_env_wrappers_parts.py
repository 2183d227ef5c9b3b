"""What flat observations consist of: by space, by wrapper, and to the bit in real environments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import suites_standins as standins
import suites_standins_grids as grids
from tiny_env import Tiny
from wrapper_probes import PARAMS

import envs
from envs.meta.mixture import Mixture
from envs.meta.trial import Trial
from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from envs.vector import VectorEnv, vectorise
from envs.wrappers import (
    Distractors,
    EpisodeStatistics,
    FlattenObservation,
    ObservationNoise,
    PreviousReward,
)
from envs.wrappers.layout import observation_parts
from ssmrl.errors import UsageError
from ssmrl.world_model.parts import Image, Integers, Numbers, OneHots, pack, total_size, unpack

FLAG = Integers(1, 0, 1)
PIXELS = Box(0, 255, (6, 5, 3), jnp.uint8)
TILES = Box(0, np.broadcast_to([12, 11], (5, 5, 2)), (5, 5, 2), jnp.uint8)


def tiny(space, **options):
    return Tiny(space=space, observe=lambda t: space.sample(jax.random.key(0)), **options)


def parts_of(env, params=PARAMS, **options):
    nothing = {"previous_action": False, "start_flag": False}
    return VectorEnv(envs.wrap(env, **{**nothing, **options}), params).observation_parts


@pytest.mark.parametrize(
    ("space", "parts"),
    [
        (Discrete(4), [OneHots((4,))]),
        (MultiDiscrete([3, 2]), [OneHots((3, 2))]),
        (Box(-1.0, 1.0, (2, 2)), [Numbers(4)]),
        (Box(0, 63, (3,), jnp.int32), [Integers(3, 0, 63)]),
        (Box(0, 64, (3,), jnp.int32), [Numbers(3)]),  # 65 values
        (Box(-2, 5, (), jnp.int32), [Integers(1, -2, 5)]),
        (Box(0, jnp.inf, (2,), jnp.int32), [Numbers(2)]),
        (TILES, [Integers(50, 0, (12, 11) * 25)]),
        (
            Box(np.array([0, 0, 0]), np.array([3, 900, 3]), (3,), jnp.int32),
            [Integers(1, 0, 3), Numbers(1), Integers(1, 0, 3)],
        ),
        (Box(0, 1, (3,), jnp.bool_), [Integers(3, 0, 1)]),
        (Box(0, 255, (3,), jnp.uint8), [Numbers(3)]),
        (PIXELS, [Image(6, 5, 3, True)]),
        (Box(0, 1, (10, 10, 4), jnp.bool_), [Image(10, 10, 4, False)]),
        (Box(0.0, 1.0, (9, 8)), [Image(9, 8, 1, False)]),
        (Box(0, 7, (9, 8), jnp.int32), [Integers(72, 0, 7)]),
        (Box(0, 200, (9, 8), jnp.uint8), [Numbers(72)]),
        (
            Dict({"z": PIXELS, "a": Tuple([Discrete(2), Box(0.0, 9.0, (2,))])}),
            [OneHots((2,)), Numbers(2), Image(6, 5, 3, True)],
        ),
    ],
)
def test_what_is_made_of_spaces(space, parts):
    assert parts_of(tiny(space)) == tuple(parts)


def test_spaces_that_promise_integers_where_there_are_floats():
    """Which are not shares of any range, so that nothing can be packed as such."""
    assert parts_of(Tiny(space=Box(0, 9, (1,), jnp.int32))) == (Numbers(1),)
    floats = Tiny(space=Box(0, 9, (5, 5), jnp.int32), observe=lambda t: jnp.zeros((5, 5)))
    assert parts_of(floats) == (Image(5, 5, 1, False),)


@pytest.mark.parametrize(
    ("actions", "parts"),
    [
        (Discrete(3), [OneHots((3,))]),
        (MultiDiscrete([8, 8]), [OneHots((8, 8))]),
        (Box(-1.0, 1.0, (2,)), [Numbers(2)]),
    ],
)
def test_what_is_appended(actions, parts):
    env = tiny(Discrete(4), actions=actions)
    whole = parts_of(env, previous_action=True, previous_reward=True, start_flag=True)
    assert whole == (OneHots((4,)), *parts, Numbers(1), FLAG)
    assert parts_of(env, start_flag=True) == (OneHots((4,)), FLAG)


def test_other_wrappers():
    flat = FlattenObservation(tiny(Discrete(4)))
    assert observation_parts(EpisodeStatistics(flat), PARAMS) == (OneHots((4,)),)
    for changed in (Distractors(flat, 2), ObservationNoise(flat, 0.1)):
        size = changed.observation_space(PARAMS).shape[0]
        assert observation_parts(changed, PARAMS) == (Numbers(size),)
        assert parts_of(changed, start_flag=True) == (Numbers(size), FLAG)
    above = PreviousReward(ObservationNoise(flat, 0.1))
    assert observation_parts(above, PARAMS) == (Numbers(4), Numbers(1))
    with pytest.raises(UsageError, match=r"is Discrete\(4.*put FlattenObservation around it"):
        observation_parts(EpisodeStatistics(tiny(Discrete(4))), PARAMS)


def test_the_flag_of_inner_episodes_is_no_magnitude():
    trial = Trial(tiny(Discrete(4)), PARAMS, 2)
    assert parts_of(trial, trial.default_params) == (FLAG, OneHots((4,)))
    other = tiny(Dict({"episode_done": Box(0.0, 1.0, (1,)), "observation": Discrete(4)}))
    assert parts_of(other) == (Numbers(1), OneHots((4,)))


@pytest.mark.parametrize(
    ("spaces", "first"),
    [
        ([Discrete(4), Discrete(4)], OneHots((4,))),
        ([Discrete(4), Box(0.0, 1.0, (4,))], Numbers(4)),
        ([Box(0.0, 1.0, (2,)), Discrete(5)], Numbers(5)),
    ],
)
def test_mixtures_have_parts_that_suit_every_member(spaces, first):
    """Whoever of them is there."""
    members = [(f"m{i}", tiny(space), PARAMS) for i, space in enumerate(spaces)]
    mixed = vectorise(Mixture("mixture", members), None, envs.wrap)
    for env in (mixed, mixed.with_num(1), mixed.with_num(5), mixed.with_num(1).with_num(2)):
        assert env.observation_parts == (first, OneHots((3,)), FLAG)


def seen_in(name, **settings):
    """Return the parts of an environment and what it shows in 12 steps of random play."""
    env = vectorise(*envs.make(name, **settings), lambda e: envs.wrap(e, previous_reward=True))
    env = env.with_num(3)

    @jax.jit
    def play(key):
        first, state = env.reset(key)

        def step(state, key):
            obs, state, *_ = env.step(key, state, env.sample_actions(key))
            return state, obs

        obs = jax.lax.scan(step, state, jax.random.split(key, 12))[1]
        return jnp.concatenate([first[None], obs])

    return env.observation_parts, play(jax.random.key(0))


@pytest.mark.parametrize(
    ("name", "first", "num_bytes"),
    [
        ("popgym/RepeatPreviousEasy", OneHots((4,)), 1),
        ("popgym/MineSweeperEasy", OneHots((3,)), 1),
        ("popgym/BattleshipEasy", OneHots((2,)), 1),
        ("popgym/ConcentrationHard", OneHots((14,) * 52), 52),
        ("CartPole-v1", Numbers(4), 16),
        ("Pendulum-v1", Numbers(3), 12),
        ("Breakout-MinAtar", Image(10, 10, 4, False), 1600),
        ("Catch-bsuite", Image(10, 5, 1, False), 200),  # its integers are floats
        ("meta/DarkRoom", FLAG, 1),
        ("xland/MiniGrid-Row", Integers(18, 0, (12, 11) * 9), 18),
        ("navix/Navix-Line-v0", None, None),
        ("navix/Navix-Line-v0:rgb", None, None),
    ],
)
def test_real_observations_come_back_to_the_bit(monkeypatch, name, first, num_bytes):
    standins.install(monkeypatch, *grids.xminigrid(), *grids.navix())
    name, _, observation = name.partition(":")
    parts, obs = seen_in(name, **({"observation": observation} if observation else {}))
    packed = pack(parts, obs)
    bits = [np.asarray(x).view(np.uint32) for x in (obs, unpack(parts, packed))]
    np.testing.assert_array_equal(*bits)
    assert total_size(parts) == obs.shape[-1]
    if first is not None:
        assert parts[0] == first
        assert packed[0][0, 0].nbytes == num_bytes
    for part, kept in zip(parts, packed, strict=True):
        if isinstance(part, OneHots | Integers):
            assert kept.dtype == jnp.uint8
            assert np.isin(part.features(kept), [0, 1]).all()
