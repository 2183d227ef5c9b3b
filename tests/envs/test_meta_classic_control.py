"""Projected classic control, played well by players who know the projection and the state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.meta.classic_control import TASKS
from ssmrl.errors import UsageError

KEY = jax.random.key(2)


def balance(s):
    return jnp.where(s.theta + 0.3 * s.theta_dot + 0.02 * s.x + 0.05 * s.x_dot > 0, 1.0, -1.0)


def swing_up(s):
    energy = s.theta_dot**2 / 6 + 5 * (jnp.cos(s.theta) - 1)
    angle = (s.theta + jnp.pi) % (2 * jnp.pi) - jnp.pi
    hold = -(12 * angle + 3 * s.theta_dot)
    pump = jnp.where(energy < 0, jnp.sign(s.theta_dot + 1e-6), -jnp.sign(s.theta_dot))
    return jnp.clip(jnp.where(abs(angle) < 0.4, hold, pump), -1, 1)


PLAYERS = {  # the numbers from -1 to 1 that they mean, and what they earn at the least
    "CartPole-v1": (balance, 0.95),
    "Acrobot-v1": (lambda s: jnp.sign(s.velocity_2), 0.95),
    "Pendulum-v1": (swing_up, 0.6),
    "MountainCarContinuous-v0": (lambda s: jnp.where(s.velocity < 0, -1.0, 1.0), 0.8),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_good_inner_episode_pays_about_one(name):
    mixture, _ = envs.make("meta/ClassicControl", num_episodes=2)
    env, params = {member: rest for member, *rest in mixture.members}[name]
    player, least = PLAYERS[name]

    def play(key):
        def step(state, key):
            projection = state.task.action[:, 0]  # of length 1, so that it is its own inverse
            action = player(state.env_state) * projection
            obs, state, _, terminated, _, info = env.step(key, state, action, params)
            told = (info["inner_return"], info["episode_done"], terminated, info["return_ends"])
            return state, (*told, obs["observation"])

        return jax.lax.scan(step, env.reset(key, params)[1], jax.random.split(key, 400))[1]

    returns, ended, over, return_ends, seen = jax.jit(jax.vmap(play))(jax.random.split(KEY, 8))
    assert seen.shape == (8, 400, 12)
    assert over.any(1).all()  # two inner episodes of at most 200 steps
    assert (return_ends == ended).all()
    found = np.asarray(returns)[np.asarray(ended)]
    assert least < found.mean() <= 1
    assert float(jnp.abs(seen).max()) < 4  # entries are of one size


def test_sizes_and_held_out_tasks():
    made = envs.make("meta/ClassicControl", observation_size=6, action_size=1, num_episodes=3)[0]
    assert [name for name, *_ in made.members] == list(TASKS)
    for _, env, params in made.members:
        assert env.observation_space(params).spaces["observation"].shape == (6,)
        assert env.action_space(params).shape == (1,)
        assert (params.num_episodes, params.inner.inner.max_steps_in_episode) == (3, 200)
    held_out = ["Pendulum-v1", "CartPole-v1"]
    train = envs.make("meta/ClassicControl", held_out=held_out)[0]
    test = envs.make("meta/ClassicControl", held_out=held_out, split="held_out")[0]
    assert [name for name, *_ in train.members] == ["Acrobot-v1", "MountainCarContinuous-v0"]
    assert [name for name, *_ in test.members] == held_out


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"split": "held_out"}, "the held-out set is empty"),
        ({"held_out": "CartPole-v1"}, "held_out must be a list of names, not 'CartPole-v1'"),
        ({"held_out": ["CartPole-v0"]}, "has no task 'CartPole-v0'; did you mean 'CartPole-v1'"),
        ({"held_out": list(TASKS)}, "needs at least one member"),
        ({"observation_size": 5}, "needs a whole number observation_size >= 6, not 5"),
        ({"max_steps": 0}, "max_steps must be >= 1, not 0"),
        ({"returns": "own"}, "returns must be trial or inner, not 'own'"),
        ({"projection": "own"}, "needs a law orthonormal, gaussian, released, not 'own'"),
    ],
)
def test_impossible_settings(settings, complaint):
    with pytest.raises(UsageError) as caught:
        envs.make("meta/ClassicControl", **settings)
    assert complaint in str(caught.value)
