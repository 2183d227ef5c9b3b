"""The world-model agent: what an update does, whatever is seen, done and remembered."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_agents import TINY_R2I, quick_jit
from tiny_models import Likeliest

from agents.experiment import load_experiment
from agents.parts import play_episodes
from agents.r2i import R2I
from ssmrl.errors import UsageError
from ssmrl.train.chunk import Chunk, init_seeds
from ssmrl.train.config import parse_overrides
from ssmrl.world_model.behaviour import critic_of
from ssmrl.world_model.parts import Image, Integers, OneHots

TINY = [
    "--agent=r2i", "--memory.features=4", "--total-steps=1_000", *TINY_R2I, "--r2i.train-ratio=2",
    "--r2i.learning-rate=1e-2", "--r2i.warm-up=0",
]  # fmt: skip
S5 = ["--memory.name=s5", "--memory.num-layers=1", "--memory.state-size=4"]
TRANSFORMER = ["--memory.name=transformer", "--memory.num-heads=2", "--memory.context=4"]
ATTENTIVE = [*TRANSFORMER, "--memory.num-layers=1", "--r2i.look=output"]
KINDS = {
    "cues": [*S5, "--env.name=probes:Cue", "--r2i.compute-dtype=bfloat16", "--r2i.slow-rate=1"],
    "factors": [
        "--memory.name=gru",
        "--env.name=probes:Factored",
        "--env.params.length=3",
        "--r2i.anneal-learning-rate",
    ],
    "numbers": [
        *ATTENTIVE,
        "--env.name=probes:Continuous",
        "--env.params.length=3",
        "--r2i.entropy-coefficient=1",
        "--r2i.anneal-entropy",
    ],
    "pictures": ["--memory.name=mlp", "--memory.num-layers=1", "--env.name=probes:Tiles"],
}


def make(*words: str) -> R2I:
    return R2I(load_experiment(None, parse_overrides([*TINY, *words])))


@cache
def updated(kind: str):
    """Return an agent, its jitted update, a state, and what the update made of it."""
    agent = make(*KINDS[kind])
    update, state = quick_jit(agent.update), quick_jit(agent.init)(jax.random.key(0))
    return agent, update, state, *update(state)


def leaves(*trees):
    """Return the leaves of trees side by side, keys as numbers."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    plain = lambda x: np.asarray(jax.random.key_data(x) if is_key(x) else x)  # noqa: E731
    return zip(*([plain(x) for x in jax.tree.leaves(tree)] for tree in trees), strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update(kind):
    agent, update, state, after, metrics = updated(kind)
    for old, new in leaves(state, after):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
        assert not jnp.issubdtype(new.dtype, jnp.floating) or new.dtype == np.float32
    assert np.mean([(a != b).any() for a, b in leaves(state.params, after.params)]) > 0.7
    assert all((a == b).all() for a, b in leaves(update(state), (after, metrics)))
    follows = [(a == b).all() for a, b in leaves(after.slow, critic_of(after.params))]
    assert all(follows) == (agent.config.slow_rate == 1)
    assert not all((a == b).all() for a, b in leaves(after.slow, state.slow))
    for name, mean in metrics.items():
        assert np.isfinite([mean.total, mean.count]).all(), name
        assert mean.count > 0 or name in ("episode_return", "episode_length")

    rollouts, descents, windows = agent.config.num_prefilled, agent.config.num_descents, 2
    assert (rollouts, descents) == (2, 2)
    assert after.opt_state[-1].count == descents
    assert (state.update, after.update) == (rollouts, rollouts + 1)
    assert (state.replay.written, after.replay.written) == (rollouts, rollouts + 1)
    assert metrics["replay_age"].count == descents * windows
    assert metrics["replay_age"].total in range(0, 4 * descents * windows + 1, 4)
    assert metrics["entropy"].count == descents * 3 * 4
    # The Transformer's states are known at the ends of pieces alone, but it looks at none.
    assert metrics["replay_value_loss"].count == descents * windows * 7
    assert metrics["replay_value_loss"].total > 0


def test_step_sizes_can_fall_to_zero_over_the_run():
    agent, update, state, _, _ = updated("factors")
    last, _ = update(state.replace(update=jnp.int32(agent.num_updates)))
    assert all((a == b).all() for a, b in leaves(last.params, state.params))
    assert all((a != b).any() for a, b in leaves(last.opt_state[-1].ema, state.opt_state[-1].ema))


def test_the_bonus_for_entropy_can_fall_to_zero_over_the_run():
    agent, update, state, after, _ = updated("numbers")
    without = make(*KINDS["numbers"], "--r2i.entropy-coefficient=0")
    last = state.replace(update=jnp.int32(agent.num_updates))
    ended, never = update(last)[0].params, quick_jit(without.update)(last)[0].params
    for a, b in leaves(ended, never):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert any(abs(a - b).max() > 1e-3 for a, b in leaves(ended, after.params))


def test_what_has_to_stay_finite():
    agent, _, _, after, _ = updated("pictures")
    broken = after.replace(unit=after.unit.update(jnp.full(1, jnp.inf)))
    for state, finite in ((after, True), (broken, False)):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(agent.learnt(state))) == finite


def test_replay_is_filled_by_acting_before_learning():
    agent, _, state, after, _ = updated("pictures")
    data, filled = state.replay.data, np.arange(16)[:, None] < 8
    time = np.arange(16)[:, None] * np.ones((1, 4), int)
    assert [type(part) for part in agent.network.parts] == [Image, Integers, OneHots, Integers]
    assert [x.dtype for x in data.obs] == [jnp.uint8] * 4
    np.testing.assert_array_equal(data.start, (time % 3 == 0) & filled)
    np.testing.assert_array_equal(data.return_ends, (time % 3 == 2) & filled)
    paid = data.reward[:8]
    np.testing.assert_array_equal(paid, data.action[:8])  # 1 for action 1
    assert 0 < paid.sum() < paid.size
    assert (state.unit.count, state.unit.square) == (paid.sum(), paid.sum())
    np.testing.assert_array_equal(after.replay.carry.action[1], np.eye(2)[data.action[3]])


def test_seeds_side_by_side_are_what_each_is_alone():
    agent, update, state, after, _ = updated("factors")
    other = quick_jit(agent.init)(jax.random.key(1))
    both = jax.tree.map(lambda *x: jnp.stack(x), state, other)
    found, _ = quick_jit(jax.vmap(agent.update))(both)
    for i, alone in enumerate((after, update(other)[0])):
        # The optimiser's moments of gradients that are next to nothing are noise over noise.
        own = jax.tree.map(lambda x, i=i: x[i], found).replace(opt_state=())
        for a, b in leaves(own, alone.replace(opt_state=())):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert all((a != b).any() for a, b in leaves(after.slow, update(other)[0].slow))


def test_losses_add_up_by_their_weights_and_returns_end_where_they_are_told_to():
    """An inner end of a trial, which does not terminate, is one to the model and the critic.

    After it something is seen, other than after an episode's end.
    """
    weights = {"dynamics": 0.7, "representation": 0.3, "replay_value": 0.6}
    words = [f"--r2i.{k.replace('_', '-')}-coefficient={v}" for k, v in weights.items()]
    agent, state = make(*KINDS["pictures"], *words), updated("pictures")[3]
    window = state.replay.sample(jax.random.key(0), 2, 8)
    loss = quick_jit(partial(agent.loss, state.params, state))

    def losses(**changes):
        told = window.replace(data=window.data.replace(**changes))
        total, (_, _, metrics) = loss(told, jax.random.key(1))
        means = {name.removeprefix("model_"): mean.value() for name, mean in metrics.items()}
        assert means.pop("loss") == pytest.approx(float(total))
        return {name: x for name, x in means.items() if name.endswith("_loss")} | {"": float(total)}

    found = losses()
    parts = {name.removesuffix("_loss"): x for name, x in found.items() if name}
    behaviour = {"policy", "value", "replay_value"}
    assert parts.keys() == weights.keys() | behaviour | {"observation", "reward", "continuation"}
    assert all(parts.values())
    total = sum(weights.get(name, 1) * x for name, x in parts.items())
    assert found[""] == pytest.approx(total, rel=1e-4)

    differing = lambda changed: {name for name in found if changed[name] != found[name]}  # noqa: E731
    inner = differing(losses(return_ends=~window.data.return_ends))
    assert inner == {"", "continuation_loss", "replay_value_loss"}
    ended = differing(losses(terminated=~window.data.terminated))
    assert ended == {"", "continuation_loss", "reward_loss"}


def test_carries_in_the_replay_are_mended(monkeypatch):
    """All are spoilt here, but each piece holds a start. Parameters stay, latents are likeliest."""
    monkeypatch.setattr("agents.r2i_config.Latents", Likeliest)
    still = "--r2i.learning-rate=1e-30", "--env.params.length=3", "--r2i.compute-dtype=float32"
    agent = make(*KINDS["cues"], *still)
    state = quick_jit(agent.init)(jax.random.key(0))
    right = state.replay.carry
    wrong = jax.tree.map(lambda x: 1 - x if x.dtype != bool else ~x, right)
    state = state.replace(replay=state.replay.replace(carry=wrong))
    after, _ = quick_jit(agent.learn)(state, {})
    mended = []
    for three in leaves(after.replay.carry, right, wrong):
        new, old, spoilt = (x.astype(float).reshape(4, 4, -1) for x in three)  # pieces, streams
        mended.append(np.isclose(new, old, rtol=1e-4, atol=1e-4).all(-1))
        assert (mended[-1] | (new == spoilt).all(-1)).all()
    assert np.all(mended, axis=0)[1].sum() >= 2  # of the second piece, within the one window
    assert not np.all(mended, axis=0)[[0, 2, 3]].any()


def test_a_model_sees_actions_as_the_environment_takes_them():
    encode = make(*KINDS["numbers"]).policy.encode
    drawn = jnp.array([[[0.25, -3.0], [7.0, -1.0]]])
    np.testing.assert_array_equal(encode(drawn), [[[0.25, -1], [1, -1]]])
    np.testing.assert_array_equal(encode(drawn[0, 0]), [0.25, -1])
    encode = make(*KINDS["cues"]).policy.encode
    np.testing.assert_array_equal(encode(jnp.array([[1, 0]])), [[[0, 1], [1, 0]]])


def test_a_policy_has_something_to_look_at():
    """Beside the latent; a memory without a state leaves nothing hidden."""
    with pytest.raises(UsageError, match=r"^memory 'mlp' has no state .*; take r2i\.look=output$"):
        make(*KINDS["pictures"], "--r2i.look=hidden")


def learn(*words: str, num_seeds: int = 1):
    """Return the greedy returns of an agent that was trained as r2i/quickstart says, [seeds, N]."""
    agent = R2I(load_experiment("r2i/quickstart", parse_overrides([*words])))
    state, _, broken = Chunk(agent, num_seeds)(init_seeds(agent, 0, num_seeds), agent.num_updates)
    assert not np.any(broken)
    greedy, _ = play_episodes(agent, state, range(num_seeds), 256, seed=0, max_steps=1_000)
    assert greedy[1].finished.all()
    return greedy[1].returns


@pytest.mark.slow
def test_learns_in_earnest():
    """The first card of a deck, which is worth 1 to the end; at random -0.5."""
    returns = learn(num_seeds=3)
    assert returns.shape == (3, 256)
    assert (returns.mean(1) > 0.8).all()


@pytest.mark.slow
@pytest.mark.parametrize("stored", [True, False])
def test_stored_states_reach_beyond_the_window(stored):
    """A cue is asked for 16 steps later, and windows have four: 1.00, and 0 if begun from nothing.

    No gradient reaches the cue then. What a memory keeps by itself is learnt to be read, for which
    it takes many episodes: of few the rewards are learnt by heart.
    """
    chain = ["--env.name=bsuite/MemoryChain", "--env.params.memory_length=16", "--r2i.gamma=0.95"]
    window = ["--r2i.num-steps=4", "--r2i.window=4", "--r2i.batch-size=256"]
    acting = ["--r2i.num-envs=128", "--r2i.train-ratio=2", "--r2i.replay-steps=524_288"]
    words = [*chain, *window, *acting, "--total-steps=1_600_000"]
    returns = learn(*words, f"--r2i.stored-states={stored}")
    assert returns.mean() > 0.9 if stored else abs(returns.mean()) < 0.3
