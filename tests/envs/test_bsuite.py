"""bsuite's memory size, discounting chain and umbrella chain by hand; its sweeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recall_rollout import KEY, chi_square, make_rollout

import envs
from envs.bsuite import FACTORIES, SWEEPS, discounting_chain, umbrella_chain
from envs.bsuite.umbrella_chain import UmbrellaChain
from ssmrl.errors import UsageError


@pytest.mark.parametrize("name", FACTORIES)
def test_contract(name):
    env, params = envs.make(name)
    envs.check_environment(env, params)
    obs, _ = env.reset(KEY, params)
    assert bool(env.observation_space(params).contains(obs))
    assert env.name == name.split("/")[1]


def test_memory_size_by_hand():
    """bsuite's memory_size/4: five bits, two steps away from the question."""
    name, settings = SWEEPS["bsuite/memory_size/4"]
    _, _, rollout = make_rollout(name, 6, copies=500, **settings)
    seen = rollout(0).seen.reshape(-1, 3, 7)  # two episodes of three steps
    context, query = seen[:, 0, 2:], seen[:, 2, 1].astype(int)
    assert set(np.unique(context)) == {-1, 1}
    np.testing.assert_allclose(seen[0, :, 0], [1, 1, 0.5])
    np.testing.assert_array_equal(seen[:, 1, 2:], context)
    assert not seen[:, 2, 2:].any()
    assert not seen[:, :2, 1].any()
    assert chi_square(np.bincount(query, minlength=5)) < 24  # 4 degrees of freedom, p < 1e-4
    assert chi_square(np.bincount(((context > 0) @ (1 << np.arange(5))).astype(int))) < 72  # 31

    answers = np.zeros((1000, 3), int)
    answers[:, 2] = context[np.arange(1000), query] > 0
    steps = rollout(answers.reshape(500, 6))
    np.testing.assert_array_equal(steps.reward, np.tile([0, 0, 1], (500, 2)))
    np.testing.assert_array_equal(steps.terminated, np.tile([False, False, True], (500, 2)))
    assert not steps.truncated.any()
    guesses = rollout(np.ones(6)).reward.reshape(-1, 3).sum(axis=1)
    assert guesses.mean() == pytest.approx(0, abs=4 / np.sqrt(1000))


def test_memory_chain_render():
    env, params = envs.make("bsuite/MemoryChain", num_bits=3, memory_length=2)
    _, state = env.reset(KEY, params)
    state = state.replace(context=jnp.array([0, 1, 1]), query=jnp.int32(1))
    assert env.render(state) == "context 0 [1] 1   2 to go"
    assert env.render(state.replace(time=2), params) == "context 0 [1] 1   answer!"


@pytest.mark.parametrize(("mapping_seed", "bonus"), [(0, 0), (19, 4)])
def test_discounting_chain_by_hand(mapping_seed, bonus):
    """Each of five copies plays another chain, two episodes long."""
    env, params, rollout = make_rollout(
        "bsuite/DiscountingChain", 200, copies=5, mapping_seed=mapping_seed
    )
    chains = np.arange(5)
    actions = np.tile((chains[:, None] + 1) % 5, 200)
    actions[:, [0, 100]] = chains[:, None]  # only the first choice of an episode counts
    steps = rollout(actions)
    expected = np.zeros((5, 100))
    expected[chains, [0, 2, 9, 29, 99]] = 1 + 0.1 * (chains == bonus)
    np.testing.assert_allclose(steps.reward, np.tile(expected, 2), rtol=1e-6)
    assert (steps.terminated == (np.arange(200) % 100 == 99)).all()
    assert not steps.truncated.any()
    seen = [[-1, 0], [3, 0.01], [3, 0.99], [-1, 0]]
    np.testing.assert_allclose(steps.seen[3, [0, 1, 99, 100]], seen, atol=1e-6)
    np.testing.assert_array_equal(steps.after[3, 99], [3, 1])
    assert env.observation_space(params).contains(steps.after[4, 99])


def test_discounting_chain_with_other_steps():
    env, params = envs.make("bsuite/DiscountingChain", reward_steps=[2, 300])
    assert env.num_actions == 2
    state = discounting_chain.EnvState(chain=jnp.int32(1), time=jnp.int32(299))
    _, state, reward, terminated, _ = env.step_env(KEY, state, 0, params)
    assert (float(reward), bool(terminated)) == (1.0, True)
    assert env.render(state) == (
        "step 300 of 300\n  chain 0: 1.1 at step 2\n> chain 1: 1.0 at step 300"
    )


def test_discounting_chain_with_more_chains_than_fit_in_a_byte():
    env, params = envs.make("bsuite/DiscountingChain", reward_steps=range(1, 201))
    _, state = env.reset(KEY, params)
    obs, state, *_ = env.step_env(KEY, state, 150, params)
    assert obs[0] == 150
    assert int(state.chain) == 150


@pytest.mark.parametrize(("length", "distractors"), [(1, 20), (150, 0)])
def test_umbrella_by_hand(length, distractors):
    settings = {"chain_length": length, "n_distractor": distractors}
    _, _, rollout = make_rollout("bsuite/UmbrellaChain", 2 * length, copies=400, **settings)
    taken = rollout(np.ones(2 * length))
    need = taken.seen.reshape(400, 2, length, -1)[:, :, 0, 0].astype(int)
    outcome = taken.reward.reshape(400, 2, length)[..., -1]
    np.testing.assert_array_equal(outcome, 2 * need - 1)
    assert need.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(need.size))
    assert (taken.terminated == (np.arange(2 * length) % length == length - 1)).all()
    assert not taken.truncated.any()  # not even beyond 100 steps

    # The perfect player: only the first action counts.
    actions = np.repeat(1 - need[..., None], length, axis=2)
    actions[..., 0] = need
    best = rollout(actions.reshape(400, -1))
    reward = best.reward.reshape(400, 2, length)
    assert (reward[..., -1] == 1).all()
    noise = reward[..., :-1]
    assert (abs(noise) == 1).all()
    assert abs(noise.sum()) <= 4 * np.sqrt(noise.size)
    obs = best.after.reshape(400, 2, length, -1)
    assert (obs[..., 0] == need[..., None]).all()
    assert (obs[..., 1] == need[..., None]).all()
    np.testing.assert_allclose(obs[0, 0, :, 2], 1 - np.arange(1, length + 1) / length, atol=1e-6)


def test_distractors_are_fair_and_tell_nothing():
    settings = {"chain_length": 10, "n_distractor": 40}  # more than one random word
    _, _, rollout = make_rollout("bsuite/UmbrellaChain", 20, copies=400, **settings)
    steps = rollout(0)
    noise = (np.arange(20) % 10) < 9  # the last reward of an episode is none
    before, after, reward = (x[:, noise] for x in (steps.seen, steps.after, steps.reward))
    step = np.concatenate([before[..., 3:], after[..., 3:], reward[..., None]], axis=-1)
    first = steps.seen[:, [0, 10]][..., [0, 1, *range(3, 43)]]  # the need and the chance umbrella
    for features in (step.reshape(-1, 81), first.reshape(-1, 42)):
        assert len(np.unique(features[:, 2:42])) == 2
        error = 5 / np.sqrt(len(features))
        np.testing.assert_allclose(features[:, 2:42].mean(axis=0), 0.5, atol=error / 2)
        correlations = np.corrcoef(features.T)[~np.eye(features.shape[1], dtype=bool)]
        assert abs(correlations).max() < error


def test_umbrella_render():
    env = UmbrellaChain(chain_length=9)
    state = umbrella_chain.EnvState(jnp.int8(1), jnp.int8(0), jnp.int32(0))
    assert env.render(state) == "rain, no umbrella (not yet chosen), 9 to go"
    state = umbrella_chain.EnvState(jnp.int8(0), jnp.int8(1), jnp.int32(4))
    assert env.render(state, env.default_params) == "sun, umbrella, 5 to go"


def test_umbrella_length_can_vary_within_one_compilation():
    env, params = envs.make("bsuite/UmbrellaChain")

    def num_steps(length):
        longer = params.replace(chain_length=length)
        _, state = env.reset(KEY, longer)
        keys = jax.random.split(KEY, 9)
        _, terminated = jax.lax.scan(
            lambda state, key: env.step(key, state, 0, longer)[1:4:2], state, keys
        )
        return jnp.argmax(terminated) + 1

    assert jax.jit(jax.vmap(num_steps))(jnp.array([2, 9])).tolist() == [2, 9]


def test_sweeps_are_those_of_bsuite():
    experiments = [key.split("/")[1] for key in SWEEPS]
    counts = {experiment: experiments.count(experiment) for experiment in experiments}
    assert counts == {
        "memory_len": 23,
        "memory_size": 17,
        "discounting_chain": 20,
        "umbrella_length": 23,
        "umbrella_distract": 23,
    }
    settings = {key: settings for key, (_, settings) in SWEEPS.items()}
    assert settings["bsuite/memory_len/0"] == {"memory_length": 1, "num_bits": 1}
    assert settings["bsuite/memory_len/12"]["memory_length"] == 17
    assert settings["bsuite/memory_len/22"]["memory_length"] == 100
    assert settings["bsuite/memory_size/16"] == {"memory_length": 2, "num_bits": 40}
    assert settings["bsuite/discounting_chain/19"] == {"mapping_seed": 19}
    assert settings["bsuite/umbrella_length/22"] == {"chain_length": 100, "n_distractor": 20}
    assert settings["bsuite/umbrella_distract/15"] == {"chain_length": 20, "n_distractor": 30}


@pytest.mark.parametrize("experiment", ["memory_len/22", "memory_size/16", "umbrella_distract/22"])
def test_sweeps_reach_their_environment(experiment):
    name, settings = SWEEPS[f"bsuite/{experiment}"]
    env, params = envs.make(name, **settings)
    found = {**vars(env), **vars(params)}
    assert {key: found[key] for key in settings} == settings
    assert params.max_steps_in_episode in (101, 3, 20)


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("MemoryChain", {"num_bits": 0}, "num_bits must be >= 1, not 0"),
        ("MemoryChain", {"memory_length": 0}, "memory_length must be >= 1, not 0"),
        ("UmbrellaChain", {"chain_length": 0}, "chain_length must be >= 1, not 0"),
        ("UmbrellaChain", {"n_distractor": -1}, "n_distractor must be >= 0, not -1"),
        ("DiscountingChain", {"reward_steps": [3, 0]}, "reward_steps must be a list of whole"),
        ("DiscountingChain", {"reward_steps": [2.5]}, "reward_steps must be a list of whole"),
        ("DiscountingChain", {"reward_steps": "12"}, "reward_steps must be a list of whole"),
    ],
)
def test_impossible_settings(name, settings, complaint):
    with pytest.raises(UsageError, match=f"environment '{name}': {complaint}"):
        envs.make(f"bsuite/{name}", **settings)
