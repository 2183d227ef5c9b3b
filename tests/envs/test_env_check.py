"""check_environment finds each planted fault and says so in one sentence."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Probe
from tiny_env import Legacy, Tiny, TinyParams, TinyState

import envs
from envs.check import begins_anew
from envs.spaces import Box, Dict, Discrete, Tuple
from ssmrl.errors import UsageError

STEP = ("obs", "state", "reward", "terminated", "truncated", "info")


def faulty(**replaced):
    """Return a Tiny whose step gives other values for some of its six."""

    class Faulty(Tiny):
        def step(self, *args):
            values = dict(zip(STEP, super().step(*args), strict=True))
            return tuple({**values, **replaced}.values())

    return Faulty()


class LooseReset(Tiny):
    """Its state holds a Python number after reset: only the weak type differs."""

    def reset(self, key, params):
        return self.observe(jnp.int32(0)), TinyState(0)


def observing(obs, space):
    return Tiny(observe=lambda t: obs, space=space)


BOX = Box(0, 9, (2,), jnp.float32)
FAULTS = {
    "five values": (
        Legacy(),
        "environment 'Legacy': step returns 5 values, but must return (obs, state, reward, "
        "terminated, truncated, info); wrap it in envs.LegacyGymnax",
    ),
    "no tuple": (
        type("Odd", (Tiny,), {"reset": lambda self, key, params: jnp.zeros(1)})(),
        "environment 'Odd': reset returns an array, but must return (obs, state)",
    ),
    "observation's shape": (
        observing(jnp.zeros((3, 2)), BOX),
        "environment 'Tiny': the observation from reset is float32[3,2], but the observation "
        "space says float32[2]",
    ),
    "observation's dtype": (
        observing(jnp.float32(1), Discrete(2)),
        "environment 'Tiny': the observation from reset is float32[], but the observation space "
        "says int32[]",
    ),
    "observation of step": (
        faulty(obs=jnp.zeros(2)),
        "environment 'Faulty': the observation from step is float32[2], but the observation "
        "space says float32[1]",
    ),
    "leaf of a Dict": (
        observing(
            {"a": jnp.zeros(2), "b": (jnp.float32(0),)}, Dict({"a": BOX, "b": Tuple([Discrete(2)])})
        ),
        "environment 'Tiny': the observation from reset['b'][0] is float32[], but the observation "
        "space says int32[]",
    ),
    "part of a Dict": (
        observing({"a": jnp.zeros(2)}, Dict({"a": BOX, "b": BOX})),
        "environment 'Tiny': the observation from reset has the parts ['a'], but the observation "
        "space has ['a', 'b']",
    ),
    "array for a Dict": (
        observing(jnp.zeros(2), Dict({"a": BOX})),
        "environment 'Tiny': the observation from reset has the parts [], but the observation "
        "space has ['a']",
    ),
    "array for a Tuple": (
        observing(jnp.zeros(2), Tuple([BOX])),
        "environment 'Tiny': the observation from reset has the parts [], but the observation "
        "space has [0]",
    ),
    "unknown observation space": (
        observing(jnp.zeros(2), "any"),
        "environment 'Tiny': the observation space is 'any', but must be one of Discrete, "
        "MultiDiscrete, Box, Dict and Tuple of envs.spaces",
    ),
    "flag": (
        faulty(terminated=jnp.float32(0)),
        "environment 'Faulty': terminated is float32[], but must be bool[]",
    ),
    "flag's shape": (
        faulty(truncated=jnp.zeros(1, bool)),
        "environment 'Faulty': truncated is bool[1], but must be bool[]",
    ),
    "reward's shape": (
        faulty(reward=jnp.zeros(1)),
        "environment 'Faulty': the reward is float32[1], but must be a real scalar",
    ),
    "reward's dtype": (
        faulty(reward=jnp.zeros((), bool)),
        "environment 'Faulty': the reward is bool[], but must be a real scalar",
    ),
    "state's dtype": (
        faulty(state=TinyState(jnp.float32(0))),
        "environment 'Faulty': state.time is float32[] after step, but int32[] after reset; both "
        "must be the same for lax.scan",
    ),
    "state's structure": (
        faulty(state=TinyState(None)),
        "environment 'Faulty': state.time is missing after step, but int32[] after reset; both "
        "must be the same for lax.scan",
    ),
    "final_observation missing": (
        faulty(info={}),
        "environment 'Faulty': info from step has no 'final_observation', but must hold the "
        "observation before the auto-reset",
    ),
    "final_observation's shape": (
        faulty(info={"final_observation": jnp.zeros(())}),
        "environment 'Faulty': info['final_observation'] is float32[], but the observation space "
        "says float32[1]",
    ),
    "text in the observation": (
        observing({"a": "text"}, Dict({"a": BOX})),
        "environment 'Tiny': obs['a'] from reset is a str, 'text', but must be numbers or arrays "
        "of them",
    ),
    "object in info": (
        faulty(info={"final_observation": jnp.zeros(1), "map": [np.array([None])]}),
        "environment 'Faulty': info['map'][0] from step is an array of object, but must be numbers "
        "or arrays of them",
    ),
    "text in the state": (
        type("Odd", (Tiny,), {"reset": lambda *_: (jnp.zeros(1), TinyState("start"))})(),
        "environment 'Odd': state.time from reset is a str, 'start', but must be numbers or arrays "
        "of them",
    ),
    "complex observation": (
        observing(jnp.zeros(2, jnp.complex64), BOX),
        "environment 'Tiny': the observation from reset is complex64[2], but the observation space "
        "says float32[2]",
    ),
    "action space": (
        Tiny(actions=Tuple([Discrete(2)])),
        "environment 'Tiny': the action space is Tuple((Discrete(2, dtype=int32),)) of gymnax, but "
        "must be one of Discrete, MultiDiscrete and Box of envs.spaces",
    ),
}


@pytest.mark.parametrize(
    "obs", [jnp.zeros(2, jnp.int32), jnp.zeros(2, bool), np.zeros(2), np.zeros(2, np.uint8)]
)
def test_any_real_numbers_will_do_for_a_box(obs):
    envs.check_environment(observing(obs, BOX), TinyParams())


def test_float64_of_numpy_will_do():
    space = Box(np.zeros(2), np.array([9.0, np.inf]), (2,), np.float64)
    envs.check_environment(
        Tiny(actions=space, observe=lambda t: np.ones(2), space=space), TinyParams()
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named(fault):
    env, sentence = FAULTS[fault]
    with pytest.raises(UsageError) as caught:
        envs.check_environment(env, TinyParams())
    assert str(caught.value) == sentence


def test_a_state_of_another_kind_with_the_same_leaves():
    class Other(TinyState):
        pass

    class Changing(Tiny):
        def reset(self, key, params):
            return self.observe(jnp.int32(0)), (jnp.int32(0),)

        def step(self, key, state, action, params):
            obs, _, *rest = super().step(key, TinyState(state[0]), action, params)
            return obs, [jnp.int32(0)], *rest

    with pytest.raises(UsageError, match=r"'Changing': the state is PyTreeDef\(\[\*\]\) after"):
        envs.check_environment(Changing(), TinyParams())


@pytest.mark.parametrize("env", [Tiny(), LooseReset()])
def test_sound_environment_passes(env):
    envs.check_environment(env, TinyParams())


def raising(method, error):
    """Return a Tiny, one of whose methods raises."""

    def broken(self, *args):
        raise error

    return type("Broken", (Tiny,), {method: broken})()


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (raising("reward", KeyError("own")), "environment 'Broken': KeyError: 'own' ({here})"),
        (raising("action_space", OSError()), "environment 'Broken': OSError in broken ({here})"),
        (
            raising("observation_space", SystemExit(3)),
            "environment 'Broken': SystemExit: 3 ({here})",
        ),
    ],
)
def test_what_the_environments_own_code_raises(env, sentence):
    with pytest.raises(UsageError) as caught:
        envs.check_environment(env, TinyParams())
    line = raising.__code__.co_firstlineno + 4
    assert str(caught.value) == sentence.format(here=f"{__file__}:{line}")
    assert not isinstance(caught.value.__cause__, UsageError | None)


def test_what_only_many_side_by_side_show():
    """A callback that cannot be vmapped passes where one environment is traced alone."""
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    asking = faulty()
    asking.reward = lambda time, action: jax.pure_callback(np.float32, shape, time)
    with pytest.raises(UsageError, match=r"'Faulty': NotImplementedError: .* vmap"):
        envs.check_environment(asking, TinyParams())


def test_what_differs_between_the_halves_of_gymnaxs_step_is_named():
    class Halves(Probe):
        def step_env(self, *args):
            obs, state, *rest = super().step_env(*args)
            return obs, state.replace(cue=jnp.float32(state.cue)), *rest

    sentence = "'Halves': state.cue is float32[] after step, but int32[] after reset; both must be"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        envs.check_environment(Halves(), Halves().default_params)

    class Shapes(Probe):
        def observe(self, key, state, action, params):
            return jnp.zeros(1 if action is None else 2)

    sentence = "'Shapes': the observation from step is float32[2], but the observation space says"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        envs.check_environment(Shapes(), Shapes().default_params)


class Drawn(Probe):
    """Its reset draws the cue; gymnax's own step begins anew."""


class GoesOn(Drawn):
    """Its step never begins anew."""

    def step(self, key, state, action, params):
        obs, state, reward, terminated, info = self.step_env(key, state, action, params)
        info |= {"final_observation": obs}
        return obs, state, reward, terminated, jnp.bool_(False), info


class KeepsItsKey(GoesOn):
    """Draws by a key in its state, so that it may begin anew without that of its step."""

    def reset(self, key, params):
        obs, state = super().reset_env(key, params)
        return obs, (state, key)

    def step(self, key, state, action, params):
        obs, state, *rest = super().step(key, state[0], action, params)
        return obs, (state, jax.random.fold_in(key, 1)), *rest


@pytest.mark.parametrize(
    ("env", "expected"), [(Drawn(), True), (GoesOn(), False), (Tiny(), True), (KeepsItsKey(), True)]
)
def test_whether_step_begins_anew(env, expected):
    envs.check_environment(env, env.default_params)
    assert begins_anew(env, env.default_params) is expected
