"""Environments whose ``reset`` and ``step`` take or return what they must not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bad.sound import Sound, Table
from envs.spaces import Box, Dict, Discrete, Tuple

FAULTS = Table()
fault = FAULTS.fault
HERE = r".*envs_results\.py:\d+"  # an exception of the user's comes with the line of the file


def without(method: str) -> type:
    """Return a class with all of ``Sound`` but one method, by the name ``No`` and the method's."""
    rest = {k: v for k, v in vars(Sound).items() if k not in (method, "__dict__", "__weakref__")}
    return type(f"No_{method}", (), rest)


for _method in ("reset", "step", "observation_space", "action_space"):
    globals()[f"No_{_method}"] = fault(rf"no '?{_method}")(without(_method))


# What reset takes and returns.


@fault(r"reset returns .*\(obs, state\)")
class ResetOfOne(Sound):
    def reset(self, key, params):
        return super().reset(key, params)[0]


@fault(r"reset returns 3 values.*\(obs, state\)")
class ResetOfThree(Sound):
    def reset(self, key, params):
        return (*super().reset(key, params), {})


@fault(r"reset returns .*None.*\(obs, state\)")
class ResetOfNone(Sound):
    def reset(self, key, params):
        super().reset(key, params)


@fault(r"reset returns list.*\(obs, state\)")
class ResetOfList(Sound):
    def reset(self, key, params):
        return list(super().reset(key, params))


@fault(r"reset returns dict.*\(obs, state\)")
class ResetOfDict(Sound):
    def reset(self, key, params):
        obs, state = super().reset(key, params)
        return {"obs": obs, "state": state}


@fault("reset.*generator")
class ResetYields(Sound):
    def reset(self, key, params):
        yield super().reset(key, params)


@fault("reset.*coroutine")
class ResetAsync(Sound):
    async def reset(self, key, params):
        return super().reset(key, params)


@fault("observation from reset")
class ResetSwapped(Sound):
    def reset(self, key, params):
        return super().reset(key, params)[::-1]


@fault(r"reset\(\).* positional argument")
class ResetWithoutArguments(Sound):
    def reset(self):
        return super().reset(None, None)


@fault(r"reset\(\) missing 1 required positional argument: 'options'")
class ResetWithMore(Sound):
    def reset(self, key, params, options):
        return super().reset(key, params)


@fault("reset.*int")
class ResetIsNumber(Sound):
    reset = 3


@fault("reset.*NoneType")
class ResetIsNone(Sound):
    reset = None


@fault("ValueError: my reset failed" + HERE)
class ResetRaises(Sound):
    def reset(self, key, params):
        raise ValueError("my reset failed")


@fault("ValueError: first line" + HERE)
class ResetRaisesLines(Sound):
    def reset(self, key, params):
        raise ValueError("first line\nsecond line\nthird line")


@fault("AssertionError" + HERE)
class ResetRaisesNothing(Sound):
    def reset(self, key, params):
        raise AssertionError


@fault("StopIteration" + HERE)
class ResetStops(Sound):
    def reset(self, key, params):
        return next(iter(()))


@fault("SystemExit: 0" + HERE)
class ResetExits(Sound):
    def reset(self, key, params):
        raise SystemExit(0)


@fault("RecursionError" + HERE)
class ResetRecursion(Sound):
    def reset(self, key, params):
        return self.reset(key, params)


@fault("KeyError: 'missing'" + HERE)
class ResetKeyError(Sound):
    def reset(self, key, params):
        return {}["missing"]


# What step takes and returns.


@fault(r"step returns 4 values.*terminated, truncated, info")
class StepOfFour(Sound):
    def step(self, key, state, action, params):
        return super().step(key, state, action, params)[:4]


@fault(r"step returns 7 values.*terminated, truncated, info")
class StepOfSeven(Sound):
    def step(self, key, state, action, params):
        return (*super().step(key, state, action, params), 7)


@fault(r"step returns .*None.*terminated, truncated, info")
class StepOfNone(Sound):
    def step(self, key, state, action, params):
        super().step(key, state, action, params)


@fault(r"step returns .*terminated, truncated, info")
class StepOfArray(Sound):
    def step(self, key, state, action, params):
        return super().step(key, state, action, params)[0]


@fault(r"step returns list.*terminated, truncated, info")
class StepOfList(Sound):
    def step(self, key, state, action, params):
        return list(super().step(key, state, action, params))


@fault(r"step returns dict.*terminated, truncated, info")
class StepOfDict(Sound):
    def step(self, key, state, action, params):
        return dict(enumerate(super().step(key, state, action, params)))


@fault("state|reward|step")
class StepOfGymnasium(Sound):
    """Five values, but those of gymnasium: there is no state among them."""

    def step(self, key, state, action, params):
        obs, _, *others = super().step(key, state, action, params)
        return (obs, *others)


@fault("observation|reward|step")
class StepOfOldGym(Sound):
    """Five values with the flag before the reward."""

    def step(self, key, state, action, params):
        obs, state, reward, ended, _, info = super().step(key, state, action, params)
        return obs, state, ended, info, reward


@fault("observation from step")
class StepSwapped(Sound):
    def step(self, key, state, action, params):
        obs, state, *others = super().step(key, state, action, params)
        return (state, obs, *others)


@fault(r"step\(\).* positional argument")
class StepWithoutAction(Sound):
    def step(self, key, state):
        return super().step(key, state, 0, self.default_params)


@fault(r"step\(\) missing 1 required positional argument: 'more'")
class StepWithMore(Sound):
    def step(self, key, state, action, params, more):
        return super().step(key, state, action, params)


@fault("step.*str")
class StepIsText(Sound):
    step = "step"


@fault("RuntimeError: my step failed" + HERE)
class StepRaises(Sound):
    def step(self, key, state, action, params):
        raise RuntimeError("my step failed")


@fault("RecursionError" + HERE)
class StepRecursion(Sound):
    def step(self, key, state, action, params):
        return self.step(key, state, action, params)


@fault("AttributeError.*'tme'" + HERE)
class StepMisspelt(Sound):
    def move(self, state, action):
        return state.tme


@fault("TypeError" + HERE)
class StepAddsShapes(Sound):
    def reward(self, action):
        return jnp.sum(jnp.zeros(3) + jnp.zeros(4))


@fault("NotImplementedError" + HERE)
class StepNotWritten(Sound):
    def step(self, key, state, action, params):
        raise NotImplementedError


# Observations that are not what their space says.


def showing(name: str, words: str, obs: Any, space: Any = None) -> None:
    """Enter an environment that always shows ``obs``."""

    def observe(self: Sound, state: Any) -> Any:
        return obs

    methods: dict[str, Any] = {"observe": observe}
    if space is not None:
        methods["observation_space"] = lambda self, params: space
    globals()[name] = fault(words)(type(name, (Sound,), methods))


BOX = Box(-1.0, 1.0, (2,))
PAIR = Dict({"a": BOX, "b": Discrete(3)})
ROW = jnp.zeros(2)
showing("ObsNone", "observation.*(missing|None)", None)
showing("ObsText", "(observation|reset).*str", "wall")
showing("ObsObjects", "(observation|reset).*object", np.array([object(), object()]))
showing("ObsTextArray", "(observation|reset).*<U4", np.array(["wall", "door"]))
showing("ObsListOfNumbers", "observation.*list", [0.0, 0.0])
showing("ObsShape", r"observation.*float32\[3\].*float32\[2\]", jnp.zeros(3))
showing("ObsBatched", r"observation.*float32\[1,2\].*float32\[2\]", jnp.zeros((1, 2)))
showing("ObsScalar", r"observation.*float32\[\].*float32\[2\]", jnp.float32(0))
showing("ObsPythonNumber", r"observation.*float.*float32\[2\]", 0.5)
showing("ObsComplex", r"observation.*complex64\[2\]", jnp.zeros(2, jnp.complex64))
showing("ObsKey", "observation.*key", jax.random.split(jax.random.key(0), 2))
showing("ObsFloatForCategory", r"observation.*float32\[\].*int32", jnp.float32(0), Discrete(3))
showing("ObsBoolForCategory", r"observation.*bool\[\].*int32", jnp.bool_(True), Discrete(3))
showing("ObsDictForBox", "observation.*dict", {"a": ROW})
showing("ObsBoxForDict", r"observation.*(parts|dict|float32\[2\])", ROW, PAIR)
showing("ObsLacksPart", r"observation.*\['a'\].*'b'", {"a": ROW}, PAIR)
showing("ObsHasMoreParts", "observation.*'c'", {"a": ROW, "b": jnp.int32(0), "c": ROW}, PAIR)
showing("ObsPartOfWrongShape", r"\['a'\].*float32\[3\]", {"a": jnp.zeros(3), "b": 0}, PAIR)
showing("ObsPartIsText", r"(observation|reset).*str", {"a": ROW, "b": "door"}, PAIR)
showing("ObsShortTuple", "observation.*(parts|tuple)", (ROW,), Tuple([BOX, Discrete(3)]))


@fault(r"observation from step.*float32\[3\].*float32\[2\]")
class ObsGrowsInStep(Sound):
    def reset(self, key, params):
        return jnp.zeros(2), self.first(key)

    def observe(self, state):
        return jnp.zeros(3)


@fault(r"observation from step.*complex64")
class ObsBecomesComplex(Sound):
    def reset(self, key, params):
        return jnp.zeros(2), self.first(key)

    def observe(self, state):
        return jnp.zeros(2, jnp.complex64)


@fault("observation from step.*dict")
class ObsBecomesDict(Sound):
    def reset(self, key, params):
        return jnp.zeros(2), self.first(key)

    def observe(self, state):
        return {"a": jnp.zeros(2)}


# Rewards, flags and info.


def returning(part: str, name: str, words: str, value: Any) -> None:
    """Enter an environment whose method ``part`` returns ``value``."""
    globals()[name] = fault(words)(type(name, (Sound,), {part: lambda self, _: value}))


for _name, _words, _value in (
    ("RewardNone", "reward.*(missing|None)", None),
    ("RewardText", "(reward|step).*str", "good"),
    ("RewardRow", r"reward.*float32\[1\]", jnp.zeros(1)),
    ("RewardMatrix", r"reward.*float32\[2,2\]", jnp.zeros((2, 2))),
    ("RewardComplex", r"reward.*complex64\[\]", jnp.complex64(1)),
    ("RewardBool", r"reward.*bool\[\]", jnp.bool_(True)),
    ("RewardList", "reward.*list", [1.0]),
    ("RewardDict", "reward.*dict", {"a": jnp.float32(1)}),
    ("RewardKey", "reward.*key", jax.random.key(0)),
    ("RewardObject", "(reward|step).*object", object()),
):
    returning("reward", _name, _words, _value)
for _name, _words, _value in (
    ("FlagInt", r"terminated.*int32\[\].*bool", jnp.int32(0)),
    ("FlagFloat", r"terminated.*float32\[\].*bool", jnp.float32(0)),
    ("FlagNone", "terminated.*(missing|None)", None),
    ("FlagRow", r"terminated.*bool\[1\]", jnp.zeros(1, bool)),
    ("FlagText", "(terminated|step).*str", "no"),
    ("FlagList", "terminated.*list", [jnp.bool_(False)]),
):
    returning("flag", _name, _words, _value)
for _name, _words, _value in (
    ("TruncatedInt", r"truncated.*int32\[\].*bool", jnp.int32(0)),
    ("TruncatedNone", "truncated.*(missing|None)", None),
    ("TruncatedRow", r"truncated.*bool\[2\]", jnp.zeros(2, bool)),
    ("TruncatedDict", "truncated.*dict", {"why": jnp.bool_(False)}),
):
    returning("truncated", _name, _words, _value)
for _name, _words, _value in (
    ("InfoNone", "info.*final_observation", None),
    ("InfoList", "info.*final_observation", [1]),
    ("InfoWithoutFinal", "info.*final_observation", {"terminal_observation": ROW}),
    ("InfoFinalNone", "final_observation.*(missing|None)", {"final_observation": None}),
    ("InfoFinalShape", r"final_observation.*float32\[3\]", {"final_observation": jnp.zeros(3)}),
    ("InfoText", "(info|step).*(str|won)", {"final_observation": ROW, "why": "won"}),
    ("InfoObject", "(info|step).*object", {"final_observation": ROW, "why": object()}),
    ("InfoFunction", "(info|step).*function", {"final_observation": ROW, "why": lambda: 0}),
):
    returning("info", _name, _words, _value)
