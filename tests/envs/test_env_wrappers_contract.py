"""What every wrapper owes: the contract, a clean examination, pictures, and plain complaints."""

import copy

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_env import Echo, Tiny
from wrapper_probes import KEY, PARAMS, Chance, batch_of

import envs
from envs.examine import examine
from envs.spaces import Box, Discrete, MultiDiscrete
from envs.wrappers import (
    AsCategories,
    BinnedAction,
    ClipAction,
    DelayedReward,
    Distractors,
    EpisodeStatistics,
    FlattenObservation,
    FrameSkip,
    NormaliseObservation,
    ObservationNoise,
    PadActions,
    PadObservation,
    PreviousAction,
    PreviousReward,
    RescaleAction,
    ScaleReward,
    SinusoidalPerturbation,
    StartFlag,
)
from ssmrl.errors import UsageError

VECTOR_BOX = Box(-1.0, jnp.array([1.0, 3.0]), (2,))
IMAGE = Tiny(observe=lambda t: jnp.full((2, 2), t), space=Box(0, 9, (2, 2)))
DISCRETE_VIEW = Tiny(observe=lambda t: t, space=Discrete(4))

WRAPPED = {
    "frame skip": lambda: FrameSkip(Chance(), 2),
    "delay": lambda: DelayedReward(Chance(), 2),
    "noise": lambda: ObservationNoise(Chance(), 0.1),
    "swing": lambda: SinusoidalPerturbation(Chance(), 0.1, 5.5),
    "distractors": lambda: Distractors(Chance(), 3, 0.9),
    "maps": lambda: PadObservation(NormaliseObservation(Chance(), 0.1, [0.3, 0.7]), 4),
    "actions": lambda: RescaleAction(PadActions(Chance(VECTOR_BOX), 3)),
    "discrete actions": lambda: PadActions(Chance(), 5),
    "choice and reward": lambda: ScaleReward(BinnedAction(Chance()), 0.1, 2),
    "all": lambda: envs.wrap(
        Distractors(
            PadObservation(
                SinusoidalPerturbation(
                    ObservationNoise(FrameSkip(DelayedReward(PadActions(Chance(), 5), 1), 2), 0.1),
                    *(0.5, 7),
                ),
                size=4,
            ),
            num=2,
        ),
        previous_reward=True,
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_environments_keep_the_contract_and_pass_examination(name):
    env = WRAPPED[name]()
    envs.check_environment(env, PARAMS)
    findings = list(examine(env, PARAMS, num_steps=32))
    assert [finding.fault for finding in findings] == [None] * 9
    assert findings[-1].remark is None  # episodes ended, and began in different ways


def test_all_together_in_a_compiled_batch():
    # Columns: time, luck, 0, 0 | distractors | previous action | previous reward | start flag.
    env = WRAPPED["all"]()
    first, seen = batch_of(env, 4, 12)
    assert first.shape == (4, 4 + 2 + 5 + 1 + 1)
    np.testing.assert_array_equal(seen.ended, np.tile([[False], [True]], (6, 4)))
    np.testing.assert_array_equal(seen.obs[..., -1], seen.ended)
    np.testing.assert_array_equal(seen.final[..., -1], 0)
    np.testing.assert_array_equal(seen.obs[..., -2], np.where(seen.ended, 0, seen.reward))
    np.testing.assert_array_equal(seen.final[..., -2], seen.reward)
    np.testing.assert_array_equal(seen.obs[..., 6], ~seen.ended)
    np.testing.assert_array_equal(seen.obs[..., 2:4], 0)
    np.testing.assert_array_equal(seen.info["episode_length"][seen.ended], 2)
    # At the same height as in the stack, so that the skipped frames have the same keys.
    prompt = DelayedReward(PadActions(Chance(), 5), 0)
    _, prompt = batch_of(EpisodeStatistics(FrameSkip(prompt, 2)), 4, 12)
    totals = [record.info["episode_return"][seen.ended] for record in (seen, prompt)]
    np.testing.assert_allclose(*totals, rtol=1e-6)
    assert not np.allclose(seen.reward, prompt.reward)


WRAPPERS = {
    "statistics": EpisodeStatistics,
    "flatten": FlattenObservation,
    "previous reward": PreviousReward,
    "previous action": PreviousAction,
    "flag": StartFlag,
    "frame skip": lambda env: FrameSkip(env, 2),
    "delay": lambda env: DelayedReward(env, 2),
    "noise": lambda env: ObservationNoise(env, 0.1),
    "swing": lambda env: SinusoidalPerturbation(env, 0.1, 5),
    "distractors": lambda env: Distractors(env, 3),
    "normalise": lambda env: NormaliseObservation(env, 0, 2),
    "pad": lambda env: PadObservation(env, 9),
    "actions": lambda env: PadActions(env, 9),
    "bins": BinnedAction,
    "scale": lambda env: ScaleReward(env, 2),
    "all": lambda env: WRAPPED["all"](),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_render_unwraps_the_state(name):
    env = WRAPPERS[name](Chance())
    _, state = env.reset(KEY, PARAMS)
    assert env.render(state, PARAMS) == "step 0"
    assert env.render(state) == "step 0"
    action = jnp.zeros_like(env.action_space(PARAMS).sample(KEY))
    _, state, *_ = env.step(KEY, state, action, PARAMS)
    shown = env.render(state, PARAMS)
    assert shown == ("step 2" if name in ("frame skip", "all") else "step 1")
    assert copy.deepcopy(env).render(state, PARAMS) == shown


@pytest.mark.parametrize("name", [name for name in WRAPPERS if name != "all"])
def test_render_returns_none_where_the_environment_draws_nothing(name):
    env = EpisodeStatistics(WRAPPERS[name](Tiny()))
    _, state = env.reset(KEY, PARAMS)
    assert env.render(state, PARAMS) is None


def test_wrap_renders_a_real_environment_as_it_renders_itself():
    env, params = envs.make("popgym/RepeatFirstEasy")
    wrapped = envs.wrap(Distractors(FlattenObservation(env), 2), previous_reward=True)
    _, state = wrapped.reset(KEY, params)
    _, alone = env.reset(KEY, params)
    assert wrapped.render(state, params) == env.render(alone, params)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FrameSkip(Tiny(), 0), "FrameSkip needs a whole number num_frames >= 1, not 0"),
        (lambda: FrameSkip(Tiny(), 2.5), "whole number num_frames >= 1, not 2.5"),
        (lambda: FrameSkip(Tiny(), True), "whole number num_frames >= 1, not True"),
        (lambda: DelayedReward(Tiny(), -1), "DelayedReward needs a whole number delay >= 0"),
        (lambda: ObservationNoise(Tiny(), -0.1), "needs a finite number sigma >= 0, not -0.1"),
        (lambda: ObservationNoise(Tiny(), jnp.nan), "finite number sigma >= 0, not nan"),
        (lambda: ObservationNoise(Tiny(), "0.1"), "finite number sigma >= 0, not '0.1'"),
        (
            lambda: ObservationNoise(DISCRETE_VIEW, 0.1),
            r"ObservationNoise needs numbers, but the observation is Discrete\(4.*; put Flatten",
        ),
        (lambda: SinusoidalPerturbation(Tiny(), -1, 5), "amplitude >= 0, not -1"),
        (lambda: SinusoidalPerturbation(Tiny(), 1, 0), "needs a finite number period > 0, not 0"),
        (lambda: SinusoidalPerturbation(Tiny(), 1, jnp.inf), "period > 0, not inf"),
        (lambda: SinusoidalPerturbation(DISCRETE_VIEW, 1, 5), "put FlattenObservation below it"),
        (lambda: Distractors(Tiny(), -1), "whole number num >= 0, not -1"),
        (lambda: Distractors(Tiny(), 2, 1.5), "correlation from 0 to 1, not 1.5"),
        (lambda: Distractors(IMAGE, 2), "Distractors needs a vector, .*; put FlattenObservation"),
        (lambda: NormaliseObservation(Tiny(), 0, 0), "needs scale > 0, not 0"),
        (
            lambda: NormaliseObservation(Tiny(), [1, 2], 1),
            r"needs finite numbers mean for observations of shape \(1,\), not \[1, 2\]",
        ),
        (lambda: NormaliseObservation(Tiny(), 0, [jnp.inf]), "finite numbers scale"),
        (lambda: NormaliseObservation(Tiny(), "none", 1), "finite numbers mean"),
        (lambda: NormaliseObservation(DISCRETE_VIEW, 0, 1), "needs numbers"),
        (lambda: PadObservation(Chance(), 1), "whole number size >= 2, not 1"),
        (lambda: PadObservation(IMAGE, 9), "PadObservation needs a vector"),
        (lambda: PadActions(Tiny(), 2), "whole number size >= 3, not 2"),
        (lambda: PadActions(Echo(VECTOR_BOX), 1), "whole number size >= 2, not 1"),
        (lambda: PadActions(Tiny(MultiDiscrete([2, 3])), 9), "takes Discrete actions and vectors"),
        (lambda: PadActions(Tiny(Box(0, 1, (2, 2))), 9), "takes Discrete actions and vectors"),
        (lambda: AsCategories(Tiny(), PARAMS), "AsCategories takes integers from 0 to finite"),
        (lambda: BinnedAction(Echo(VECTOR_BOX)), "BinnedAction takes Discrete actions, not Box"),
        (lambda: ScaleReward(Tiny(), 0), "ScaleReward needs a finite number scale > 0, not 0"),
        (lambda: ScaleReward(Tiny(), 1, jnp.nan), "needs a finite number shift, not nan"),
    ],
)
def test_complaints_come_before_anything_is_traced(make, sentence):
    with pytest.raises(UsageError, match=rf"^environment '(Tiny|Echo|Chance)': .*{sentence}"):
        make()


def test_settings_of_a_wrapper_hide_no_attribute_of_the_environment():
    class Sized(Tiny):
        size, num, delay, sigma, mean = "SNDσμ"

    env = ClipAction(PadObservation(Distractors(DelayedReward(Sized(), 2), 1), 3))
    env = NormaliseObservation(ObservationNoise(env, 0.1), 0, 1)
    assert [env.size, env.num, env.delay, env.sigma, env.mean] == list("SNDσμ")
