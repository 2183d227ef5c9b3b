"""What actor and critic learn, by hand, and whom it teaches."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare
from tiny_models import KNOWN, apply, make_carry, make_network, make_params, make_window

from ssmrl.rl.normalise import PercentileScale
from ssmrl.world_model.acting import ModelPolicy
from ssmrl.world_model.behaviour import (
    behaviour_losses,
    critic_of,
    replay_value,
    starts,
    with_critic,
)
from ssmrl.world_model.moments import Known, Moment, carry_after, with_states

H, K = 5, 4
GAMMA, LAMBDA, ENTROPY, SLOW = 0.9, 0.8, 0.3, 0.7
BINS = np.sign(np.linspace(-2, 2, 9)) * np.expm1(np.abs(np.linspace(-2, 2, 9)))
NETWORK = make_network("gru")
PARAMS, SLOW_CRITIC = make_params(NETWORK, scale=1.0), critic_of(make_params(NETWORK, seed=1))
PARAMS["params"]["outcome"]["continue_out"]["bias"] += 3  # so that dreams end now and then
CRITIC = {"critic_in", "critic_body", "critic_out"}
ACTOR = {"actor_in", "actor_body", "action_head"}


def make_moments(*front: int, seed: int = 0) -> Moment:
    """Return moments that a model may be at, [*front]."""
    rng = np.random.default_rng(seed)
    state = rng.normal(size=(*front, 1, 4)).astype(np.float32)
    latent = NETWORK.latents.one_hots(rng.integers(0, 3, (*front, 2)))
    columns = rng.normal(size=(*front, KNOWN)).astype(np.float32)
    known = Known(*np.split(columns, np.cumsum([6, 6, KNOWN - 20, 6]), axis=-1))
    return Moment(state, known, latent, np.zeros(front, bool))


def cross_entropy(logits, x):
    """Return that of numbers, shared out between the two bins beside them."""
    x = np.clip(x, BINS[0], BINS[-1])
    above = np.clip(np.searchsorted(BINS, x), 1, 8)
    share = (x - BINS[above - 1]) / (BINS[above] - BINS[above - 1])
    told = np.asarray(jax.nn.log_softmax(logits))
    at = lambda i: np.take_along_axis(told, i[..., None], -1)[..., 0]  # noqa: E731
    return -(1 - share) * at(above - 1) - share * at(above)


def mean_of(logits):
    return np.asarray(jax.nn.softmax(logits)) @ BINS


def value_losses(logits, slow_logits, returns):
    return cross_entropy(logits, returns) + SLOW * cross_entropy(logits, mean_of(slow_logits))


def test_losses_of_a_dream_by_hand():
    moments = make_moments(H + 1, K)
    actions = np.random.default_rng(1).integers(0, 2, (H, K))
    imagined = moments, actions, jax.nn.one_hot(actions, 2)
    scale = PercentileScale(jnp.float32(-1.0), jnp.float32(2.0))
    numbers = GAMMA, LAMBDA, ENTROPY, SLOW
    losses = jax.jit(partial(behaviour_losses, NETWORK))
    new_scale, found = losses(PARAMS, SLOW_CRITIC, scale, imagined, *numbers)

    before = jax.tree.map(lambda x: x[:-1], moments)
    expected = apply(NETWORK, "expect")(PARAMS, before, imagined[2], moments.latent[1:])
    reward, goes_on = map(np.asarray, expected)
    assert goes_on.min() < 0.2
    assert goes_on.max() > 0.8
    logits = apply(NETWORK, "value")(PARAMS, moments)
    value, weight = mean_of(logits), np.ones((H, K))
    returns, later = np.zeros((H, K)), value[H]
    for h in reversed(range(H)):
        future = (1 - LAMBDA) * value[h + 1] + LAMBDA * later
        returns[h] = later = reward[h] + GAMMA * goes_on[h] * future
    for h in range(1, H):
        weight[h] = weight[h - 1] * GAMMA * goes_on[h - 1]

    low, high = np.percentile(returns, [5, 95])
    low, high = 0.99 * -1 + 0.01 * low, 0.99 * 2 + 0.01 * high
    np.testing.assert_allclose((new_scale.low, new_scale.high), (low, high), rtol=1e-4)
    told = np.asarray(jax.nn.log_softmax(apply(NETWORK, "policy")(PARAMS, before).logits))
    entropy = -(np.exp(told) * told).sum(-1)
    log_prob = np.take_along_axis(told, actions[..., None], -1)[..., 0]
    gain = (returns - value[:-1]) / (high - low) * log_prob + ENTROPY * entropy
    slow_logits = apply(NETWORK, "value")(with_critic(PARAMS, SLOW_CRITIC), before)
    expected = {
        "policy_loss": -weight * gain,
        "value_loss": weight * value_losses(logits[:-1], slow_logits, returns),
        "entropy": entropy,
        "imagined_return": returns[0],
        "imagined_reward": reward,
    }
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_allclose(found[name], x, rtol=1e-3, atol=1e-4, err_msg=name)


def test_small_returns_are_not_blown_up():
    imagined = make_moments(H + 1, K), np.zeros((H, K), int), np.zeros((H, K, 2), np.float32)
    numbers = GAMMA, LAMBDA, 0.0, SLOW
    losses = jax.jit(partial(behaviour_losses, NETWORK, PARAMS, SLOW_CRITIC))
    found = [
        losses(PercentileScale(jnp.float32(0), jnp.float32(range_)), imagined, *numbers)[1]
        for range_ in (0.1, 0.5, 8.0)
    ]
    np.testing.assert_allclose(found[0]["policy_loss"], found[1]["policy_loss"], rtol=1e-6)
    assert np.abs(found[2]["policy_loss"]).sum() < np.abs(found[0]["policy_loss"]).sum() / 4
    np.testing.assert_array_equal(found[0]["value_loss"], found[2]["value_loss"])


T, B = 6, 3
TERMINATED, CUT, BOTH = (1, 0), (2, 1), (2, 2)  # step and stream


def replayed(seed: int = 0):
    """Return moments [T, B] and what happened: one return ends, one is cut off, one is both."""
    rng = np.random.default_rng(seed)
    ends, truncated = np.zeros((2, T, B), bool)
    ends[TERMINATED] = ends[BOTH] = truncated[CUT] = truncated[BOTH] = True
    return (
        make_moments(T, B, seed=seed),
        rng.normal(size=(T, B)).astype(np.float32),
        ends,
        truncated,
    )


replayed_value = jax.jit(partial(replay_value, NETWORK))
NUMBERS = GAMMA, LAMBDA, SLOW


def test_losses_of_replayed_values_by_hand():
    moments, reward, ends, truncated = replayed()
    found, told = replayed_value(PARAMS, SLOW_CRITIC, moments, reward, ends, truncated, *NUMBERS)
    logits = apply(NETWORK, "value")(PARAMS, moments)
    value, returns = mean_of(logits), np.zeros((T - 1, B))
    for b in range(B):
        later = value[T - 1, b]
        for t in reversed(range(T - 1)):
            future = (1 - LAMBDA) * value[t + 1, b] + LAMBDA * later
            later = reward[t, b] + (0 if ends[t, b] else GAMMA * future)
            if truncated[t, b] and not ends[t, b]:  # all that is known of what would have come
                later = value[t, b]
            returns[t, b] = later
    slow_logits = apply(NETWORK, "value")(with_critic(PARAMS, SLOW_CRITIC), moments)
    expected = value_losses(logits[:-1], slow_logits[:-1], returns)
    expected[CUT] = 0
    np.testing.assert_allclose(told, returns, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert (expected == 0).sum() == 1


def test_the_next_episode_tells_the_critic_nothing_of_the_last():
    """Not where a return ends, nor where a time limit cut it off."""
    moments, reward, ends, truncated = replayed()
    run = partial(replayed_value, PARAMS, SLOW_CRITIC)
    found, _ = run(moments, reward, ends, truncated, *NUMBERS)
    since = np.arange(T)[:, None] > [TERMINATED[0], CUT[0], BOTH[0]]
    others, other_reward, *_ = replayed(seed=1)
    mask = lambda x: since.reshape(since.shape + (1,) * (x.ndim - 2))  # noqa: E731
    moments = jax.tree.map(lambda a, b: np.where(mask(a), b, a), moments, others)
    reward = np.where(since, other_reward, reward)
    changed, _ = run(moments, reward, ends, truncated, *NUMBERS)
    np.testing.assert_array_equal(changed[~since[:-1]], found[~since[:-1]])
    assert (changed != found)[since[:-1]].all()


@cache
def slopes():
    """Return what each loss teaches parameters and slow critic, all going through the model."""
    carry, window = make_carry(NETWORK), make_window()
    policy = ModelPolicy(NETWORK, lambda action: jax.nn.one_hot(action, 2))
    _, reward, ends, truncated = replayed()

    def losses(params, slow):
        key = jax.random.key(0)
        _, o = NETWORK.apply(params, carry, *window, key, 1, method="observe")
        moments = o.moments
        first = jax.tree.map(lambda x: x[-1], moments)
        imagined = policy.imagine(params, first, jax.random.split(key, H))
        critics = NETWORK, params, slow
        numbers = GAMMA, LAMBDA, ENTROPY, SLOW
        _, dreamt = behaviour_losses(*critics, PercentileScale.init(), imagined, *numbers)
        value_loss, _ = replay_value(*critics, moments, reward, ends, truncated, *NUMBERS)
        sums = dreamt["policy_loss"], dreamt["value_loss"], value_loss
        return jnp.stack([x.sum() for x in sums])

    of_params, of_slow = jax.jit(jax.jacrev(losses, (0, 1)))(PARAMS, SLOW_CRITIC)
    taught = lambda tree, i: {k for k, v in tree.items() if any(map(np.any, _leaves(v, i)))}  # noqa: E731
    return [(taught(of_params["params"], i), taught(of_slow, i)) for i in range(3)]


def _leaves(tree, i):
    return [np.asarray(x)[i] for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize(
    ("loss", "taught"), [(0, ACTOR | {"gates"}), (1, CRITIC | {"gates"}), (2, CRITIC | {"gates"})]
)
def test_losses_teach_actor_or_critic_and_not_the_model(loss, taught):
    """Though dreams and moments were made with the parameters that are to learn."""
    assert slopes()[loss] == (taught, set())


@pytest.mark.parametrize("every", [1, 2, 3])
def test_dreams_start_at_moments_whose_states_are_known(every):
    """Numbers tell which: 10 times the step, and the stream."""
    number = 10 * np.arange(T)[:, None] + np.arange(B)
    states = {"h": number[every - 1 :: every, :, None]}
    moments = Moment(states, number[..., None] + 0.5, number[..., None] + 0.25, number % 3 == 0)
    draw = jax.jit(lambda moments, key: starts(with_states(moments, every), 3000, key))
    found = draw(moments, jax.random.key(0))
    drawn = np.asarray(found.memory_state["h"])[:, 0]
    np.testing.assert_array_equal(found.known[:, 0], drawn + 0.5)
    np.testing.assert_array_equal(found.latent[:, 0], drawn + 0.25)
    np.testing.assert_array_equal(found.start, drawn % 3 == 0)
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, np.ravel(number[every - 1 :: every]))
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_start_is_where_acting_step_by_step_would_be(every):
    carry, window, key = make_carry(NETWORK), make_window(), jax.random.key(0)
    window.start[:] = np.arange(T * B).reshape(T, B) == 9  # one alone: after each all is the same
    see = apply(NETWORK, "see")
    known, states = np.zeros((T, B, KNOWN)), np.zeros((T, B, 1, 4))
    now = carry
    for t in range(T):
        packed, action, start = jax.tree.map(lambda x, t=t: x[t], window)
        moment = see(PARAMS, now, packed, start, key)
        known[t], (states[t],) = moment.known.beside(), jax.tree.leaves(moment.memory_state)
        now = carry_after(NETWORK.latents, moment, action)

    _, observed = apply(NETWORK, "observe")(PARAMS, carry, *window, key, every=every)
    moments = with_states(observed.moments, every)
    found = starts(moments, 20, key)
    beside = np.asarray(found.known.beside())
    apart = np.abs(beside[:, None, None] - known).sum(-1).reshape(20, -1)
    step, stream = np.unravel_index(apart.argmin(-1), (T, B))
    assert set((step + 1) % every) == {0}
    np.testing.assert_allclose(apart.min(-1), 0, atol=1e-4)
    (state,) = jax.tree.leaves(found.memory_state)
    np.testing.assert_allclose(state, states[step, stream], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.start, window.start[step, stream])

    def total(latent):
        return starts(moments.replace(latent=latent), 20, key).latent.sum()

    assert not np.any(jax.grad(total)(moments.latent))
