"""Environments whose Python looks at traced values, or whose fault only playing shows."""

import random

import jax
import jax.numpy as jnp
import numpy as np
from bad.sound import Sound, Table

FAULTS = Table()
fault = FAULTS.fault
HERE = r".*envs_tracing\.py:\d+"


def looking(words):
    """Enter a function of (state, action) that returns a reward, as an environment's."""

    def enter(look):
        def step(self, key, state, action, params):
            obs, after, _, *others = Sound.step(self, key, state, action, params)
            return (obs, after, look(state, action), *others)

        name = look.__name__
        globals()[name] = FAULTS.fault(words)(type(name, (Sound,), {"step": step}))
        return globals()[name]

    return enter


@looking("traced|Tracer" + HERE + ".*jnp.where")
def IfOfState(state, action):
    return jnp.float32(1 if state["time"] > 3 else 0)


@looking("traced|Tracer" + HERE + ".*jnp.where")
def WhileOfAction(state, action):
    total = 0
    while action > total:
        total += 1
    return jnp.float32(total)


@looking("traced|Tracer" + HERE)
def IntOfAction(state, action):
    return jnp.float32(int(action))


@looking("traced|Tracer" + HERE)
def FloatOfAction(state, action):
    return jnp.float32(float(action))


@looking("traced|Tracer" + HERE)
def RangeOfTime(state, action):
    return jnp.float32(sum(range(state["time"])))


@looking("traced|Tracer|numpy" + HERE)
def NumpyOfAction(state, action):
    return jnp.float32(np.sqrt(np.asarray(action)))


@looking("traced|Tracer" + HERE)
def ItemOfAction(state, action):
    return jnp.float32(action.item())


@looking("traced|Tracer" + HERE)
def ListAtAction(state, action):
    return jnp.float32([1.0, 2.0][action])


@looking("TypeError" + HERE)
def DictAtAction(state, action):
    return jnp.float32({0: 1.0, 1: 2.0}[action])


@looking("(oolean|traced)" + HERE)
def MaskOfTime(state, action):
    row = jnp.arange(5)
    return jnp.float32(row[row < state["time"]].sum())


@looking("(traced|hape)" + HERE)
def ShapeOfAction(state, action):
    return jnp.zeros(action).sum()


@looking("traced|Tracer" + HERE)
def AssertOfAction(state, action):
    assert action >= 0
    return jnp.float32(0)


@looking("TypeError" + HERE)
def TextOfAction(state, action):
    return jnp.float32(len(f"{action:d}"))


@fault("racer")
class LeaksTracer(Sound):
    """Keeps a traced value on itself, and uses it the next time."""

    last = 0

    def reward(self, action):
        reward, self.last = self.last + jnp.float32(action), jnp.float32(action)
        return reward


# What only playing shows: for `check` alone.

PLAYED = Table()


@PLAYED.fault("end|reset")
class NeverBeginsAnew(Sound):
    def step(self, key, state, action, params):
        last = self.move(state, action)
        ended, info = self.time(last) >= params.length, self.info(last)
        obs = self.observe(last)
        return obs, last, self.reward(action), ended, jnp.bool_(False), info

    def observe(self, state):
        return super().observe(state).clip(-1, 1)


@PLAYED.fault("not finite|NaN")
class ObsNaN(Sound):
    def observe(self, state):
        return super().observe(state) / self.time(state)


@PLAYED.fault("not finite|NaN")
class RewardInfinite(Sound):
    def reward(self, action):
        return jnp.where(action == 1, jnp.inf, 0.0)


@PLAYED.fault("key|chance|twice")
class NumpyRandom(Sound):
    def reward(self, action):
        return jnp.float32(np.random.rand())


@PLAYED.fault("key|chance|twice")
class PythonRandom(Sound):
    def observe(self, state):
        return jnp.full(2, random.random())


@PLAYED.fault("'count'|outside the state")
class CountsItself(Sound):
    count = 0

    def reward(self, action):
        self.count += 1
        return jnp.float32(0)


@PLAYED.fault("final_observation")
class FinalIsFirst(Sound):
    def step(self, key, state, action, params):
        obs, *others, _ = super().step(key, state, action, params)
        return (obs, *others, {"final_observation": obs})

    def first(self, key):
        return {"time": jax.random.randint(key, (), 0, 3)}
