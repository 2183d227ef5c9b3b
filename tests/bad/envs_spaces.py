"""Environments whose spaces are none, are upside down, or are not ours."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
from bad.sound import Sound, Table

from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

FAULTS = Table()
MAY_WORK: set[str] = set()  # what may be understood as it is meant
NAN, INF = float("nan"), float("inf")
HERE = r".*envs_spaces\.py:\d+"


class OwnDiscrete:
    """Looks like Discrete, but is no space of ours."""

    n, shape, dtype = 2, (), jnp.int32

    def sample(self, key: Any) -> Any:
        return jnp.int32(0)


def acting(name: str, words: str, make: Callable[[], Any], may_work: bool = False) -> None:
    """Enter an environment whose action space is what ``make`` returns."""
    methods = {
        "action_space": lambda self, params: make(),
        "reward": lambda self, action: jnp.float32(0),
    }
    globals()[name] = FAULTS.fault(words)(type(name, (Sound,), methods))
    MAY_WORK.update([name] * may_work)


def showing(name: str, words: str, make: Callable[[], Any], may_work: bool = False) -> None:
    """Enter an environment whose observation space is what ``make`` returns, and fits it."""

    def observe(self: Sound, state: Any) -> Any:
        space = make()
        if isinstance(space, Dict):
            return {key: jnp.zeros(2) for key in space.spaces}
        shape = getattr(space, "shape", (2,))
        sound = isinstance(shape, tuple) and all(isinstance(n, int) and n < 9 for n in shape)
        return jnp.zeros(shape if sound else 2, getattr(space, "dtype", None) or jnp.float32)

    methods = {"observation_space": lambda self, params: make(), "observe": observe}
    globals()[name] = FAULTS.fault(words)(type(name, (Sound,), methods))
    MAY_WORK.update([name] * may_work)


for _name, _words, _make in (
    ("ActNone", "None", lambda: None),
    ("ActNumber", "2", lambda: 2),
    ("ActText", "Discrete", lambda: "Discrete(2)"),
    ("ActList", "0, 1", lambda: [0, 1]),
    ("ActClass", "Discrete", lambda: Discrete),
    ("ActDict", "Dict", lambda: Dict({"a": Discrete(2)})),
    ("ActTuple", "Tuple", lambda: Tuple([Discrete(2), Discrete(2)])),
    ("ActOwn", "OwnDiscrete", OwnDiscrete),
    ("ActRaises", "ZeroDivisionError" + HERE, lambda: 1 // 0),
    ("DiscreteZero", "Discrete.*0", lambda: Discrete(0)),
    ("DiscreteNegative", "(Discrete|AssertionError).*(-1|envs_spaces)", lambda: Discrete(-1)),
    ("DiscreteFraction", r"Discrete.*2\.5", lambda: Discrete(2.5)),
    ("DiscreteNaN", "Discrete|nan|AssertionError", lambda: Discrete(NAN)),
    ("DiscreteText", "'2'|envs_spaces", lambda: Discrete("2")),
    ("DiscreteNone", "None", lambda: Discrete(None)),
    ("DiscreteRow", r"Discrete.*2.*3|array", lambda: Discrete(np.array([2, 3]))),
    ("DiscreteHuge", "Discrete.*10000000000|GiB", lambda: Discrete(10**10)),
    ("DiscreteHugeLogits", "Discrete.*2000000000|GiB", lambda: Discrete(2 * 10**9)),
    ("MultiEmpty", r"MultiDiscrete.*\[\]", lambda: MultiDiscrete([])),
    ("MultiZero", r"MultiDiscrete.*\[2, 0\]", lambda: MultiDiscrete([2, 0])),
    ("MultiFraction", r"MultiDiscrete.*2\.5", lambda: MultiDiscrete([2.5, 3])),
    ("MultiMatrix", "MultiDiscrete.*2, 2", lambda: MultiDiscrete([[2, 2], [2, 2]])),
    ("MultiText", "MultiDiscrete.*two|two.*envs_spaces", lambda: MultiDiscrete(["two"])),
    ("MultiHuge", "MultiDiscrete.*10000000000|10000000000", lambda: MultiDiscrete([10**10, 2])),
    ("ActIntegers", "int32", lambda: Box(-3, 3, (2,), jnp.int32)),
    ("ActBytes", "uint8", lambda: Box(0, 255, (2,), jnp.uint8)),
    ("ActFlags", "bool", lambda: Box(0, 1, (2,), jnp.bool_)),
    ("ActComplex", "complex64", lambda: Box(-1, 1, (2,), jnp.complex64)),
    ("ActMatrix", r"Box.*2, 2", lambda: Box(-1.0, 1.0, (2, 2))),
    ("ActScalar", r"Box", lambda: Box(-1.0, 1.0, ())),
    ("ActEmptyBox", r"Box.*0", lambda: Box(-1.0, 1.0, (0,))),
    ("ActUpsideDown", r"Box.*1.*-1", lambda: Box(1.0, -1.0, (2,))),
    ("ActPartlyUpsideDown", "Box", lambda: Box(jnp.zeros(2), jnp.array([1.0, -1.0]), (2,))),
    ("ActNaN", "Box.*(?i:nan)", lambda: Box(NAN, 1.0, (2,))),
    ("ActLowInfinite", "Box.*inf", lambda: Box(INF, INF, (2,))),
    ("ActNoRoom", r"Box.*1", lambda: Box(1.0, 1.0, (2,))),
    ("ActTextBounds", "low|str|Box", lambda: Box("low", "high", (2,))),
    ("ActNoneBounds", "None|Box", lambda: Box(None, None, (2,))),
    ("ActBoundsOfOtherShape", "Box|shape", lambda: Box(jnp.zeros(3), jnp.ones(3), (2,))),
    ("ActNegativeShape", "-2", lambda: Box(-1.0, 1.0, (-2,))),
    ("ActFractionShape", r"2\.5", lambda: Box(-1.0, 1.0, (2.5,))),
    ("ActTextShape", "two", lambda: Box(-1.0, 1.0, ("two",))),
    ("ActWrongDtype", "flaot32|envs_spaces", lambda: Box(-1.0, 1.0, (2,), "flaot32")),
    ("ActHugeBox", "Box.*1000000000000", lambda: Box(-1.0, 1.0, (10**12,))),
    ("GymnasiumActs", "gymnasium|Discrete", lambda: gymnasium.spaces.Discrete(2)),
    ("GymnasiumBoxActs", "Box", lambda: gymnasium.spaces.Box(-1.0, 1.0, (2,))),
    ("GymnasiumFlags", "MultiBinary", lambda: gymnasium.spaces.MultiBinary(2)),
):
    acting(_name, _words, _make)

for _name, _words, _make in (
    ("SeeNone", "None", lambda: None),
    ("SeeNumber", "2", lambda: 2),
    ("SeeText", "Box", lambda: "Box"),
    ("SeeClass", "Box", lambda: Box),
    ("SeeShape", r"\(2,\)", lambda: (2,)),
    ("SeePlainDict", "'a'", lambda: {"a": Box(-1.0, 1.0, (2,))}),
    ("SeeEmptyDict", r"Dict|\[\]", lambda: Dict({})),
    ("SeeEmptyTuple", r"Tuple|\[\]", lambda: Tuple([])),
    ("SeeNested", "Box", lambda: Dict({"a": gymnasium.spaces.Box(-1.0, 1.0, (2,))})),
    ("SeeRaises", "ZeroDivisionError" + HERE, lambda: 1 // 0),
    ("SeeNoCategory", "Discrete.*0", lambda: Discrete(0)),
    ("SeeHugeCategory", "Discrete.*2000000000|GiB", lambda: Discrete(2 * 10**9)),
    ("SeeUpsideDown", "Box.*1.*-1", lambda: Box(1.0, -1.0, (2,))),
    ("SeeNaN", "Box.*(?i:nan)", lambda: Box(-1.0, NAN, (2,))),
    ("SeeNaNs", "Box.*(?i:nan)", lambda: Box(jnp.array([NAN, 0.0]), jnp.ones(2), (2,))),
    ("SeeComplex", "complex64", lambda: Box(-1, 1, (2,), jnp.complex64)),
    ("SeeTextBounds", "low|str|Box", lambda: Box("low", "high", (2,))),
    ("SeeBoundsOfOtherShape", "Box|shape", lambda: Box(jnp.zeros(3), jnp.ones(3), (2,))),
    ("SeeNegativeShape", "-2", lambda: Box(-1.0, 1.0, (-2,))),
    ("SeeTextShape", "two", lambda: Box(-1.0, 1.0, ("two",))),
    ("SeeHuge", "1000000000000", lambda: Box(-1.0, 1.0, (10**12,))),
    ("SeeNothing", r"0", lambda: Box(-1.0, 1.0, (0,))),
    ("GymnasiumSees", "Box", lambda: gymnasium.spaces.Box(-1.0, 1.0, (2,))),
):
    showing(_name, _words, _make)

acting("ActListBounds", "Box", lambda: Box([-1.0, -1.0], [1.0, 1.0], (2,)), may_work=True)
showing("SeeListBounds", "Box", lambda: Box([-1.0, -1.0], [1.0, 1.0], (2,)), may_work=True)
showing("SeeShapeAsNumber", "Box|shape|2", lambda: Box(-1.0, 1.0, 2), may_work=True)
showing("SeeShapeAsList", "Box|shape|2", lambda: Box(-1.0, 1.0, [2]), may_work=True)


@FAULTS.fault("(?i:action_space).*Discrete")
class ActAttribute(Sound):
    action_space = Discrete(2)


@FAULTS.fault("(?i:observation_space).*Box")
class SeeAttribute(Sound):
    observation_space = Box(-1.0, 1.0, (2,))


@FAULTS.fault(r"observation_space\(\).*'seed'")
class SeeWithMore(Sound):
    def observation_space(self, params, seed):
        return super().observation_space(params)


# Nothing to choose, or nothing to see but what is appended.
MAY_WORK |= {"ActAttribute", "SeeAttribute", "ActNoRoom", "SeeNothing"}
