"""Random tabular MDPs: their law, their dial, and their optimum against brute force."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.meta.tabular import BASE, TabularMDP, dirichlet, draw_index
from envs.meta.tabular_hidden import ChangePointMDP, TabularPOMDP
from ssmrl.errors import UsageError

KEY = jax.random.key(3)
NAMES = ("meta/TabularMDP", "meta/TabularPOMDP", "meta/ChangePointMDP")


def best_by_brute_force(task, horizon):
    """Return the best expected return from state 0, over all plans state x time -> action."""
    kernel, rewards = np.asarray(task.kernel, np.float64), np.asarray(task.rewards, np.float64)
    states, actions = rewards.shape
    best = -np.inf
    for plan in itertools.product(range(actions), repeat=states * horizon):
        chance, total = np.eye(states)[0], 0.0
        for choice in np.reshape(plan, (horizon, states)):
            total += chance @ rewards[np.arange(states), choice]
            chance = chance @ kernel[np.arange(states), choice]
        best = max(best, total)
    return best


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_optimum_is_that_of_brute_force(law):
    env = TabularMDP(num_states=2, num_actions=3, horizon=3, alpha=0.5, rewards=law)
    optimal = jax.jit(env.optimal_return)
    for i in range(4):
        params = env.draw_task(jax.random.fold_in(KEY, i), env.default_params)
        found = optimal(params)
        assert (found.shape, found.dtype) == ((), jnp.float32)
        assert float(found) == pytest.approx(best_by_brute_force(params.task, 3), rel=1e-5)
        assert float(optimal(params.replace(horizon=2))) == pytest.approx(
            best_by_brute_force(params.task, 2), rel=1e-5
        )


def plans_by_dynamic_programming(task, horizon):
    """Return the best action at [time, state]."""
    kernel, rewards = np.asarray(task.kernel), np.asarray(task.rewards)
    value, plan = np.zeros(len(rewards)), []
    for _ in range(horizon):
        quality = rewards + kernel @ value
        value, plan = quality.max(1), [quality.argmax(1), *plan]
    return jnp.asarray(np.stack(plan))


def test_the_best_player_earns_the_optimum_in_the_environment():
    env = TabularMDP(num_states=4, num_actions=3, horizon=6, noise=0.5)
    params = env.draw_task(KEY, env.default_params)
    plan = plans_by_dynamic_programming(params.task, 6)

    def episode(key):
        def step(carry, key):
            obs, state = carry
            obs, state, reward, terminated, truncated, _ = env.step(
                key, state, plan[state.time, obs], params
            )
            return (obs, state), (reward, terminated, truncated)

        return jax.lax.scan(step, env.reset(key, params), jax.random.split(key, 6))[1]

    reward, terminated, truncated = jax.jit(jax.vmap(episode))(jax.random.split(KEY, 20_000))
    assert (np.asarray(terminated) == (np.arange(6) == 5)).all()
    assert not truncated.any()
    returns = np.asarray(reward.sum(1))
    error = returns.std() / np.sqrt(len(returns))
    assert error < 0.02
    assert returns.mean() == pytest.approx(float(env.optimal_return(params)), abs=4 * error)


def test_law_of_tasks():
    env = TabularMDP()
    draw = jax.jit(jax.vmap(lambda key: env.draw_task(key, env.default_params).task))
    task = draw(jax.random.split(KEY, 200))
    kernel, rewards = jax.device_get((task.kernel, task.rewards))
    assert (kernel.shape, rewards.shape) == ((200, 10, 5, 10), (200, 10, 5))
    np.testing.assert_allclose(kernel.sum(-1), 1, rtol=1e-5)
    # An entry of the flat law has mean 1/10 and variance 9/1100.
    assert kernel.var() == pytest.approx(9 / 1100, rel=0.02)
    assert (rewards.mean(), rewards.var()) == pytest.approx((1, 1), abs=0.05)
    uniform = TabularMDP(rewards="uniform").draw(KEY).rewards
    assert 0 <= uniform.min() < 0.2 < 0.8 < uniform.max() < 1


def test_other_alphas():
    chances = dirichlet(KEY, 0.2, (4000, 3))
    np.testing.assert_allclose(chances.sum(-1), 1, rtol=1e-5)
    assert float(chances.var()) == pytest.approx((1 / 3) * (2 / 3) / (3 * 0.2 + 1), rel=0.05)
    assert jnp.isfinite(dirichlet(KEY, 0.001, (100, 3))).all()


def test_impossible_places_are_never_drawn():
    chances = jnp.array([0.0, 0.25, 0.0, 0.75, 0.0])
    draw = jax.vmap(lambda key: draw_index(key, chances))
    counts = np.bincount(draw(jax.random.split(KEY, 8000)), minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert counts[1] / 8000 == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 8000))


@pytest.mark.parametrize("cls", [TabularMDP, TabularPOMDP])
def test_similarity_is_the_share_of_pairs_that_are_as_in_the_base_task(cls):
    base = cls()._independent(jax.random.key(BASE))
    for similarity in (0, 0.3, 1):
        env = cls(similarity=similarity)
        drawn = [env.draw_task(jax.random.key(seed), env.default_params) for seed in range(40)]
        same = np.stack([(p.task.kernel == base.kernel).all(-1) for p in drawn])
        paid = np.stack([p.task.rewards == base.rewards for p in drawn])
        np.testing.assert_array_equal(same, paid)
        spread = 4 * np.sqrt(similarity * (1 - similarity) / same.size)
        assert same.mean() == pytest.approx(similarity, abs=spread)
        if cls is TabularPOMDP:
            seen = np.stack([(p.task.emission == base.emission).all(-1) for p in drawn])
            spread = 4 * np.sqrt(similarity * (1 - similarity) / seen.size)
            assert seen.mean() == pytest.approx(similarity, abs=spread)


def test_states_are_seen_through_the_emission_matrix():
    env = TabularPOMDP(num_states=3, num_observations=4, emission_alpha=0.5, horizon=1)
    params = env.draw_task(KEY, env.default_params)

    def one(key):
        obs, state = env.reset(key, params)
        final, last, *_ = env.step_env(key, state, jnp.int32(1), params)
        return obs, final, last.place

    first, final, place = jax.jit(jax.vmap(one))(jax.random.split(KEY, 20_000))
    emission = np.asarray(params.task.emission)
    shares = np.bincount(first, minlength=4) / len(first)
    np.testing.assert_allclose(shares, emission[0], atol=0.02)
    for state in range(3):
        here = np.asarray(final)[np.asarray(place) == state]
        shares = np.bincount(here, minlength=4) / len(here)
        np.testing.assert_allclose(shares, emission[state], atol=4 * np.sqrt(0.25 / len(here)))
    assert not hasattr(env, "optimal_return")
    assert float(env.return_seeing_states(params)) == pytest.approx(
        float(params.task.rewards[0].max())
    )


def test_changes_come_between_episodes_and_stay():
    env = ChangePointMDP(num_states=3, num_actions=2, horizon=4, hazard=0.25)
    params = env.draw_task(KEY, env.default_params)

    def play(key):
        def step(state, key):
            _, state, _, ended, _, info = env.step(key, state, jnp.int32(0), params)
            return state, (state.task.rewards[0, 0], ended, info["episodes_since_change"])

        return jax.lax.scan(step, env.reset(key, params)[1], jax.random.split(key, 400))[1]

    marks, ended, age = jax.device_get(jax.jit(jax.vmap(play))(jax.random.split(KEY, 20)))
    before = np.full((20, 1), params.task.rewards[0, 0])
    changed = np.diff(marks, axis=1, prepend=before) != 0
    assert (ended == (np.arange(400) % 4 == 3)).all()
    assert not changed[~ended].any()
    assert changed[ended].mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.1875 / 2000))
    for row_changed, row_age in zip(changed[:, 3::4], age[:, 3::4], strict=True):
        expected = 0
        for has_changed, found in zip(row_changed, row_age, strict=True):
            assert found == expected
            expected = 0 if has_changed else expected + 1
    for hazard, share in ((0, 0), (1, 1)):
        sure = ChangePointMDP(num_states=2, horizon=1, hazard=hazard)
        _, state = sure.reset(KEY, sure.default_params)
        after = sure.step(KEY, state, jnp.int32(0), sure.default_params)[1]
        assert bool((after.task.kernel != state.task.kernel).any()) == bool(share)


def test_a_trial_begins_with_its_own_task_whatever_the_last_one_became():
    env, params = envs.make("meta/ChangePointMDP", num_episodes=2, horizon=2, hazard=1)
    _, state = env.reset(KEY, params)
    step = jax.jit(env.step)
    tasks = [state]
    for i in range(4):
        _, state, _, over, _, info = step(jax.random.fold_in(KEY, i), state, jnp.int32(0), params)
        tasks.append(state)
        assert (bool(over), int(info["inner_episode"])) == (i == 3, i // 2)
    own = [float(state.env_state.task.rewards[0, 0]) for state in tasks]
    given = [float(state.task.task.rewards[0, 0]) for state in tasks]
    assert own[0] == own[1] == given[0] == given[3]
    assert own[2] == own[3] != given[0]
    assert own[4] == given[4] not in (own[0], own[2])


@pytest.mark.parametrize("name", NAMES)
def test_contract_sizes_and_picture(name):
    sizes = {"num_states": 3, "num_actions": 2}
    env, params = envs.make(name, num_episodes=4, horizon=5, **sizes)
    envs.check_environment(env, params)
    assert (params.num_episodes, params.inner.horizon) == (4, 5)
    assert env.action_space(params).n == 2
    seen = env.observation_space(params).spaces["observation"].n
    assert seen == (5 if name == "meta/TabularPOMDP" else 3)
    lines = env.render(env.reset(KEY, params)[1], params).splitlines()
    assert lines[:2] == ["inner episode 0, step 0 of the trial", "state 0, step 0 of 5"]
    assert len(lines) == 4
    assert lines[3].startswith("action 1 pays ")


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        (NAMES[0], {"num_states": 0}, "'TabularMDP': num_states must be >= 1, not 0"),
        (NAMES[0], {"num_states": "x"}, "num_states must be a number, not 'x'"),
        (NAMES[0], {"alpha": 0.0}, "alpha must be >= 0.001, not 0.0"),
        (NAMES[0], {"similarity": 1.5}, "similarity must be 0 to 1, not 1.5"),
        (NAMES[0], {"noise": -1}, "noise must be >= 0, not -1"),
        (NAMES[0], {"rewards": "normla"}, "rewards must be normal or uniform, not 'normla'"),
        (NAMES[0], {"hazard": 0.1}, "has no parameter 'hazard'"),
        (NAMES[0], {"num_episodes": 0}, "num_episodes must be >= 1, not 0"),
        (NAMES[1], {"num_observations": 0}, "num_observations must be >= 1, not 0"),
        (NAMES[1], {"emission_alpha": 0}, "emission_alpha must be >= 0.001, not 0"),
        (NAMES[2], {"hazard": 2}, "hazard must be 0 to 1, not 2"),
    ],
)
def test_impossible_settings(name, settings, complaint):
    with pytest.raises(UsageError) as caught:
        envs.make(name, **settings)
    assert complaint in str(caught.value)
