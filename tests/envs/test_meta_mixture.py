"""A mixture's batch is what its members would do alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.meta.mixture import Mixture
from envs.vector import MixedVectorEnv, VectorEnv, vectorise
from ssmrl.errors import UsageError

TWO = {"CartPole-v1": {"num_episodes": 2}, "Acrobot-v1": {"num_steps": 7}}
SETTINGS = {"members": TWO, "weights": {"CartPole-v1": 3}}


def mixed(num: int, **settings) -> VectorEnv:
    return vectorise(*envs.make("meta/Mixture", **settings), envs.wrap).with_num(num)


def play(env: VectorEnv, keys: list, actions: jax.Array):
    obs, state = env.reset(keys[0])

    def step(state, inputs):
        key, action = inputs
        obs, state, reward, terminated, truncated, info = env.step(key, state, action)
        return state, (obs, reward, terminated, truncated, info["final_observation"])

    return obs, jax.lax.scan(step, state, (jnp.stack(keys[1:]), actions))[1]


def test_rows_are_what_members_do_alone_with_their_part_of_the_key():
    env = mixed(8, **SETTINGS)
    assert env.groups == {"CartPole-v1": slice(0, 6), "Acrobot-v1": slice(6, 8)}
    keys = list(jax.random.split(jax.random.key(0), 31))
    actions = jax.random.randint(jax.random.key(1), (30, 8), 0, 3)
    together = jax.jit(lambda: play(env, keys, actions))()
    for i, (name, rows) in enumerate(env.groups.items()):
        own = [jax.random.split(key, 2)[i] for key in keys]
        alone = dict(env._groups)[name]
        expected = jax.jit(lambda a=alone, k=own, r=rows: play(a, k, actions[:, r]))()
        found = together[0][rows], jax.tree.map(lambda x, r=rows: x[:, r], together[1])
        assert jnp.stack(found[1][2]).any(), "no trial ended"
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_one_environment_is_the_first_member():
    env = mixed(1, **SETTINGS)
    assert not isinstance(env, MixedVectorEnv)
    assert env.members == ("CartPole-v1", "Acrobot-v1")


@pytest.mark.parametrize(
    ("weights", "num", "shares"),
    [
        ([1, 1, 1], 8, [3, 3, 2]),
        ([1, 2, 1], 7, [2, 3, 2]),
        ([100, 1, 1], 5, [3, 1, 1]),
        ([1, 1, 1], 2, [1, 1, 0]),
    ],
)
def test_shares_follow_weights_and_leave_nobody_out(weights, num, shares):
    members = [(str(i), *envs.make("CartPole-v1")) for i in range(3)]
    assert Mixture("m", members, weights).shares(num) == shares


def test_a_member_without_inner_ends_does_not_silence_those_of_others():
    trial = envs.make("meta/Trial", env="CartPole-v1", num_episodes=4, returns="inner")
    members = [("trial", *trial), ("plain", *envs.make("CartPole-v1"))]
    env = vectorise(Mixture("m", members), None, envs.wrap).with_num(4)
    _, state = env.reset(jax.random.key(0))

    def step(state, key):
        _, state, _, terminated, _, info = env.step(key, state, jnp.zeros(4, jnp.int32))
        return state, (info["return_ends"], terminated)

    ends, terminated = jax.jit(lambda s, k: jax.lax.scan(step, s, k))(
        state, jax.random.split(jax.random.key(1), 25)
    )[1]
    assert (ends & ~terminated)[:, :2].any(0).all()
    assert not ends[:, 2:].any()
    assert terminated[:, 2:].any()


def test_two_members_of_one_name_are_refused():
    members = [("pole", *envs.make("CartPole-v1"))] * 2
    with pytest.raises(UsageError, match="'m': two members have the name 'pole'"):
        Mixture("m", members)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": {}}, "needs at least one member"),
        ({"split": "held_out"}, "the held-out set is empty"),
        ({"split": "test"}, "split must be train or held_out"),
        ({"held_out": {"CartPole-v1": {}}}, "'CartPole-v1' is both trained on and held out"),
        ({"members": {"CartPole-v1": {}, "Pendulum-v1": {}}}, "members must all have Discrete"),
        ({"members": {"CartPole-v1": {"num_episode": 2}}}, "did you mean 'num_episodes'"),
        ({"members": {"CartPole-v1": 3}}, "must be a group of settings, not 3"),
        ({"weights": {"CartPole-v2": 1}}, "weights has no member 'CartPole-v2'"),
        ({"weights": {"CartPole-v1": 0}}, "weights must be 2 numbers above 0"),
        ({"members": 3}, "members must be a group, not 3"),
    ],
)
def test_bad_mixtures_are_refused_in_a_sentence(settings, words):
    with pytest.raises(UsageError, match=words):
        envs.make("meta/Mixture", **settings)
