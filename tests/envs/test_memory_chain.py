"""MemoryChain by hand, and beyond gymnax's thousand steps."""

import jax
import jax.numpy as jnp
import numpy as np

import envs

KEY = jax.random.key(0)


def play_oracle(env, params, length):
    """Return observations, rewards, terminated and truncated under the right answer."""

    def step(state, key):
        answer = state.context[state.query]
        _, state, reward, terminated, truncated, info = env.step(key, state, answer, params)
        return state, (info["final_observation"], reward, terminated, truncated)

    obs, state = env.reset(KEY, params)
    _, outputs = jax.lax.scan(step, state, jax.random.split(KEY, length))
    return obs, *(np.asarray(x) for x in outputs)


def test_five_steps_by_hand():
    env, params = envs.make("bsuite/MemoryChain")
    assert params.max_steps_in_episode == 6
    first, obs, reward, terminated, truncated = play_oracle(env, params, 6)
    cue = first[2]
    assert abs(cue) == 1
    # As in bsuite the observation lags the state by one: the cue shows twice.
    expected = [[1, cue], [0.8, 0], [0.6, 0], [0.4, 0], [0.2, 0], [0, 0]]
    np.testing.assert_allclose(obs[:, [0, 2]], expected, atol=1e-6)
    assert reward.tolist() == [0, 0, 0, 0, 0, 1]
    assert terminated.tolist() == [False] * 5 + [True]
    assert not truncated.any()
    assert env.observation_space(params).contains(first)


def test_query_is_reachable_beyond_a_thousand_steps():
    env, params = envs.make("bsuite/MemoryChain", memory_length=1200, num_bits=2)
    first, _, reward, terminated, truncated = play_oracle(env, params, 1201)
    assert first.shape == (4,)
    assert reward.sum() == reward[-1] == 1
    assert terminated.nonzero()[0].tolist() == [1200]
    assert not truncated.any()


def test_length_can_vary_within_one_compilation():
    env, params = envs.make("bsuite/MemoryChain")
    lengths = jnp.array([2, 5])

    def last_step(length):
        *_, terminated, _ = play_oracle_jax(env, params.replace(memory_length=length))
        return jnp.argmax(terminated)

    def play_oracle_jax(env, params):
        def step(state, key):
            _, state, reward, terminated, truncated, _ = env.step(key, state, 0, params)
            return state, (reward, terminated, truncated)

        _, state = env.reset(KEY, params)
        return jax.lax.scan(step, state, jax.random.split(KEY, 6))[1]

    assert jax.jit(jax.vmap(last_step))(lengths).tolist() == [2, 5]
