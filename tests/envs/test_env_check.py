"""check_environment finds each planted fault and says so in one sentence."""

import jax.numpy as jnp
import pytest
from tiny_env import Legacy, Tiny, TinyParams, TinyState

import envs
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
        "environment 'Odd': reset returns ShapeDtypeStruct, but must return (obs, state)",
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
        "environment 'Tiny': the observation space is 'any', but must be one of those in "
        "envs.spaces",
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
    "action space": (
        Tiny(actions=Tuple([Discrete(2)])),
        "environment 'Tiny': the action space is Tuple((Discrete(2, dtype=int32),)), but must be "
        "one of Discrete, MultiDiscrete and Box of envs.spaces",
    ),
}


def test_any_numbers_will_do_for_a_box():
    envs.check_environment(observing(jnp.zeros(2, jnp.int32), BOX), TinyParams())


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


def test_the_environments_own_exception_surfaces():
    class Broken(Tiny):
        def reward(self, time, action):
            raise KeyError("the environment's own")

    with pytest.raises(KeyError, match="the environment's own"):
        envs.check_environment(Broken(), TinyParams())
