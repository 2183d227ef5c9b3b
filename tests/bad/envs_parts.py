"""Environments whose observations, rewards, flags and ``info`` are not what they must be."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from bad.sound import Sound, Table

from envs.spaces import Box, Dict, Discrete, Tuple

FAULTS = Table()
fault = FAULTS.fault


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
