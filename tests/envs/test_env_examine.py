"""The examination of an environment: sound ones pass, and each planted fault is found and named."""

import itertools

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import Probe, Value
from tiny_env import Legacy, LegacyWithoutParams, Tiny, TinyState

import envs
from agents.cli import main
from envs.adapters import LegacyGymnax
from envs.examine import examine
from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple, contains


@struct.dataclass
class LuckyState(TinyState):
    luck: jax.Array


class Lucky(Tiny):
    """Tiny with a number drawn at reset and shown: every episode is another."""

    def see(self, state):
        return jnp.stack([state.time.astype(jnp.float32), state.luck])

    def observation_space(self, params):
        return Box(0.0, 10.0, (2,), jnp.float32)

    def reset(self, key, params):
        state = LuckyState(jnp.int32(0), jax.random.uniform(key))
        return self.see(state), state

    def step(self, key, state, action, params):
        state = LuckyState(state.time + 1, state.luck)
        final, first = self.see(state), self.reset(key, params)
        ended = state.time >= params.max_steps_in_episode
        obs, state = jax.tree.map(lambda a, b: jnp.where(ended, a, b), first, (final, state))
        truncated = jnp.zeros((), bool)
        return obs, state, jnp.float32(1), ended, truncated, {"final_observation": final}


def changed(**changes):
    """Return a Lucky whose step's values are changed by functions of themselves."""
    names = ("obs", "state", "reward", "terminated", "truncated", "final")

    class Changed(Lucky):
        def step(self, key, state, action, params):
            *values, info = super().step(key, state, action, params)
            step = dict(zip(names, [*values, info["final_observation"]], strict=True))
            step |= {name: change(step, key) for name, change in changes.items()}
            return *(step[name] for name in names[:5]), {"final_observation": step["final"]}

    return Changed()


def ended(step):
    return step["terminated"] | step["truncated"]


class Numpy(Lucky):
    def step(self, key, state, action, params):
        obs, state, _, *rest = super().step(key, state, action, params)
        return obs, state, jnp.float32(np.random.default_rng().random()), *rest


class Counts(Lucky):
    def __init__(self):
        super().__init__()
        self.steps = 0

    def step(self, key, state, action, params):
        self.steps += 1
        return super().step(key, state, action, params)


class Leaks(Lucky):
    def __init__(self):
        super().__init__()
        self.history = []

    def step(self, key, state, action, params):
        self.history.append(action)
        return super().step(key, state, action, params)


class PythonIf(Lucky):
    def step(self, key, state, action, params):
        if action > 0:
            return super().step(key, state, action, params)
        return super().step(key, state, action, params)


class WeaklyTyped(Lucky):
    def reset(self, key, params):
        obs, state = super().reset(key, params)
        return obs, state.replace(time=0)

    def step(self, key, state, action, params):
        obs, state, *rest = super().step(
            key, state.replace(time=jnp.int32(state.time)), action, params
        )
        return obs, state.replace(time=jnp.int32(state.time)), *rest


class LeakyLegacy(Legacy):
    def __init__(self):
        self.history = []

    def step_env(self, key, state, action, params):
        self.history.append(action)
        return super().step_env(key, state, action, params)


class NumpyInJit(Probe):
    """As the README's: gymnax's class compiles reset and step, so that chance is drawn once."""

    def reset_env(self, key, params):
        obs, state = super().reset_env(key, params)
        return obs * np.random.default_rng().random(), state


class CountsInJit(Probe):
    def __init__(self):
        super().__init__()
        self.steps = 0

    def step_env(self, key, state, action, params):
        self.steps += 1
        return super().step_env(key, state, action, params)


class GoesOnWithWhatItTraced(Probe):
    """Is found though gymnax's class compiles its step."""

    last = 0.0

    def reward(self, state, action, params):
        reward, self.last = self.last + action, jnp.float32(action)
        return reward


class NoSpace(Probe):
    def action_space(self, params=None):
        return 1 // 0


class Unbounded(Lucky):
    """Takes any number for an action, and pays by it."""

    def __init__(self, low=-jnp.inf, high=jnp.inf):
        super().__init__()
        self.bounds = low, high

    def action_space(self, params):
        return Box(*self.bounds, (2,), jnp.float32)

    def step(self, key, state, action, params):
        obs, state, _, *rest = super().step(key, state, action, params)
        return obs, state, jnp.tanh(action.sum()), *rest


class Matrix(Lucky):
    def action_space(self, params):
        return Box(-1.0, 1.0, (2, 2), jnp.float32)


class Counter(Lucky):
    """Shows a large number, and another one as the final observation."""

    def see(self, state):
        return 1_000_000 + state.time

    def observation_space(self, params):
        return Discrete(2_000_000)

    def step(self, key, state, action, params):
        *values, info = super().step(key, state, action, params)
        return *values, {"final_observation": info["final_observation"] + 1}


class Miscounted(Counter):
    """Has one category more than it says."""

    def observation_space(self, params):
        return Dict({"number": Discrete(1_000_003), "rest": Box(-1.0, 1.0, (1,))})

    def see(self, state):
        return {"number": super().see(state), "rest": jnp.zeros(1)}

    step = Lucky.step


class GoesOn(Tiny):
    """Ends once, and begins nothing anew."""

    def step(self, key, state, action, params):
        time = state.time + 1
        ends = time == params.max_steps_in_episode
        obs = self.observe(time)
        no = jnp.bool_(False)
        return obs, TinyState(time), jnp.float32(1), ends, no, {"final_observation": obs}


class AlsoTerminates(Tiny):
    """Its flags are both up where the time is over."""

    def step(self, *args):
        *values, terminated, _, info = super().step(*args)
        return *values, terminated, terminated, info


tickets = itertools.count()


def from_outside(step, key):
    """A reward that the host makes up while the program runs."""
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    return jax.pure_callback(
        lambda _: np.float32(next(tickets)), shape, step["reward"], vmap_method="sequential"
    )


FAULTS = {
    "shape": (changed(obs=lambda s, _: s["obs"][:1]), "contract", "float32[1]"),
    "flag": (changed(truncated=lambda s, _: jnp.float32(0)), "contract", "truncated is float32[]"),
    "python-if": (PythonIf(), "contract", "cannot look at traced values"),
    "numpy-chance": (Numpy(), "purity", "draw every random number from the key"),
    "numpy-in-jit": (NumpyInJit(), "purity", "draw every random number from the key"),
    "attribute-in-jit": (CountsInJit(), "purity", "changed the attribute 'steps'"),
    "attribute": (Counts(), "purity", "changed the attribute 'steps'"),
    "tracer": (GoesOnWithWhatItTraced(), "purity", "may be kept outside the state"),
    "growing-list": (Leaks(), "purity", "changed the attribute 'history'"),
    "wrapped": (envs.wrap(LegacyGymnax(LeakyLegacy())), "purity", "the attribute 'history'"),
    "callback": (changed(reward=from_outside), "determinism", "gave other rewards"),
    "category": (Miscounted(), "observations", "holds a category that its space does not have"),
    "nan": (
        changed(reward=lambda s, _: jnp.where(ended(s), jnp.nan, 1.0)),
        "numbers",
        "a reward is not finite",
    ),
    "final": (
        changed(final=lambda s, _: s["obs"] * 0.5),
        "final observation",
        "is not the observation where no episode ends",
    ),
    "final-number": (Counter(), "final observation", "is not the observation where no episode"),
    "final-returned": (
        changed(obs=lambda s, _: s["final"]),
        "final observation",
        "return the first of the next episode",
    ),
    "no-reset": (
        changed(
            state=lambda s, _: s["state"].replace(
                time=jnp.where(ended(s), jnp.int32(9), s["state"].time)
            )
        ),
        "auto-reset",
        "after the first end every step ends an episode",
    ),
    "no-reset-once": (GoesOn(), "auto-reset", "after its first end no environment ended again"),
    "one-reset": (
        changed(
            state=lambda s, _: s["state"].replace(luck=jnp.where(ended(s), 0.5, s["state"].luck))
        ),
        "auto-reset",
        "begins in the same state",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(fault):
    env, subject, words = FAULTS[fault]
    found = {f.subject: f.fault for f in examine(env, env.default_params) if f.fault}
    assert words in found.get(subject, f"nothing: {found}")
    assert "\n" not in found[subject]


@pytest.mark.parametrize(
    "env",
    [Lucky(), Tiny(), Tiny(truncates=True), Unbounded(), Unbounded(5.0), Unbounded(-3.4e38, -5.0)],
    ids=["lucky", "ends", "cut", "unbounded", "bounded below", "bounded above"],
)
def test_sound_environment_passes(env):
    found = list(examine(env, env.default_params))
    assert len(found) == 9
    assert not [f for f in found if f.fault]


REMARKS = {
    "alike": (Tiny(), "determinism", "every episode begins alike, whatever the key"),
    "weak type": (WeaklyTyped(), "compilation", "state.time is a plain Python number"),
    "bounds": (
        changed(obs=lambda s, _: s["obs"] + 20, final=lambda s, _: s["final"] + 20),
        "observations",
        "an observation lies outside the observation space (32,768 of 32,768); widen it or clip",
    ),
    "both flags": (AlsoTerminates(), "auto-reset", "every truncation also terminates"),
    "bandit": (Value(), "auto-reset", "every episode is one step long"),
    "lost": (LegacyGymnax(LegacyWithoutParams()), "final observation", "is out of reach"),
    "lost below": (envs.wrap(LegacyGymnax(LegacyWithoutParams())), "final observation", "out of"),
}


@pytest.mark.parametrize("remark", REMARKS)
def test_what_is_no_fault_is_remarked(remark):
    env, subject, words = REMARKS[remark]
    found = {f.subject: f for f in examine(env, env.default_params)}
    assert words in found[subject].remark
    assert not [f.fault for f in found.values() if f.fault]


def test_nothing_is_remarked_where_there_is_nothing():
    assert not [f for f in examine(Lucky(), Lucky.default_params) if f.remark or f.fault]


def test_an_episode_without_end_is_remarked():
    endless = Tiny.default_params.replace(max_steps_in_episode=10**6)
    remarks = {f.subject: f.remark for f in examine(Lucky(), endless, num_steps=8)}
    assert "no episode of 32 ended within 8 steps" in remarks["determinism"]


def test_command(capsys):
    assert main(["check", "bsuite/MemoryChain", "--memory-length", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "fit for training"
    assert main(["check", "test_env_examine:Counts"]) == 1
    assert "FAULT  purity: reset or step changed" in capsys.readouterr().out
    assert main(["check", "popgym/Nothing"]) == 2
    assert main(["check", "test_env_examine:PythonIf"]) == 1  # cannot even be made
    assert (
        "FAULT  contract: environment 'test_env_examine:PythonIf': TracerBoolConversionError: "
        in (capsys.readouterr().out)
    )
    assert main(["check", "test_env_examine:NoSpace"]) == 1
    assert "FAULT  contract: environment 'NoSpace': ZeroDivisionError" in capsys.readouterr().out
    assert main(["check", "test_env_examine:Matrix"]) == 1
    assert "FAULT  action head: no action head for Box" in capsys.readouterr().out


OURS_KEEP = ("compilation", "observations", "final observation")  # what others may leave


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in envs.names() if n.startswith(("popgym/", "bsuite/", "recall/"))]
)
def test_every_environment_here_passes(name):
    env, params = envs.make(name)
    wrapped = envs.wrap(env, previous_action=True, previous_reward=True)
    for each in (env, wrapped):
        found = list(examine(each, params))
        assert not [f.fault for f in found if f.fault]
        assert not [f.remark for f in found if f.remark and f.subject in OURS_KEEP]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(gymnax.registered_envs))
def test_every_environment_of_gymnax_passes(name, mnist):
    with jax.numpy_rank_promotion("allow"):  # as gymnax's Swimmer wants it
        env, params = envs.make(name)
        assert not [f.fault for f in examine(env, params) if f.fault]


def test_bounds_of_every_kind_of_space():
    space = Dict({"a": Tuple([Discrete(3), Box(-1.0, 1.0, (2,))]), "b": MultiDiscrete([2, 5])})
    inside = {"a": (2, jnp.array([-1.0, 1.0])), "b": jnp.array([1, 4])}
    assert contains(space, inside)
    for part in (
        {"a": (3, inside["a"][1])},
        {"a": (0, jnp.array([0.0, 1.1]))},
        {"b": jnp.array([2, 0])},
        {"b": jnp.array([0, -1])},
    ):
        assert not contains(space, inside | part)
