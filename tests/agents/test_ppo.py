"""The PPO agent: what it replays, what it bootstraps from, and what its options do."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from agents.ppo import Config
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.train.chunk import Chunk, init_seeds


def after_updates(agent, count: int, seed: int = 0):
    """Return the agent's state after some updates."""
    update = jax.jit(agent.update)
    state = jax.jit(agent.init)(jax.random.key(seed))
    for _ in range(count):
        state, _ = update(state)
    return state


@pytest.mark.parametrize("name", memory.names())
def test_replay_equals_rollout(make_agent, name):
    """Episodes of 8 steps in roll-outs of 13: the second begins in the middle of episodes."""
    agent = make_agent(memory=name)
    state = after_updates(agent, 1)
    # Different lengths so far put the environments out of phase.
    time = jnp.arange(8) % 5
    env_state = state.actor.env_state
    inner = env_state.env_state.replace(time=time)
    state = state.replace(actor=state.actor.replace(env_state=env_state.replace(env_state=inner)))
    _, trajectory = jax.jit(agent.rollout)(state, jax.random.key(1))
    assert trajectory.start.any(0).all()
    assert not (trajectory.start == trajectory.start[:, :1]).all()

    @jax.jit
    def replay(trajectory):
        _, policy, value = agent.policy.apply(
            state, "scan", trajectory.memory_state, trajectory.obs, trajectory.start
        )
        return policy.log_prob(trajectory.action), value

    for half in (jnp.arange(4), jnp.arange(4, 8)):
        batch = trajectory.select(half)
        log_prob, value = replay(batch)
        np.testing.assert_allclose(jnp.exp(log_prob - batch.log_prob), 1, atol=1e-4)
        np.testing.assert_allclose(value, batch.value, atol=1e-4)


@pytest.mark.parametrize("env", ["probes:TimeLimit", "probes:Cue"])
def test_next_value_is_that_of_the_same_episode(make_agent, env):
    """Where an episode was cut off, the value of its last observation; else that of the next."""
    agent = make_agent("--env.params.length=4", env=env)
    state = after_updates(agent, 2)
    _, trajectory = jax.jit(agent.rollout)(state, jax.random.key(1))
    goes_on = ~trajectory.ended[:-1]
    np.testing.assert_allclose(
        trajectory.next_value[:-1][goes_on], trajectory.value[1:][goes_on], atol=1e-5
    )
    if env == "probes:Cue":
        assert not trajectory.truncated.any()
        return
    assert trajectory.truncated.any()
    memory_state = trajectory.memory_state
    last_action = jax.nn.one_hot(trajectory.action, 2)

    @jax.jit
    def final_value(memory_state, obs, start, final):
        memory_state, _, _ = agent.policy.apply(state, "step", memory_state, obs, start)
        go_on = jnp.zeros_like(start)
        return memory_state, agent.policy.apply(state, "value", memory_state, final, go_on)

    for t in range(len(trajectory.obs)):
        # What was seen last: nothing of its own, the action just taken, no start.
        final = jnp.concatenate([jnp.zeros((8, 1)), last_action[t], jnp.zeros((8, 1))], axis=1)
        memory_state, value = final_value(
            memory_state, trajectory.obs[t], trajectory.start[t], final
        )
        cut = trajectory.truncated[t]
        np.testing.assert_allclose(trajectory.next_value[t][cut], value[cut], atol=1e-5)


def test_loss_by_hand(make_agent):
    """Schulman et al. 2017, equation 9, with the value clipped as its implementation does."""
    agent = make_agent(
        *("--ppo.entropy-coefficient=0.3", "--ppo.value-coefficient=0.7"),
        *("--ppo.clip-epsilon=0.05", "--ppo.value-clip-epsilon=0.02"),
    )
    state = after_updates(agent, 1)
    _, batch = agent.estimate_advantages(*jax.jit(agent.rollout)(state, jax.random.key(1)))
    flat, unravel = ravel_pytree(state.params)
    t, params = (
        batch.trajectory,
        unravel(flat + 0.2 * jax.random.normal(jax.random.key(2), flat.shape)),
    )
    moved = state.replace(params=params)
    _, policy, value = agent.policy.apply(moved, "scan", t.memory_state, t.obs, t.start)
    ratio = np.exp(policy.log_prob(t.action) - t.log_prob)
    advantage = (batch.advantage - np.mean(batch.advantage)) / np.std(batch.advantage)
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.95, 1.05) * advantage)
    held = t.value + np.clip(value - t.value, -0.02, 0.02)
    square = np.maximum((value - batch.target) ** 2, (held - batch.target) ** 2)
    assert (abs(ratio - 1) > 0.05).any()
    assert (abs(value - t.value) > 0.02).any()
    expected = -surrogate.mean() + 0.7 * 0.5 * square.mean() - 0.3 * np.mean(policy.entropy())
    loss, _ = jax.jit(agent.loss)(params, state, batch)
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_gradient_step_by_hand(make_agent):
    """Clipped to a norm so small that epsilon, 1e-5 as published, rules Adam's first step."""
    agent = make_agent(
        *("--ppo.num-epochs=1", "--ppo.num-minibatches=1", "--ppo.max-grad-norm=1e-4"),
        *("--ppo.learning-rate=0.1", "--ppo.no-anneal-learning-rate"),
        memory="mlp",
    )
    state = agent.init(jax.random.key(0))
    _, batch = agent.estimate_advantages(*jax.jit(agent.rollout)(state, jax.random.key(1)))
    after, metrics = jax.jit(agent.learn)(state, batch)
    grads = jax.grad(agent.loss, has_aux=True)(state.params, state, batch)[0]
    flat = ravel_pytree(grads)[0]
    norm = np.linalg.norm(flat)
    assert metrics["grad_norm"].total == pytest.approx(norm, rel=1e-3)
    clipped = np.asarray(flat) * 1e-4 / norm
    expected = 0.1 * clipped / (abs(clipped) + 1e-5)
    moved = ravel_pytree(state.params)[0] - ravel_pytree(after.params)[0]
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    assert abs(expected).max() > 0.01


def test_update_is_its_parts_in_order(make_agent):
    """The replay sees the statistics that acting saw; metrics tell of ended episodes only."""
    options = "--ppo.normalise-observations", "--ppo.normalise-rewards", "--env.params.length=5"
    agent = make_agent(*options, memory="mlp")
    state = after_updates(agent, 1)
    after, metrics = jax.jit(agent.update)(state)

    @jax.jit
    def parts(state):
        key, key_rollout = jax.random.split(state.key)
        acted, trajectory = agent.rollout(state.replace(key=key), key_rollout)
        scaled, batch = agent.estimate_advantages(acted, trajectory)
        learnt, _ = agent.learn(scaled, batch)
        other, _ = agent.learn(scaled.replace(key=key_rollout), batch)
        return learnt, other, trajectory, state.obs_moments.update(trajectory.obs)

    learnt, other, trajectory, moments = parts(state)
    assert_near = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(assert_near, after.params, learnt.params)
    jax.tree.map(assert_near, after.reward_scale, learnt.reward_scale)
    jax.tree.map(assert_near, after.obs_moments, moments)
    of_params = [jax.tree.leaves(s.params)[0] for s in (learnt, other)]
    assert (of_params[0] != of_params[1]).any()  # minibatches are drawn with the key
    assert float(after.reward_scale.moments.count) > float(state.reward_scale.moments.count)
    ended = trajectory.ended
    assert 0 < ended.sum() < ended.size
    for name in ("episode_return", "episode_length"):
        found = metrics[name].total / metrics[name].count
        assert found == pytest.approx(float(getattr(trajectory, name)[ended].mean()), rel=1e-5)


def test_seed_inside_a_vmap_equals_the_seed_alone(make_agent):
    agent = make_agent()
    together = init_seeds(agent, seed=5, num_seeds=4)
    chunk = Chunk(agent, 4)
    together, metrics, _ = chunk(together, 3)
    alone = init_seeds(agent, seed=7, num_seeds=1)
    alone, alone_metrics, _ = Chunk(agent, 1)(alone, 3)
    for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a[2], b, atol=1e-4)
    np.testing.assert_allclose(metrics["loss"].total[2], alone_metrics["loss"].total, atol=1e-4)


def test_no_transfers_one_trace_and_one_compilation(make_agent, monkeypatch):
    """Between updates nothing is moved but the sums, which are fetched explicitly."""
    agent, traces = make_agent(), []
    collect, learn = agent.collect, agent.learn
    for name, part in (("collect", collect), ("learn", learn)):
        counted = lambda *args, part=part: (traces.append(part), part(*args))[1]  # noqa: E731
        monkeypatch.setattr(agent, name, counted)
    chunk = Chunk(agent, 1)
    state = init_seeds(agent, seed=0, num_seeds=1)
    with jax.transfer_guard("disallow"):
        for count in (1, 2, 1):
            state, _, _ = chunk(state, count)
    assert int(state.update) == 4
    assert traces == [collect, learn]
    assert chunk._act._cache_size() == chunk._learn._cache_size() == 1
    assert min(chunk.seconds.values()) > 0


def test_as_on_a_gpu_one_program_does_the_same(make_agent, monkeypatch):
    """And what acting takes is measured by another, which changes nothing."""
    agent = make_agent(memory="mlp")
    in_two, _, _ = Chunk(agent, 1)(init_seeds(agent, 0, 1), 3)
    monkeypatch.setattr("ssmrl.train.chunk.on_gpu", lambda: True)
    chunk = Chunk(agent, 1)
    state = init_seeds(agent, 0, 1)
    chunk.compile(state)
    in_one, _, broken = chunk(state, 3)
    assert not broken
    assert 0 < chunk.seconds["acting"] <= 3 * chunk._acting
    assert chunk.seconds["learning"] >= 0
    for a, b in zip(jax.tree.leaves(in_two.params), jax.tree.leaves(in_one.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_an_agent_may_do_its_updates_in_one(make_agent):
    agent = make_agent(memory="mlp")
    whole = SimpleNamespace(init=agent.init, update=agent.update, learnt=agent.learnt)
    results = [Chunk(a, 1)(init_seeds(a, 0, 1), 2) for a in (agent, whole)]
    for a, b in zip(*map(jax.tree.leaves, (r[0].params for r in results)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert not Chunk(whole, 1).tells_acting


def test_target_kl_skips_the_rest_of_the_epochs(make_agent):
    settings = ("--ppo.num-epochs=4", "--ppo.learning-rate=0.1")
    steps = {}
    for target in ("1e-9", "1e9"):
        agent = make_agent(*settings, f"--ppo.target-kl={target}", memory="mlp")
        _, metrics = jax.jit(agent.update)(agent.init(jax.random.key(0)))
        steps[target] = float(metrics["loss"].count)
    # The first minibatch replays the roll-out exactly; rounding alone may exceed 1e-9.
    assert 1 <= steps["1e-9"] <= 2
    assert steps["1e9"] == 8


def test_learning_rates(make_agent):
    agent = make_agent("--ppo.ssm-learning-rate=1e-5", "--ppo.anneal-learning-rate")
    state = jax.eval_shape(agent.init, jax.random.key(0))
    half = jnp.int32(agent.num_updates // 2)
    state = state.replace(hyper=agent.hyperparameters(agent.config), update=half)
    leaves = jax.tree_util.tree_leaves_with_path(state.params)
    ends = np.cumsum([leaf.size for _, leaf in leaves])
    parts = np.split(np.asarray(agent.step_sizes(state)), ends[:-1])
    by_name = {path[-1].key: part for (path, _), part in zip(leaves, parts, strict=True)}
    left = 1 - int(half) / agent.num_updates
    assert by_name["lambda_re"] == pytest.approx(1e-5 * left)
    assert by_name["log_step"] == pytest.approx(1e-5 * left)
    assert by_name["kernel"] == pytest.approx(3e-4 * left)


def test_hyperparameters_can_be_vmapped(make_agent):
    agent = make_agent(memory="mlp")
    hyper = jax.tree.map(lambda x: jnp.stack([x, x]), agent.hyperparameters(agent.config))
    hyper = hyper.replace(learning_rate=jnp.array([0.0, 1e-2]))
    hyper = hyper.replace(ssm_learning_rate=jnp.array([0.0, 1e-2]))
    state = jax.vmap(agent.init, in_axes=(None, 0))(jax.random.key(0), hyper)
    new, _ = jax.jit(jax.vmap(agent.update))(state)
    old_leaf, new_leaf = (jax.tree.leaves(s.params)[0] for s in (state, new))
    np.testing.assert_array_equal(new_leaf[0], old_leaf[0])
    assert (new_leaf[1] != old_leaf[1]).any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"num_envs": 64, "num_minibatches": 6},
            "ppo.num_minibatches=6 does not divide ppo.num_envs=64; nearest that do: 4 and 8",
        ),
        ({"num_envs": 0}, "ppo.num_envs must be above 0, not 0"),
        (
            {"num_envs": 8, "num_minibatches": 8, "num_steps": 1},
            "ppo.num_minibatches=8 leaves one step in each, from which no advantage can be told; "
            "raise ppo.num_steps or ppo.num_envs",
        ),
        ({"gamma": 1.5}, "ppo.gamma must lie in 0..1, not 1.5"),
    ],
)
def test_sizes_that_do_not_fit(options, sentence):
    with pytest.raises(UsageError) as error:
        Config(**options)
    assert str(error.value) == sentence


def test_bfloat16_layers_learn_with_float32_parameters(make_agent):
    agent = make_agent("--ppo.compute-dtype=bfloat16", memory="s5")
    state = agent.init(jax.random.key(0))
    after, metrics = jax.jit(agent.update)(state)
    floats = [v for v in jax.tree.leaves((after.params, after.opt_state)) if v.ndim]
    assert {v.dtype.name for v in floats} == {"float32"}
    assert jnp.isfinite(metrics["loss"].total)
    assert (jax.tree.leaves(after.params)[0] != jax.tree.leaves(state.params)[0]).any()
