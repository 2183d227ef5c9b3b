"""Environments whose states change, or hold what no array can."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
from bad.sound import Sound, Table

FAULTS = Table()
fault = FAULTS.fault


class Carrying(Sound):
    """Has beside the time a part ``x`` of the state, and hands on what ``after`` returns."""

    before = jnp.zeros(2)

    def first(self, key):
        return {"time": jnp.int32(0), "x": self.before}

    def step(self, key, state, action, params):
        obs = self.observe(state)
        after = {"time": (state["time"] + 1) % 5, "x": self.after(state["x"])}
        flag = jnp.bool_(False)
        return obs, after, jnp.float32(0), flag, flag, {"final_observation": obs}

    def after(self, x):
        return x


@fault(r"state.*x.*float32\[3\].*float32\[2\]")
class StateShape(Carrying):
    def after(self, x):
        return jnp.zeros(3)


@fault(r"state.*x.*float32\[4\].*float32\[2\]")
class StateGrows(Carrying):
    def after(self, x):
        return jnp.concatenate([x, x])


@fault(r"state.*x.*int32\[2\].*float32\[2\]")
class StateDtype(Carrying):
    def after(self, x):
        return x.astype(jnp.int32)


@fault(r"state.*x.*float32.*int32")
class StateBecomesFloat(Carrying):
    before = jnp.int32(1)

    def after(self, x):
        return x / 2


@fault("state.*x")
class StateBecomesTuple(Carrying):
    def after(self, x):
        return (x, x)


@fault("state.*x.*(missing|None)")
class StateBecomesNone(Carrying):
    def after(self, x):
        return None


@fault("state.*x.*(missing|None)")
class StateBeginsAsNone(Carrying):
    before = None

    def after(self, x):
        return jnp.zeros(2)


@fault("state.*x|state.*(tuple|list)")
class StateTupleBecomesList(Carrying):
    before = (jnp.zeros(2), jnp.zeros(2))

    def after(self, x):
        return list(x)


@fault("state.*more")
class StateGainsPart(Carrying):
    def step(self, key, state, action, params):
        obs, state, *others = super().step(key, state, action, params)
        return (obs, {**state, "more": jnp.zeros(2)}, *others)


@fault("state.*x")
class StateLosesPart(Carrying):
    def step(self, key, state, action, params):
        obs, state, *others = super().step(key, state, action, params)
        return (obs, {"time": state["time"]}, *others)


@fault("state.*x.*key|key.*state.*x")
class StateKeyBecomesNumbers(Carrying):
    before = jax.random.key(0)

    def after(self, x):
        return jax.random.key_data(x)


@fault("(state|reset).*(str|north)")
class StateText(Carrying):
    before = "north"


@fault("(state|reset).*object")
class StateObject(Carrying):
    before = object()


@fault("(state|reset).*set")
class StateSet(Carrying):
    before = frozenset({1, 2})


@fault("(state|reset).*function")
class StateFunction(Carrying):
    before = staticmethod(lambda: 0)


@fault("(state|reset).*lock")
class StateLock(Carrying):
    before = threading.Lock()


@fault("(state|reset).*Generator")
class StateGenerator(Carrying):
    before = np.random.default_rng(0)


@fault("(state|reset).*object")
class StateObjectArray(Carrying):
    before = np.array([object()])


@fault("(state|reset).*Plain")
class StatePlainClass(Carrying):
    """An instance of a class that JAX does not know."""

    class Plain:
        x = 0

    before = Plain()
