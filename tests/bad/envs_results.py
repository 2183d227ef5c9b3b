"""Environments whose ``reset`` and ``step`` take or return what they must not."""

import jax.numpy as jnp
from bad.sound import Sound, Table

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


@fault(r"reset returns (a )?list.*\(obs, state\)")
class ResetOfList(Sound):
    def reset(self, key, params):
        return list(super().reset(key, params))


@fault(r"reset returns (a )?dict.*\(obs, state\)")
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


@fault(r"observation from reset|sound\.py:\d+")
class ResetSwapped(Sound):
    def reset(self, key, params):
        return super().reset(key, params)[::-1]


@fault(r"reset\(\).* positional argument")
class ResetWithoutArguments(Sound):
    def reset(self):
        return super().reset(None, None)


@fault(r"reset\(\) missing .*'options'")
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


@fault(r"step returns (a )?list.*terminated, truncated, info")
class StepOfList(Sound):
    def step(self, key, state, action, params):
        return list(super().step(key, state, action, params))


@fault(r"step returns (a )?dict.*terminated, truncated, info")
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


@fault(r"step\(\) missing .*'more'")
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
