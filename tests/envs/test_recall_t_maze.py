"""TMaze by hand, passive and active, at several lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recall_rollout import KEY, make_rollout

import envs
from envs.recall.t_maze import EAST, NORTH, SOUTH, WEST
from ssmrl.errors import UsageError

COPIES = 400


def walk(corridor_length, oracle_length):
    """Return the best way without the turn at its end."""
    return [WEST] * oracle_length + [EAST] * (corridor_length + oracle_length)


@pytest.mark.parametrize(("length", "oracle"), [(1, 0), (6, 1), (60, 0)])
def test_perfect_player_gets_one_and_a_guesser_half(length, oracle):
    steps = length + 2 * oracle + 1
    settings = {"corridor_length": length, "oracle_length": oracle}
    env, params, rollout = make_rollout("recall/TMaze", 2 * steps, COPIES, **settings)
    assert env.num_steps(params) == steps

    way = np.array([*walk(length, oracle), NORTH])
    guess = rollout(np.tile(way, 2))
    assert not guess.truncated.any()
    assert (guess.terminated == (np.arange(2 * steps) % steps == steps - 1)).all()
    cues = guess.seen.reshape(COPIES, 2, steps, 2)[:, :, oracle, 1]
    assert set(np.unique(cues)) == {-1, 1}
    returns = guess.reward.reshape(COPIES, 2, steps).sum(axis=-1)
    np.testing.assert_array_equal(returns, cues == 1)
    assert returns.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2 * COPIES))

    best = np.tile(way, (COPIES, 2, 1))
    best[..., -1] = np.where(cues == 1, NORTH, SOUTH)
    reward = rollout(best.reshape(COPIES, -1)).reward.reshape(COPIES, 2, steps)
    assert (reward[..., -1] == 1).all()
    assert (reward[..., :-1] == 0).all()


def play(actions, **settings):
    """Return the arm that pays, all observations, and the rewards of one episode."""
    env, params = envs.make("recall/TMaze", **settings)
    obs, state = env.reset_env(KEY, params)
    all_obs, rewards = [obs.tolist()], []
    for action in actions:
        obs, state, reward, terminated, _ = env.step_env(KEY, state, action, params)
        all_obs.append(obs.tolist())
        rewards.append(round(float(reward), 4))
    assert terminated
    return int(state.goal), all_obs, rewards


def test_passive_by_hand():
    goal, obs, rewards = play([EAST, EAST, NORTH], corridor_length=2)
    assert obs == [[0, goal], [0, 0], [1, 0], [1, 1]]
    assert rewards == [0, 0, float(goal == 1)]
    goal, obs, rewards = play([NORTH, WEST, SOUTH], corridor_length=2)  # walls all around
    assert obs == [[0, goal], [0, 0], [0, 0], [0, 0]]  # the cue shows once
    assert rewards == [-0.5, -0.5, 0]
    goal, obs, rewards = play([WEST, EAST, EAST], corridor_length=2)  # too late to turn
    assert obs == [[0, goal], [0, 0], [0, 0], [1, 0]]
    assert rewards == [-0.5, -0.5, 0]


def test_active_by_hand():
    active = {"corridor_length": 2, "oracle_length": 1}
    goal, obs, rewards = play([WEST, EAST, EAST, EAST, SOUTH], **active)
    assert obs == [[0, 0], [0, goal], [0, 0], [0, 0], [1, 0], [1, -1]]
    assert rewards == [0, 0, 0, 0, float(goal == -1)]
    # Past the oracle the junction comes early; an arm can be left again, but has walls.
    goal, obs, rewards = play([EAST, EAST, NORTH, EAST, SOUTH], **active)
    assert obs == [[0, 0], [0, 0], [1, 0], [1, 1], [1, 1], [1, 0]]
    assert rewards == [0, 0, 0, 0, 0]
    goal, obs, rewards = play([WEST, WEST, WEST, WEST, EAST], **active)
    assert obs[1:3] == [[0, goal], [0, 0]]
    assert rewards == [0, -0.5, -0.5, -0.5, 0]


def test_penalty():
    *_, rewards = play([WEST] * 5, corridor_length=4)
    assert rewards == [-0.25] * 4 + [0]
    *_, rewards = play([WEST] * 5, corridor_length=4, lag_penalty=0)
    assert rewards == [0] * 5
    *_, rewards = play([WEST] * 5, corridor_length=4, lag_penalty=0.4)
    assert rewards == [-0.1] * 4 + [0]


def test_length_can_vary_within_one_compilation():
    env, params = envs.make("recall/TMaze")

    def is_over(length):
        longer = params.replace(corridor_length=length)
        _, state = env.reset(KEY, longer)
        keys = jax.random.split(KEY, 8)
        step = lambda state, key: env.step(key, state, EAST, longer)[1:4:2]  # noqa: E731
        return jax.lax.scan(step, state, keys)[1]

    terminated = jax.jit(jax.vmap(is_over))(jnp.array([3, 7]))
    assert jnp.argmax(terminated, axis=1).tolist() == [3, 7]


def test_render():
    env, params = envs.make("recall/TMaze", corridor_length=4)
    _, state = env.reset(KEY, params)
    arms = "$x" if int(state.goal) == 1 else "x$"
    assert env.render(state) == f"    {arms[0]}\n@....\n    {arms[1]}"
    _, state, *_ = env.step_env(KEY, state, EAST, params)
    assert env.render(state, params).splitlines()[1] == "?@..."


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"corridor_length": 0}, "corridor_length must be >= 1, not 0"),
        ({"oracle_length": -1}, "oracle_length must be >= 0, not -1"),
        ({"lag_penalty": -1.0}, "lag_penalty must be >= 0, not -1.0"),
    ],
)
def test_impossible_settings(settings, complaint):
    with pytest.raises(UsageError, match=f"environment 'TMaze': {complaint}"):
        envs.make("recall/TMaze", **settings)
