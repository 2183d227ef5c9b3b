"""The contract of a memory, and the table in which memories are found by name."""

import dataclasses
import inspect
import re
from typing import Any, ClassVar, NamedTuple, Protocol, get_type_hints

import jax
from flax import linen as nn

from ssmrl.errors import UsageError, shown
from ssmrl.foreign import foreign
from ssmrl.registry import Registry, did_you_mean

State = Any  # a pytree of arrays
MOST_LAYERS = 1_000


class Memory(Protocol):
    """What a flax linen module must offer to serve as a memory.

    A memory maps inputs to outputs of ``features`` numbers and carries a state between them.
    Where ``start`` is true the input is the first of an episode: everything before is forgotten
    and the input itself is kept. For every memory

    * ``scan`` equals repeated ``step``, with the same parameters (either may create them),
    * one scan of T steps equals scans of its pieces with the state carried over,
    * nothing passes a start, in value or gradient: both are exactly zero.

    ``ssm_parameters`` names the parameters that may get a smaller learning rate of their own; a
    memory without it has none. One whose attribute ``resets`` is False forgets nothing at a start,
    on purpose, such as a baseline; trying it remarks the leak, which is a fault of any other.

    Inputs may be bfloat16; whatever dtype the outputs have, states are best kept in float32. A
    memory may offer ``prepare(dtype)``, which does the part of ``step`` that needs the parameters
    alone; ``step`` then takes its result as the keyword argument ``prepared``. Acting over many
    steps calls it once.

    :func:`ssmrl.memory.scan_states` gives the states inside a sequence. A memory that has them at
    hand may offer ``scan_states(state, x_TxBxF, start_TxB, every)`` for it, which returns what
    ``scan`` does and, as a third value, the states after every ``every``-th step, [T / every, B,
    ...]; it is called where ``every`` divides T.
    """

    ssm_parameters: ClassVar[tuple[str, ...]]
    features: int

    def initial_state(self, batch_shape: tuple[int, ...]) -> State:
        """Return the empty state; each leaf is ``batch_shape + (...)``. Needs no parameters."""
        ...

    def scan(
        self, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array
    ) -> tuple[State, jax.Array]:
        """Take in T steps; return the state after them and y_TxBxH."""
        ...

    def step(self, state: State, x_BxF: jax.Array, start_B: jax.Array) -> tuple[State, jax.Array]:
        """Take in one step; return the state after it and y_BxH."""
        ...


class Option(NamedTuple):
    """An option of a memory.

    Its type, its default (``dataclasses.MISSING`` if it has none) and the comment beside it.
    """

    type: Any
    default: Any
    meaning: str


MEMORIES: Registry[type[nn.Module]] = Registry("memory")


def register(name: str, memory: type[nn.Module]) -> None:
    """Make a memory known under ``name``; raise ``UsageError`` where the name is taken."""
    MEMORIES.register(name, memory)


def names() -> list[str]:
    """Return the names of all registered memories, sorted."""
    return MEMORIES.names()


def options(name: str) -> dict[str, Option]:
    """Return the options of the memory called ``name``, which may be ``module:Class`` too.

    Raises ``UsageError`` where there is no such memory.
    """
    memory = _get(name)
    types = get_type_hints(memory)
    fields = (f for f in dataclasses.fields(memory) if f.init and f.name not in ("parent", "name"))
    comments = _comments(memory)
    return {f.name: Option(types[f.name], _default(f), comments.get(f.name, "")) for f in fields}


def make(name: str, **values: Any) -> Any:
    """Return the memory called ``name`` (or ``module:Class``) with these options.

    Raises ``UsageError`` where the name, an option or an option's value does not fit.
    """
    known = options(name)
    for key in values:
        if key not in known:
            raise UsageError(f"memory {name!r} has no option {key!r}{did_you_mean(key, known)}")
    for key, option in known.items():
        if option.default is dataclasses.MISSING and key not in values:
            raise UsageError(f"memory {name!r} needs a value for its option {key!r}")
    with foreign(f"memory {name!r}", f"try it with: ssmrl check --memory {name}", ours_too=True):
        return _get(name)(**values)


def name_of(memory: nn.Module) -> str:
    """Return under which name ``make`` finds the memory's class: a registered one, or its path."""
    cls = type(memory)
    registered = (name for name in names() if MEMORIES.get(name) is cls)
    return next(registered, f"{cls.__module__}:{cls.__qualname__}")


def check_positive(**sizes: int) -> None:
    """Raise ``UsageError`` for the first of the named sizes that is below one."""
    for name, size in sizes.items():
        if size < 1:
            raise UsageError(f"{name} must be at least 1, but is {size}")


def check_layers(num_layers: int) -> None:
    """Raise ``UsageError`` where there is no layer, or so many that nobody waits for them."""
    check_positive(num_layers=num_layers)
    if num_layers > MOST_LAYERS:
        raise UsageError(
            f"num_layers must be at most {MOST_LAYERS}, but is {num_layers}: layers are compiled "
            "one by one"
        )


def _get(name: str) -> type[nn.Module]:
    memory = MEMORIES.get(name)
    if not (isinstance(memory, type) and issubclass(memory, nn.Module)):
        raise UsageError(f"memory {name!r} is not a class of flax modules but {shown(memory)}")
    offered = {*dir(memory), *(f.name for f in dataclasses.fields(memory))}
    missing = [m for m in ("features", "initial_state", "scan", "step") if m not in offered]
    if missing:
        raise UsageError(
            f"memory {name!r} has no {', '.join(missing)}; ssmrl.memory.Memory says what they are"
        )
    return memory


def _comments(memory: type) -> dict[str, str]:
    """Return what stands behind ``name: type = default  #`` in the source of the class."""
    found: dict[str, str] = {}
    own = memory.__mro__[: memory.__mro__.index(nn.Module)]  # flax's own source is long
    for cls in reversed(own):
        try:
            source = inspect.getsource(cls)
        except (OSError, TypeError):  # not written in a file
            continue
        found |= re.findall(r"^ +(\w+): [^#\n]*  # (.*)$", source, re.MULTILINE)
    return found


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
