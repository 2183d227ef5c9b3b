"""Old five-value environments in the six-value contract."""

import re
from collections import namedtuple
from functools import partial

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment
from probes import Probe, TimeLimit
from tiny_env import Legacy, LegacyWithoutParams, LegacyWrapper, Tiny, TinyParams

import envs
from envs import suites
from envs.adapters import LegacyGymnax, is_legacy
from envs.fixed import NoParams, check_gymnax
from envs.spaces import Box, Discrete
from ssmrl.errors import UsageError

KEY = jax.random.key(0)


def play(env, actions, params):
    _, state = env.reset(KEY, params)
    steps = []
    for action in actions:
        obs, state, reward, terminated, truncated, info = env.step(KEY, state, action, params)
        final = float(info["final_observation"][0])
        steps.append((float(obs[0]), float(reward), bool(terminated), bool(truncated), final))
    return steps, info


def test_own_reset_splits_the_flag_and_keeps_the_final_observation():
    env = LegacyGymnax(Legacy())
    steps, info = play(env, [0, 1, 0, 0, 0, 0, 0, 1], TinyParams())
    assert steps == [
        (1, 1, False, False, 1),
        (0, 1, True, False, 2),  # action 1 ends the episode by itself
        (1, 1, False, False, 1),
        (2, 1, False, False, 2),
        (0, 1, False, True, 3),  # time ran out
        (1, 1, False, False, 1),
        (2, 1, False, False, 2),
        (0, 1, False, True, 3),  # a natural end exactly on the limit counts as truncated
    ]
    assert info["extra"] == 7


class Chancy(Legacy):
    """Observes what it draws from its key."""

    def reset_env(self, key, params):
        return jax.random.uniform(key, (1,)), super().reset_env(key, params)[1]

    def step_env(self, key, state, action, params):
        return jax.random.normal(key, (1,)), *super().step_env(key, state, action, params)[1:]


def test_step_and_reset_draw_from_halves_of_the_key():
    env = LegacyGymnax(Chancy())
    _, state = env.reset(KEY, TinyParams())
    obs, *_, info = env.step(KEY, state, 1, TinyParams())
    key_step, key_reset = jax.random.split(KEY)
    assert info["final_observation"] == jax.random.normal(key_step, (1,))
    assert obs == jax.random.uniform(key_reset, (1,))


def test_limit_comes_from_the_given_params():
    steps, _ = play(LegacyGymnax(Legacy()), [0, 0], TinyParams(max_steps_in_episode=2))
    assert [truncated for _, _, _, truncated, _ in steps] == [False, True]


def test_step_that_resets_by_itself_and_takes_no_params():
    env = LegacyGymnax(LegacyWithoutParams())
    assert env.default_params == NoParams()
    steps, _ = play(env, [0, 0, 0], env.default_params)
    assert steps == [
        (1, 1, False, False, 1),
        (0, 1, True, False, 0),  # the true last observation is out of reach
        (1, 1, False, False, 1),
    ]
    envs.check_environment(env, env.default_params)
    envs.check_environment(envs.wrap(env), env.default_params)


def test_wrapper_around_a_legacy_environment_is_not_bypassed():
    steps, _ = play(LegacyGymnax(LegacyWrapper(Legacy())), [0, 1], TinyParams())
    assert steps == [(1, 2, False, False, 1), (0, 2, True, False, 0)]


def test_adapted_environment_passes_the_check():
    env = LegacyGymnax(Legacy())
    envs.check_environment(env, env.default_params)
    envs.check_environment(envs.wrap(env), env.default_params)
    assert env.name == "Legacy"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (Legacy(), True),
        (LegacyWrapper(Legacy()), True),
        (LegacyWithoutParams(), True),
        (Tiny(), False),
    ],
)
def test_detection(env, expected):
    assert is_legacy(env, getattr(env, "default_params", None)) is expected


@struct.dataclass
class OldState(environment.EnvState):
    luck: jax.Array


class OldGame(environment.Environment):
    """Of gymnax before 1.0, on the base of gymnax 1.x: its flag holds the time limit.

    As CartPole was: ``is_terminal`` looks at the time, and ``discount`` at ``is_terminal``.
    Action 1 ends an episode by itself.
    """

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=3)

    def reset_env(self, key, params):
        return jnp.zeros(1), OldState(time=0, luck=jax.random.uniform(key))

    def step_env(self, key, state, action, params):
        state = state.replace(time=state.time + 1)
        done = self.ends(state, action, params)
        return jnp.full(1, state.time, jnp.float32), state, 1.0, done, self.info(state, params)

    def ends(self, state, action, params):
        return (action == 1) | self.is_terminal(state, params)

    def info(self, state, params):
        return {"discount": self.discount(state, params)}

    def is_terminal(self, state, params):
        return state.time >= params.max_steps_in_episode

    def action_space(self, params=None):
        return Discrete(2)

    def observation_space(self, params):
        return Box(0.0, 10.0, (1,), jnp.float32)


class Inline(OldGame):
    """Has its limit nowhere but in the flag of ``step_env``, through jit and cond."""

    is_terminal = environment.Environment.is_terminal

    @partial(jax.jit, static_argnums=0)
    def ends(self, state, action, params):
        over = lambda: state.time >= params.max_steps_in_episode  # noqa: E731
        return jax.lax.cond(action == 1, lambda: True, over)

    def info(self, state, params):
        return {}


class Timeless(Inline):
    """Has no time limit, and no clock at which the new base could look."""

    def reset_env(self, key, params):
        return jnp.zeros(1), {"position": jnp.int32(0)}

    def step_env(self, key, state, action, params):
        position = state["position"] + 1
        obs = jnp.full(1, position, jnp.float32)
        return obs, {"position": position}, 1.0, action == 1, {}


class OwnWords(OldGame):
    """Keeps its limit to itself, and says what is a truncation; ``params`` has another."""

    default_params = environment.EnvParams(max_steps_in_episode=1)

    def is_terminal(self, state, params):
        return state.time >= 3

    def info(self, state, params):
        return {"truncated": state.time >= 3, "discount": self.discount(state, params)}


OtherParams = namedtuple("OtherParams", "max_timesteps")
OtherState = namedtuple("OtherState", "timestep")


class OtherNames(Timeless):
    """Names clock and limit as Craftax does."""

    default_params = OtherParams(max_timesteps=3)

    def reset_env(self, key, params):
        return jnp.zeros(1), OtherState(jnp.int32(0))

    def step_env(self, key, state, action, params):
        state = state._replace(timestep=state.timestep + 1)
        done = (action == 1) | (state.timestep >= params.max_timesteps)
        return jnp.full(1, state.timestep, jnp.float32), state, 1.0, done, {}


class Unlimited(OldGame):
    """Only ends by itself, and leaves a limit of 1, gymnax's default, in ``params``."""

    default_params = environment.EnvParams()

    def is_terminal(self, state, params):
        return state.time < 0


@pytest.mark.parametrize("game", [OldGame, Inline, OwnWords, OtherNames])
def test_time_limit_of_an_old_class_on_the_new_base(game):
    env = LegacyGymnax(game())
    assert is_legacy(env.env, env.default_params)
    envs.check_environment(env, env.default_params)
    steps, _ = play(env, [0, 1, 0, 0, 0], env.default_params)
    assert steps == [
        (1, 1, False, False, 1),
        (0, 1, True, False, 2),  # action 1 ends the episode by itself
        (1, 1, False, False, 1),
        (2, 1, False, False, 2),
        (0, 1, False, True, 3),  # time ran out
    ]


@pytest.mark.parametrize("game", [Timeless, Unlimited])
def test_old_class_without_a_time_limit_on_the_new_base(game):
    env = LegacyGymnax(game())
    assert is_legacy(env.env, env.default_params)
    steps, _ = play(env, [0, 0, 0, 1], env.default_params)
    assert steps == [(t, 1, False, False, t) for t in (1, 2, 3)] + [(0, 1, True, False, 4)]


def test_the_old_discount_works_and_the_given_environment_is_left_alone():
    game = OldGame()
    _, info = play(LegacyGymnax(game), [0, 0], game.default_params)
    assert info["discount"] == 1.0
    _, info = play(LegacyGymnax(game), [0, 0, 0], game.default_params)
    assert info["discount"] == 0.0
    assert not vars(game)


class Renamed(OldGame):
    """Of 1.x by its name: what it says of terminations is believed."""

    def is_terminated(self, state, params):
        return self.is_terminal(state, params)


class Clock(Probe):
    """Of 1.x, and ends by itself at a time that is not the limit."""

    def is_terminated(self, state, params):
        return state.time >= params.length


class Natural(OldGame):
    """Of 1.x without a helper: what ``step_env`` says owes nothing to the limit."""

    is_terminal = environment.Environment.is_terminal

    def ends(self, state, action, params):
        return (action == 1) | (state.time == 2)

    def info(self, state, params):
        return {"limit": params.max_steps_in_episode}


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ((0.0, 0, 1.0, True, "info"), "'Odd': the last of the five values from step is a str"),
        ((0.0, 0, 1.0, True, 3.0), "'Odd': the last of the five values from step is a float"),
    ],
)
def test_five_values_that_are_not_the_old_ones(step, sentence):
    env = LegacyGymnax(type("Odd", (LegacyWithoutParams,), {"step": lambda *_: step})())
    with pytest.raises(UsageError, match=re.escape(sentence)):
        envs.check_environment(env, env.default_params)


def test_params_are_left_out_only_where_that_is_what_lacks():
    class AsksForMore(Tiny):
        def reset(self, key, params, options):
            return super().reset(key, params)

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'options'"):
        is_legacy(AsksForMore(), TinyParams())


@pytest.mark.parametrize("game", [Renamed, Clock, TimeLimit, Natural])
def test_classes_of_gymnax_1_stay_as_they_are(game):
    assert not is_legacy(game(), game().default_params)


def test_every_environment_that_has_a_name_is_of_gymnax_1(mnist):
    for name in envs.names():
        if not name.startswith(tuple(suites.SUITES)):
            assert not isinstance(envs.make(name)[0], LegacyGymnax), name


def test_an_old_package_in_gymnaxs_place_is_told(monkeypatch):
    monkeypatch.delattr(environment.Environment, "is_truncated")
    with pytest.raises(
        UsageError, match="stable-gymnax was installed over it: pip install --force"
    ):
        check_gymnax()


@pytest.mark.parametrize("name", list(gymnax.registered_envs))
def test_every_environment_of_gymnax_keeps_the_contract(name, mnist):
    with jax.numpy_rank_promotion("allow"):  # as gymnax's Swimmer wants it
        envs.check_environment(*envs.make(name))


def test_compiled_rollout_agrees_with_the_steps_by_hand():
    env, params = LegacyGymnax(Legacy()), TinyParams()
    _, state = env.reset(KEY, params)

    def step(state, action):
        obs, state, _, _, truncated, info = env.step(KEY, state, action, params)
        return state, (obs, truncated, info["final_observation"])

    actions = np.array([0, 0, 0, 0, 1])
    state = jax.tree.map(lambda x: jnp.int32(x), state)
    _, (obs, truncated, final) = jax.jit(lambda s: jax.lax.scan(step, s, actions))(state)
    assert obs[:, 0].tolist() == [1, 2, 0, 1, 0]
    assert truncated.tolist() == [False, False, True, False, False]
    assert final[:, 0].tolist() == [1, 2, 3, 1, 2]
