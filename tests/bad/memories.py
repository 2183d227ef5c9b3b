"""Memories with one fault each that tracing shows: in shapes, dtypes, signatures, code."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from bad.sound import SoundMemory, Table
from flax import linen as nn

FAULTS = Table()  # of shapes: `train` and `check --memory` find them
MAY_WORK = {"ReturnsList", "scan_Half", "step_Half"}  # `train` takes any tuple, any float
fault = FAULTS.fault
HERE = r".*memories\.py:\d+"
LINE = r"|sound\.py:\d+"  # or the line that stumbles over it


def without(method: str) -> type:
    """Return a memory that lacks one method."""
    hidden = ("__dict__", "__weakref__", "__dataclass_fields__", "__dataclass_params__", method)
    rest = {k: v for k, v in vars(SoundMemory).items() if k not in hidden}
    return type(f"No_{method}", (nn.Module,), rest)


for _method in ("initial_state", "scan", "step"):
    globals()[f"No_{_method}"] = fault(f"has no {_method}")(without(_method))


@fault("has no features")
class NoFeatures(nn.Module):
    width: int = 8
    initial_state = SoundMemory.initial_state
    scan = SoundMemory.scan
    step = SoundMemory.step


@fault("Plain.*flax")
class Plain:
    features = 8

    def initial_state(self, batch_shape):
        return jnp.zeros(batch_shape)


@fault("PlainDataclass.*flax")
@dataclasses.dataclass
class PlainDataclass:
    features: int = 8


@fault("function.*flax|flax.*function")
def function(features=8):
    return SoundMemory(features)


NUMBER, INSTANCE = 7, SoundMemory()
FAULTS |= {"NUMBER": "NUMBER.*7", "INSTANCE": "INSTANCE.*SoundMemory"}


@fault("depth needs a value")
class NeedsOption(SoundMemory):
    depth: int = dataclasses.field(kw_only=True)


@fault("ValueError: my setup" + HERE)
class SetupRaises(SoundMemory):
    def setup(self):
        raise ValueError("my setup")


@fault("ValueError: my constructor" + HERE)
class ConstructorRaises(SoundMemory):
    def __post_init__(self):
        raise ValueError("my constructor")


@fault("SystemExit: 0" + HERE)
class ConstructorExits(SoundMemory):
    def __post_init__(self):
        raise SystemExit(0)


@fault("RecursionError" + HERE)
class Recursion(SoundMemory):
    def scan(self, state, x_TxBxF, start_TxB):
        return self.scan(state, x_TxBxF, start_TxB)


@fault("AttributeError.*dence" + HERE)
class Misspelt(SoundMemory):
    def step(self, state, x_BxF, start_B):
        return state, self.dence(x_BxF)


@fault("compact|setup" + HERE)
class SubmoduleOutsideSetup(SoundMemory):
    def step(self, state, x_BxF, start_B):
        return state, nn.Dense(self.features)(x_BxF)


# States.


def beginning(name: str, words: str, make: Callable[[tuple[int, ...]], Any]) -> None:
    """Enter a memory whose ``initial_state`` is what ``make(batch_shape)`` returns."""
    method = nn.nowrap(lambda self, batch_shape: make(batch_shape))
    body = {"initial_state": method, "__module__": __name__}
    globals()[name] = fault(words)(type(name, (SoundMemory,), body))


for _name, _words, _make in (
    ("BeginsUnbatched", r"state.*\[8\]", lambda batch: jnp.zeros(8)),
    ("BeginsBatchLast", r"state.*\[8,", lambda batch: jnp.zeros((8, *batch))),
    ("BeginsNarrow", "state" + LINE, lambda batch: jnp.zeros((*batch, 3))),
    ("BeginsAsIntegers", "state.*int32" + LINE, lambda batch: jnp.zeros((*batch, 8), jnp.int32)),
    ("BeginsComplex", "complex64" + LINE, lambda batch: jnp.zeros((*batch, 8), jnp.complex64)),
    ("BeginsAsTuple", "state" + LINE, lambda batch: (jnp.zeros((*batch, 8)),)),
    ("BeginsAsNone", "state" + LINE, lambda batch: None),
    ("BeginsAsText", "state.*(str|text)", lambda batch: "empty"),
    ("BeginsAsNumber", "state.*float", lambda batch: 0.0),
    ("BeginsAsObject", "state.*object", lambda batch: object()),
    ("BeginRaises", "ZeroDivisionError" + HERE, lambda batch: 1 // 0),
    ("BeginsSquare", "state" + LINE, lambda batch: jnp.zeros((*batch, *batch, 8))),
):
    beginning(_name, _words, _make)


@fault(r"initial_state.*argument")
class BeginsWithoutArguments(SoundMemory):
    @nn.nowrap
    def initial_state(self):
        return jnp.zeros(self.features)


@fault("dense" + HERE)
class BeginsFromParameters(SoundMemory):
    def initial_state(self, batch_shape):
        return self.dense(jnp.zeros((*batch_shape, self.features)))


# What scan and step return; each row changes (state, y), of scan, of step or of both.


def returning(name: str, words: str, change: Callable[[Any, Any], Any], of: str = "both") -> None:
    """Enter a memory that returns ``change(state, y)``."""
    body: dict[str, Any] = {"__module__": __name__}
    for method in ("scan", "step") if of == "both" else (of,):
        old = getattr(SoundMemory, method)
        body[method] = lambda self, state, x, start, old=old: change(*old(self, state, x, start))
    globals()[name] = fault(words)(type(name, (SoundMemory,), body))


for _name, _words, _change in (
    ("ReturnsOutputAlone", "(scan|step).*(state, y|two|2)", lambda s, y: y),
    ("ReturnsThree", "(scan|step).*3", lambda s, y: (s, y, y)),
    ("ReturnsNone", "(scan|step).*None", lambda s, y: None),
    ("ReturnsList", "(scan|step).*list", lambda s, y: [s, y]),
    ("ReturnsSwapped", "state|output", lambda s, y: (y, s)),
    ("OutputIntegers", "int32", lambda s, y: (s, y.astype(jnp.int32))),
    ("OutputFlags", "bool", lambda s, y: (s, y > 0)),
    ("OutputComplex", "complex64", lambda s, y: (s, y.astype(jnp.complex64))),
    ("OutputWide", r"\[\d+,(16|128)\]", lambda s, y: (s, jnp.concatenate([y, y], -1))),
    ("OutputSummed", r"\[.*\]", lambda s, y: (s, y.sum(-1))),
    ("OutputMixed", r"\[.*\]", lambda s, y: (s, y[..., None])),
    ("OutputBatchless", r"\[.*\]", lambda s, y: (s, y[..., 0, :])),
    ("OutputNone", "None|missing", lambda s, y: (s, None)),
    ("OutputText", "str|text", lambda s, y: (s, "y")),
    ("OutputDict", "dict", lambda s, y: (s, {"y": y})),
    ("StateDtype", "state.*bfloat16", lambda s, y: (s.astype(jnp.bfloat16), y)),
    ("StateIntegers", "state.*int32", lambda s, y: (s.astype(jnp.int32), y)),
    ("StateGrows", r"state.*\[\d+,(16|128)\]", lambda s, y: (jnp.concatenate([s, s], -1), y)),
    ("StateTuple", "state.*tuple|state", lambda s, y: ((s, s), y)),
    ("StateNone", "state.*(None|missing)", lambda s, y: (None, y)),
    ("StateDict", "state.*(dict|h)", lambda s, y: ({"h": s}, y)),
    ("StateSummed", r"state.*\[.*\]", lambda s, y: (s.sum(0), y)),
):
    returning(_name, _words, _change)
for _method in ("scan", "step"):
    for _name, _words, _change in (
        ("Narrow", f"{_method}.*4", lambda s, y: (s, y[..., :4])),
        ("Half", "scan", lambda s, y: (s, y.astype(jnp.bfloat16))),
        ("HalfState", f"{_method}.*bfloat16", lambda s, y: (s.astype(jnp.bfloat16), y)),
    ):
        returning(f"{_method}_{_name}", _words, _change, of=_method)


@fault("scan.*" + r"\[.*\]")
class ScanBatchMajor(SoundMemory):
    def scan(self, state, x_TxBxF, start_TxB):
        state, y = super().scan(state, x_TxBxF, start_TxB)
        return state, y.swapaxes(0, 1)


@fault("scan.*" + r"\[.*\]")
class ScanLastOnly(SoundMemory):
    def scan(self, state, x_TxBxF, start_TxB):
        state, y = super().scan(state, x_TxBxF, start_TxB)
        return state, y[-1]


@fault("scan.*" + r"\[.*\]")
class ScanStates(SoundMemory):
    """Returns all states, not the last one."""

    def scan(self, state, x_TxBxF, start_TxB):
        _, y = super().scan(state, x_TxBxF, start_TxB)
        return y, y


@fault(r"scan\(\).*argument")
class ScanWithoutStart(SoundMemory):
    def scan(self, state, x_TxBxF):
        return super().scan(state, x_TxBxF, jnp.zeros(x_TxBxF.shape[:2], bool))


@fault(r"step\(\).*'mask'")
class StepWithMore(SoundMemory):
    def step(self, state, x_BxF, start_B, mask):
        return super().step(state, x_BxF, start_B)


@fault("(traced|Tracer)" + HERE)
class IfStart(SoundMemory):
    @nn.nowrap
    def keep(self, state, start):
        return jnp.zeros_like(state) if start.any() else state


@fault("(traced|Tracer)" + HERE)
class LoopUntilStart(SoundMemory):
    def scan(self, state, x_TxBxF, start_TxB):
        for t in range(int(start_TxB.argmax())):
            state, _ = self.step(state, x_TxBxF[t], start_TxB[t])
        return super().scan(state, x_TxBxF, start_TxB)


@fault("prepare.*argument|ValueError: my prepare" + HERE)
class PrepareRaises(SoundMemory):
    def prepare(self, dtype):
        raise ValueError("my prepare")


@fault("prepared")
class PrepareIsNotTaken(SoundMemory):
    """``step`` does not take what ``prepare`` returns."""

    def prepare(self, dtype):
        return jnp.zeros(3)


@fault("step|parameters|scan")
class OtherParameters(SoundMemory):
    """``step`` has a layer that ``scan`` lacks."""

    def setup(self):
        super().setup()
        self.other = nn.Dense(self.features)

    def step(self, state, x_BxF, start_B):
        state = self.keep(state, start_B) / 2 + self.other(x_BxF)
        return state, state
