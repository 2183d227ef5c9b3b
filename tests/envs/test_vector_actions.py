"""Actions of many environments: drawn at random, and as vectors that a model takes."""

import jax
import jax.numpy as jnp
import numpy as np
from tiny_env import Echo, Tiny
from wrapper_probes import PARAMS

import envs
from envs.spaces import Box, Discrete
from envs.vector import VectorEnv

HALF = Box(jnp.array([-jnp.inf, 2.0]), jnp.array([jnp.inf, jnp.inf]), (2,))


def test_random_actions_are_finite_where_a_box_has_no_bounds():
    for space in (Box(-jnp.inf, jnp.inf, (3,)), Box(-3e38, 3e38, (3,)), HALF):
        env = VectorEnv(envs.wrap(Echo(space)), PARAMS, 64)
        actions = np.array(env.sample_actions(jax.random.key(0)))
        assert actions.shape == (64, *space.shape)
        assert np.isfinite(actions).all()
        assert (actions.std(0) > 0.1).all()
        assert (actions >= np.array(space.low)).all()
        assert (actions <= np.array(space.high)).all()


def test_vectors_of_actions_beyond_a_box_are_those_of_its_edge():
    env = VectorEnv(envs.wrap(Echo(Box(5.0, 10.0, (2,)))), PARAMS)  # a policy's is [-1, 1]
    actions = jnp.array([[[-7.0, 0.5]], [[1.5, -0.25]]])
    np.testing.assert_array_equal(env.encode_actions(actions), [[[-1, 0.5]], [[1, -0.25]]])
    half = VectorEnv(envs.wrap(Echo(HALF)), PARAMS)
    np.testing.assert_array_equal(half.encode_actions(jnp.array([-9.0, -9.0])), [-9, 2])
    choice = VectorEnv(envs.wrap(Tiny(actions=Discrete(3))), PARAMS)
    np.testing.assert_array_equal(choice.encode_actions(jnp.array([2, 0])), [[0, 0, 1], [1, 0, 0]])
