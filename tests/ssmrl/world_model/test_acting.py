"""Acting by a model: what is kept of it, and that learning stands where acting stood."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import MEMORIES, apply, filled, make_network

from agents.experiment import EnvConfig
from agents.parts import make_environment
from ssmrl.world_model.acting import Learnt, ModelPolicy
from ssmrl.world_model.moments import carry_after, every_nth, with_states
from ssmrl.world_model.parts import pack, unpack
from ssmrl.world_model.replay import Replay

N, PIECE, PIECES = 3, 4, 3
CUE = EnvConfig("probes:Cue", {"length": 5}, previous_action=False)
TRIAL = {"env": "probes:Cue", "settings": {"length": 3}, "num_steps": 8}


def begin(config=CUE, memory="gru", **options):
    """Return a policy, its environments, parameters, and where acting begins."""
    env = make_environment(config).with_num(N)
    sizes = {"parts": env.observation_parts, "action_size": env.encoded_action_size}
    policy = ModelPolicy(make_network(memory, **sizes, **options), env.encode_actions)
    actor = jax.jit(lambda: policy.begin(env, jax.random.key(0)))()
    params = filled(jax.eval_shape(policy.init, jax.random.key(0), actor).params)
    return policy, env, params, actor


def roll_out(policy, env, params, actor, count):
    """Return what was kept of roll-outs, the carries before each, and where acting stands then."""
    rollout, kept = jax.jit(partial(policy.rollout, params, env)), []
    for key in jax.random.split(jax.random.key(1), count):
        before = actor.memory_state
        actor, steps, totals = rollout(actor, jax.random.split(key, PIECE))
        kept.append((steps, before, totals))
    return kept, actor


def joined(trees):
    return jax.tree.map(lambda *x: np.concatenate(x), *trees)


def assert_close(got, want):
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4)


KINDS = {
    "terminated": (5, CUE),
    "truncated": (3, EnvConfig("probes:TimeLimit", {"length": 3})),
    "trial": (8, EnvConfig("meta/Trial", {**TRIAL, "returns": "trial"})),
    "inner": (8, EnvConfig("meta/Trial", {**TRIAL, "returns": "inner"})),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_of_a_rollout(kind):
    """Returns end where episodes terminate; with inner returns also at inner ends of a trial."""
    length, config = KINDS[kind]
    policy, env, params, actor = begin(config)
    kept, after = roll_out(policy, env, params, actor, PIECES)
    steps, totals = joined([steps for steps, *_ in kept]), joined([t for *_, t in kept])
    time = np.arange(PIECE * PIECES)
    column = lambda x: np.broadcast_to(x[:, None], (len(time), N))  # noqa: E731
    np.testing.assert_array_equal(steps.start, column(time % length == 0))
    ended = time % length == length - 1
    np.testing.assert_array_equal(steps.ended, column(ended))
    np.testing.assert_array_equal(steps.truncated, column(ended & (kind == "truncated")))
    np.testing.assert_array_equal(steps.terminated, column(ended & (kind != "truncated")))
    inner = (time % 8 % 3 == 2) & (kind == "inner")
    np.testing.assert_array_equal(steps.return_ends, steps.terminated | column(inner))
    np.testing.assert_array_equal(totals["episode_length"], column(time % length + 1))
    np.testing.assert_array_equal(after.start, steps.ended[-1])
    assert steps.reward.dtype == jnp.float32
    seen = unpack(env.observation_parts, steps.obs)
    np.testing.assert_array_equal(seen[0], actor.obs)
    np.testing.assert_array_equal(seen[..., -1], steps.start)  # the flag comes last


@pytest.mark.parametrize("memory", ["s5", "transformer"])
def test_a_rollout_is_acting_and_stepping(memory):
    policy, env, params, actor = begin(memory=memory, likeliest=False)
    ((steps, *_),), after = roll_out(policy, env, params, actor, 1)
    act, step = jax.jit(partial(policy.act, Learnt(params))), jax.jit(env.step)
    carry, obs, start, env_state = actor.memory_state, actor.obs, actor.start, actor.env_state
    (rollout_key,) = jax.random.split(jax.random.key(1), 1)
    for t, key in enumerate(jax.random.split(rollout_key, PIECE)):
        key_act, key_env = jax.random.split(key)
        carry, action = act(carry, obs, start, key_act, False)
        np.testing.assert_array_equal(action, steps.action[t])
        np.testing.assert_array_equal(carry.action, policy.encode(action))
        np.testing.assert_array_equal(carry.start, start)
        obs, env_state, _, terminated, truncated, _ = step(key_env, env_state, action)
        start = terminated | truncated
    assert_close(carry, after.memory_state)
    assert carry.latent.dtype == jnp.uint8


def test_actions_are_the_likeliest_or_as_likely_as_the_policy_says():
    policy, _, params, actor = begin()
    network, packed = policy.network, pack(policy.network.parts, actor.obs)
    moment = apply(network, "see")(
        params, actor.memory_state, packed, actor.start, jax.random.key(0)
    )
    logits = apply(network, "policy")(params, moment).logits
    act = partial(policy.act, Learnt(params), actor.memory_state, actor.obs, actor.start)
    many = jax.jit(jax.vmap(lambda key, greedy: act(key, greedy)[1], (0, None)))
    keys = jax.random.split(jax.random.key(1), 2000)
    np.testing.assert_array_equal(many(keys, True), np.broadcast_to(logits.argmax(-1), (2000, N)))
    shares = np.asarray(many(keys, False)).mean(0)
    np.testing.assert_allclose(shares, jax.nn.softmax(logits)[:, 1], atol=0.04)
    assert not np.any(shares % 1 == 0)


def test_greedy_acting_takes_the_likeliest_latents():
    policy, _, params, actor = begin(likeliest=False)
    act = jax.jit(partial(policy.act, Learnt(params), actor.memory_state, actor.obs, actor.start))
    packed = pack(policy.network.parts, actor.obs)
    log_probs = apply(policy.network, "posterior")(params, packed)
    greedy = [act(key, True)[0].latent for key in jax.random.split(jax.random.key(0), 2)]
    for latent in greedy:
        np.testing.assert_array_equal(latent, log_probs.argmax(-1))
    drawn = [act(key, False)[0].latent for key in jax.random.split(jax.random.key(0), 2)]
    assert np.any(drawn[0] != drawn[1])


@pytest.mark.parametrize("memory", MEMORIES)
def test_learning_stands_where_acting_stood_and_mends_what_replay_holds(memory):
    """Carries within a window are those of the roll-outs, to which all pieces of a window lead.

    Latents are the likeliest here; drawn ones would be others. The first carry is an episode's
    start; those that follow are spoilt in the replay, and written back from the window.
    """
    policy, env, params, actor = begin(memory=memory)
    network = policy.network
    kept, after = roll_out(policy, env, params, actor, PIECES)
    replay = Replay.empty(kept[0][0], actor.memory_state, PIECE * PIECES)
    for i, (steps, before, _) in enumerate(kept):
        spoilt = jax.tree.map(jnp.zeros_like, before) if i else before
        replay = replay.add(steps, spoilt)
    window = replay.sample(jax.random.key(0), 8, PIECE * PIECES)
    assert set(np.unique(window.stream)) == set(range(N))
    assert not np.any(replay.age(window))

    @jax.jit
    def look_again(window):
        d = window.data
        action = policy.encode(d.action)
        seen = window.carry, d.obs, action, d.start, jax.random.key(0), PIECE
        _, observed = network.apply(params, *seen, method="observe")
        moments = with_states(observed.moments, PIECE)
        return carry_after(network.latents, moments, every_nth(action, PIECE))

    carries = look_again(window)
    stood = [before for _, before, _ in kept[1:]] + [after.memory_state]
    expected = jax.tree.map(lambda *x: np.stack(x)[:, window.stream], *stood)
    assert_close(carries, expected)
    assert_close(
        replay.refresh(window, carries).carry,
        jax.tree.map(lambda *x: np.stack(x), *[before for _, before, _ in kept]),
    )
