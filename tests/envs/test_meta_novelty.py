"""What new cells of dark rooms pay, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.meta.room import MOVES
from ssmrl.errors import UsageError

KEY = jax.random.key(5)
STAY, UP, DOWN, LEFT, RIGHT = range(5)


def test_it_pays_once_for_each_cell_of_a_trial():
    """By hand: down, back, down again, beyond; the inner episode's end in between pays nothing."""
    env, params = envs.make("meta/DarkRoom", size=5, max_steps=3, num_train=3, num_episodes=3,
                            novelty=0.25)  # fmt: skip
    corner = params.inner.replace(goal=jnp.array([0, 0], jnp.int8))
    step = jax.jit(env.step)
    _, state = env.reset(KEY, params)
    state = state.replace(env_state=state.env_state.replace(task=corner))
    paid, inner = [], []
    for action in (DOWN, UP, DOWN, DOWN, DOWN, RIGHT, STAY, UP, LEFT, STAY, DOWN):
        _, state, reward, ended, _, info = step(KEY, state, action, params)
        paid.append(float(reward))
        inner.append(float(info["inner_return"]))
    # The last step of an inner episode is seen where the next one begins; the 9th ends the trial.
    assert paid == [0.25, 0, 0, 0, 0.25, 0, 0, 0.25, 0, 0, 0.25]
    assert set(inner) == {0.0}
    assert not ended


def bonuses(name, task, actions):
    """Return what each action is paid beside the game's own reward, in a room of 3 x 3."""
    env, params = envs.make(f"meta/{name}", size=3, num_train=3, novelty=0.25)
    step = jax.jit(env.step)
    _, state = env.reset(KEY, params)
    task = params.inner.replace(**{part: jnp.array(at, jnp.int8) for part, at in task.items()})
    inside = state.env_state.replace(task=task)
    if hasattr(inside.env_state, "has_key"):  # begins anywhere; here in the middle
        middle = inside.env_state.replace(position=jnp.array([1, 1], jnp.int8))
        inside = inside.replace(env_state=middle)
        state = state.replace(seen=jnp.zeros_like(state.seen).at[0, 1, 1].set(True))
    state, before, more = state.replace(env_state=inside), 0.0, []
    for action in actions:
        _, state, reward, _, _, info = step(KEY, state, action, params)
        more.append(float(reward - (info["inner_return"] - before)))
        before = 0.0 if info["episode_done"] else info["inner_return"]
    return more


def test_it_pays_no_more_in_a_trial_that_has_found_the_goal():
    """By hand: new, the goal; the next inner episode's new cells pay nothing, nor the goal."""
    found = bonuses("DarkRoom", {"goal": (0, 0)}, (UP, LEFT, DOWN, RIGHT, UP, LEFT))
    assert found == [0.25, 0, 0, 0, 0, 0]


def test_it_pays_for_the_key_and_from_there_on_for_the_door():
    """By hand, the door in a corner: where it was sought, and what was walked on without a key."""
    task = {"key": (0, 1), "door": (0, 0)}
    found = bonuses("DarkKeyToDoor", task, (DOWN, UP, UP, DOWN, DOWN, UP, RIGHT))
    # Down is new; the middle is not; the key is, with it; from there on all cells are new again.
    assert found == [0.25, 0, 0.25, 0.25, 0.25, 0, 0.25]


def test_it_leaves_the_game_as_it_is():
    def returns(env, params):
        """Return those of the inner episodes so far; the actions are the same for both."""

        def step(state, key):
            action = jax.random.randint(key, (), 0, len(MOVES))
            _, state, _, _, _, info = env.step(key, state, action, params)
            return state, info["inner_return"]

        keys = jax.random.split(KEY, (32, 40))
        play = lambda k: jax.lax.scan(step, env.reset(k[0], params)[1], k)[1]  # noqa: E731
        return jax.jit(jax.vmap(play))(keys)

    plain, paying = (envs.make("meta/DarkRoom", novelty=pays) for pays in (0.0, 0.5))
    np.testing.assert_array_equal(returns(*plain), returns(*paying))
    assert returns(*plain).any()
    with pytest.raises(UsageError, match=r"novelty must be .*, not 2"):
        envs.make("meta/DarkRoom", novelty=2)
