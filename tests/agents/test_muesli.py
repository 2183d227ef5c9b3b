"""The Muesli agent: what the prior tells of a roll-out, its losses, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from agents.cli import main
from agents.experiment import load_experiment
from agents.muesli import Config, Muesli
from agents.parts import play_episodes
from agents.player import load
from agents.run import load_run
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.rl import two_hot
from ssmrl.train.chunk import Chunk, init_seeds
from ssmrl.train.config import parse_overrides

FEW_BINS = "--muesli.num-bins=9", "--muesli.largest-bin=4"


def shaken(agent, state, scale: float = 0.2):
    """Return a state whose networks differ, and foretell more than nothing."""
    flat, unravel = ravel_pytree(state.params)
    noise = lambda seed: scale * jax.random.normal(jax.random.key(seed), flat.shape)  # noqa: E731
    return state.replace(params=unravel(flat + noise(1)), online=unravel(flat + noise(2)))


@pytest.fixture(scope="module", params=["probes:TimeLimit", "probes:Cue", "probes:Continuous"])
def collected(request, make_agent):
    """Return an agent, its state and a batch; episodes of 4 and of 8 steps in a roll-out of 13."""
    length = [] if request.param == "probes:Cue" else ["--env.params.length=4"]
    agent = make_agent(*FEW_BINS, *length, agent="muesli", memory="gru", env=request.param)
    state = shaken(agent, jax.jit(agent.init)(jax.random.key(0)))
    return agent, *jax.jit(agent.collect)(state)


def test_what_the_prior_tells_by_hand(collected):
    agent, state, batch = collected
    t, gamma, lambda_ = batch.trajectory, 0.995, 0.95
    latent = agent.policy.apply(state, "remember", t.memory_state, t.obs, t.start)
    prior, _ = agent.network.apply(state.params, latent, method="predict")
    np.testing.assert_allclose(prior.log_prob(t.action), t.log_prob, atol=1e-4)

    def q_of(actions):
        reward, value = agent.network.apply(state.params, latent, actions, method="look_ahead")
        return np.asarray(reward + gamma * value)

    if batch.actions is None:
        every = [q_of(jax.nn.one_hot(jnp.full(t.action.shape, a), 2)) for a in range(2)]
        q_all, weight = np.stack(every, -1), np.exp(prior.logits)
        q = np.take_along_axis(q_all, np.asarray(t.action)[..., None], -1)[..., 0]
    else:
        assert batch.actions.shape == (13, 8, 16, 2)
        assert (abs(batch.actions) > 1).any()  # which the model sees as the environment does
        vectors = np.clip(batch.actions, -1, 1)
        q_all = np.stack([q_of(vectors[:, :, i]) for i in range(16)], -1)
        weight, q = np.full((1, 1, 16), 1 / 16), q_of(np.clip(t.action, -1, 1))
    v = (weight * q_all).sum(-1)
    assert abs(q - v).max() > 1e-3
    np.testing.assert_allclose(batch.model_advantage, q_all - v[..., None], atol=1e-4)

    target, after, following = np.zeros((13, 8)), np.zeros((13, 8)), None
    for step in reversed(range(13)):  # equation of Retrace, from the end
        ends = np.asarray(t.ended[step]) | (step == 12)
        later = 0.0 if step == 12 else v[step + 1] + lambda_ * (following - q[step + 1])
        future = np.where(ends, t.next_value[step], later)
        future = np.where(t.terminated[step], 0, future)
        known = 0.0 if step == 12 else following
        after[step] = np.where(ends, t.next_value[step], known)
        after[step] = np.where(t.terminated[step], 0, after[step])
        target[step] = following = t.reward[step] + gamma * future
    np.testing.assert_allclose(batch.target, target, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(batch.target_after, after, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(batch.advantage, target - v, rtol=1e-3, atol=1e-3)
    assert t.ended.any()


def test_loss_by_hand(collected):
    agent, state, batch = collected
    hyper = {"cmpo": 0.7, "auxiliary": 1.3, "value": 0.4, "reward": 0.6}
    hyper = {f"{name}_coefficient": jnp.float32(x) for name, x in hyper.items()}
    state = state.replace(hyper=state.hyper.replace(cmpo_clip=jnp.float32(0.5), **hyper))
    state = state.replace(scale=state.scale.update(batch.advantage, 0.5).update(jnp.zeros(1), 0.5))
    sigma = np.sqrt(np.mean(np.square(batch.advantage)) / 3)  # 1/4 of 3/4 of the weight
    t, online = batch.trajectory, state.online
    now = state.replace(params=online)
    latent = agent.policy.apply(now, "remember", t.memory_state, t.obs, t.start)
    policy, value = agent.network.apply(online, latent, method="predict")
    drawn = batch.actions is not None
    vectors = np.clip(t.action, -1, 1) if drawn else jax.nn.one_hot(t.action, 2)
    reward, after = agent.network.apply(online, latent, vectors, method="imagine")
    policy_after, value_after = agent.network.apply(online, after, method="predict")

    ratio = np.exp(policy.log_prob(t.action) - t.log_prob)
    assert (ratio > 1).any()
    assert (ratio < 1).any()
    gradient = -np.minimum(ratio, 1) * (batch.advantage / sigma) * policy.log_prob(t.action)
    exponent = np.clip(batch.model_advantage / sigma, -0.5, 0.5)
    if batch.actions is None:
        weights = np.exp(batch.prior_log_prob + exponent)
        weights /= weights.sum(-1, keepdims=True)
        told, told_after = (np.asarray(p.logits) for p in (policy, policy_after))
    else:
        e = np.exp(exponent)
        weights = e / (1 + e.sum(-1, keepdims=True) - e)
        told = np.stack([policy.log_prob(batch.actions[:, :, i]) for i in range(16)], -1)
        following = np.roll(batch.actions, -1, axis=0)
        told_after = [policy_after.log_prob(jnp.asarray(following[:, :, i])) for i in range(16)]
        told_after = np.stack(told_after, -1)
    cmpo = -(weights * told).sum(-1)
    auxiliary = -(np.roll(weights, -1, 0) * told_after).sum(-1) * ~np.asarray(t.ended)
    auxiliary[-1] = 0

    def distance(logits, x):
        bins = np.linspace(-4, 4, 9)
        target = two_hot.two_hot(two_hot.signed_root(jnp.asarray(x)), jnp.asarray(bins))
        return -(np.asarray(target) * jax.nn.log_softmax(logits)).sum(-1)

    values = distance(value, batch.target) + distance(value_after, batch.target_after)
    terms = gradient, 0.7 * cmpo, 1.3 * auxiliary, 0.4 * values, 0.6 * distance(reward, t.reward)
    loss, metrics = jax.jit(agent.loss)(online, state, batch)
    assert float(loss) == pytest.approx(float(sum(x.mean() for x in terms)), rel=1e-3)
    known = ~np.asarray(t.ended[:-1])
    told = metrics["model_policy_loss"]
    assert float(told.total) == pytest.approx(float(auxiliary.sum()), rel=1e-3)
    assert float(told.count) == known.sum()


def test_gradients_reach_what_learns_and_the_memory_through_the_model(make_agent):
    """The model's losses alone move encoder and memory; the prior has no gradient to follow."""
    agent = make_agent(*FEW_BINS, agent="muesli", memory="gru")
    state = shaken(agent, jax.jit(agent.init)(jax.random.key(0)))
    weights = {f"{n}_coefficient": jnp.float32(0) for n in ("cmpo", "auxiliary", "value")}
    state = state.replace(hyper=state.hyper.replace(**weights))
    state, batch = jax.jit(agent.collect)(state)
    state = state.replace(scale=state.scale.update(batch.advantage))
    batch = batch.replace(advantage=jnp.zeros_like(batch.advantage))
    grads = jax.jit(jax.grad(agent.loss, has_aux=True))(state.online, state, batch)[0]["params"]
    moved = {name: float(abs(ravel_pytree(part)[0]).max()) for name, part in grads.items()}
    for name in ("encoder", "memory", "model_body", "reward_out"):
        assert moved[name] > 1e-6
    for name in ("actor_body", "critic_body", "critic_out", "model_out"):
        assert moved[name] == 0


def test_the_prior_follows(make_agent):
    """A tenth of the way to where the one gradient step went."""
    options = "--muesli.num-epochs=1", "--muesli.num-minibatches=1", *FEW_BINS
    agent = make_agent(*options, agent="muesli", memory="mlp")
    state = shaken(agent, jax.jit(agent.init)(jax.random.key(0)))
    state, batch = jax.jit(agent.collect)(state)
    after, metrics = jax.jit(agent.learn)(state, batch)
    flat = lambda s: [np.asarray(ravel_pytree(p)[0]) for p in (s.params, s.online)]  # noqa: E731
    (prior, online), (new_prior, new_online) = flat(state), flat(after)
    assert abs(new_online - online).max() == pytest.approx(3e-4, rel=0.05)
    np.testing.assert_allclose(new_prior, prior + 0.1 * (new_online - prior), atol=1e-6)
    square = float(after.scale.square / (1 - after.scale.missing))
    assert square == pytest.approx(float(jnp.square(batch.advantage).mean()), rel=1e-4)
    assert {"loss", "grad_norm", "explained_variance", "episode_return"} <= set(metrics)


@pytest.mark.parametrize("name", memory.names())
def test_every_memory(make_agent, name):
    agent = make_agent(agent="muesli", memory=name)
    state = jax.eval_shape(agent.init, jax.random.key(0))
    after, _ = jax.eval_shape(agent.update, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_seed_inside_a_vmap_equals_the_seed_alone(make_agent):
    agent = make_agent(*FEW_BINS, agent="muesli", memory="mlp", env="probes:Action")
    together, _, _ = Chunk(agent, 2)(init_seeds(agent, 0, 2), 2)
    alone, _, _ = Chunk(agent, 1)(init_seeds(agent, 1, 1), 2)
    for a, b in zip(*map(jax.tree.leaves, (together.online, alone.online)), strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-4)


def test_hyperparameters_can_be_vmapped(make_agent):
    agent = make_agent(*FEW_BINS, agent="muesli", memory="mlp")
    hyper = jax.tree.map(lambda x: jnp.stack([x, x]), agent.hyperparameters(agent.config))
    hyper = hyper.replace(target_rate=jnp.array([0.0, 1.0]))
    state = jax.vmap(agent.init, in_axes=(None, 0))(jax.random.key(0), hyper)
    new, _ = jax.jit(jax.vmap(agent.update))(state)
    prior, before = jax.tree.leaves(new.params), jax.tree.leaves(state.params)
    for a, b, c in zip(prior, before, jax.tree.leaves(new.online), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], c[1])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_bins": 8}, "muesli.num_bins must be odd and at least 3, but is 8; 9 is"),
        ({"num_bins": 1}, "muesli.num_bins must be odd and at least 3, but is 1; 3 is"),
        ({"target_rate": 1.5}, "muesli.target_rate must lie in 0..1, not 1.5"),
        ({"cmpo_clip": 0.0}, "muesli.cmpo_clip must be above 0, not 0.0"),
        ({"value_coefficient": -1.0}, "muesli.value_coefficient must not be below 0, but is -1.0"),
        (
            {"num_minibatches": 3},
            "muesli.num_minibatches=3 does not divide muesli.num_envs=64; nearest that do: 2 and 4",
        ),
    ],
)
def test_settings_that_do_not_fit(options, sentence):
    with pytest.raises(UsageError) as error:
        Config(**options)
    assert str(error.value) == sentence


FAST = [
    "--muesli.num-envs=16", "--muesli.num-steps=16", "--muesli.num-epochs=4",
    "--muesli.learning-rate=5e-3", "--memory.features=16", "--muesli.encoder-sizes=16",
    "--muesli.head-sizes=16", "--muesli.num-bins=21", "--muesli.largest-bin=5",
]  # fmt: skip


def learn(agent, updates: int):
    """Return the state after some updates of seed 0."""
    state, _, broken = Chunk(agent, 1)(init_seeds(agent, 0, 1), updates)
    assert broken == 0
    return state


def greedy_return(agent, state) -> float:
    """Return the mean over 64 greedy episodes."""
    ((_, episodes), _) = play_episodes(agent, state, [0], 64, seed=0, max_steps=100)
    assert episodes.finished.all()
    return float(episodes.returns.mean())


def test_values_of_a_chain_that_is_cut_off(make_agent):
    """Pays 1 a step for ever, cut off after two: worth 5, by the head and by the model."""
    options = "--muesli.gamma=0.8", "--env.params.length=2"
    agent = make_agent(*FAST, *options, agent="muesli", memory="mlp", env="probes:TimeLimit")
    _, batch = jax.jit(agent.collect)(learn(agent, 80))
    np.testing.assert_allclose(batch.trajectory.value, 5, atol=0.5)
    np.testing.assert_allclose(batch.target, 5, atol=0.5)
    np.testing.assert_allclose(batch.target - batch.advantage, 5, atol=0.5)  # the model's
    np.testing.assert_allclose(batch.model_advantage, 0, atol=0.2)


def test_values_of_a_chain_that_terminates(make_agent):
    """Pays 1 a step: worth 1 and .8 less towards the end, which the model must foretell."""
    options = "--muesli.gamma=0.8", "--env.params.length=3"
    agent = make_agent(*FAST, *options, agent="muesli", memory="gru", env="probes:Value")
    _, batch = jax.jit(agent.collect)(learn(agent, 80))
    steps = np.asarray(batch.trajectory.episode_length)
    worth = np.array([0, 2.44, 1.8, 1])[steps]
    np.testing.assert_allclose(batch.trajectory.value, worth, atol=0.2)
    np.testing.assert_allclose(batch.target - batch.advantage, worth, atol=0.2)


@pytest.mark.parametrize(
    ("env", "kind", "updates", "least"),
    [
        ("probes:Continuous", "mlp", 100, -0.05),
        ("probes:Factored", "mlp", 60, 1.9),
        ("probes:Cue", "gru", 220, 1),  # three seeds needed 40 to 160
    ],
)
def test_learns(make_agent, env, kind, updates, least):
    agent = make_agent(*FAST, agent="muesli", memory=kind, env=env)
    assert greedy_return(agent, learn(agent, updates)) >= least


QUICK = [
    "--agent=muesli", "--muesli.num-epochs=4", "--muesli.num-bins=41", "--muesli.largest-bin=20",
    "--muesli.encoder-sizes=64", "--muesli.head-sizes=64", "--num-seeds=3",
    "--muesli.anneal-learning-rate",
]  # fmt: skip
REPEAT = [
    "--muesli.learning-rate=2e-3", "--muesli.num-steps=104", "--muesli.gamma=0.9",
    "--muesli.retrace-lambda=0.9", "--total-steps=250_000",
]  # fmt: skip
PENDULUM = [
    "--env.name=Pendulum-v1", "--memory.name=mlp", "--muesli.learning-rate=1e-3",
    "--muesli.num-envs=32", "--muesli.num-steps=100", "--muesli.gamma=0.95",
    "--muesli.auxiliary-coefficient=1", "--total-steps=250_000",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "words", "least"),
    [
        ("muesli", ["--num-seeds=3"], 350),  # at random 22, measured 424 to 500
        ("quickstart", [*QUICK, *REPEAT], 0.8),  # at random -0.5, measured 0.99
        ("quickstart", [*QUICK, *PENDULUM], -400),  # at random -1200, measured -200
    ],
)
def test_learns_in_earnest(config, words, least):
    """A pole, a card of three steps ago and a torque: the mean of three seeds."""
    experiment = load_experiment(config, parse_overrides(words))
    agent = Muesli(experiment)
    state, _, broken = Chunk(agent, 3)(init_seeds(agent, 0, 3), agent.num_updates)
    assert not broken.any()
    for _, episodes in play_episodes(agent, state, range(3), 64, seed=0, max_steps=1_000):
        assert episodes.finished.all()
        assert episodes.returns.mean() > least


def test_a_run_resumes_evaluates_and_plays(tmp_path, capsys):
    path = tmp_path / "run"
    words = [
        "--muesli.num-envs=4", "--muesli.num-steps=60", "--muesli.encoder-sizes=8",
        "--muesli.num-minibatches=2", "--env.name=probes:Cue",
        "--muesli.head-sizes=8", "--memory.features=8", "--memory.name=mlp", "--eval-episodes=4",
        "--total-steps=480", f"--run-dir={path}", "--agent=muesli", *FEW_BINS,
    ]  # fmt: skip
    assert main(["train", *words]) == 0
    assert main(["train", "--resume", str(path), "--total-steps=960"]) == 0
    assert "greedy" in capsys.readouterr().out
    _, _, agent, state = load_run(str(path))
    undisturbed, _, _ = Chunk(agent, 1)(init_seeds(agent, 0, 1), 4)
    for a, b in zip(*map(jax.tree.leaves, (undisturbed.params, state.params)), strict=True):
        np.testing.assert_array_equal(a, b)
    player = load(path)
    obs = player.observation_space.sample(jax.random.key(0))
    _, action = player.act(player.initial_state(), obs, True)
    assert action in range(2)
