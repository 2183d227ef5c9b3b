"""What cannot be made into an environment: constructors, factories, parameters, modules."""

import abc
import types
from typing import Any
from unittest import mock

import gymnasium
import jax.numpy as jnp
from bad.harness import Case
from bad.sound import Sound, Table

FAULTS = Table()
fault = FAULTS.fault
HERE = r".*envs_making\.py:\d+"


@fault("ValueError: my constructor" + HERE)
class ConstructorRaises(Sound):
    def __init__(self):
        raise ValueError("my constructor")


@fault("FileNotFoundError.*levels.txt" + HERE)
class ConstructorOpensFile(Sound):
    def __init__(self):
        with open("levels.txt"):
            pass


@fault("SystemExit: bye" + HERE)
class ConstructorExits(Sound):
    def __init__(self):
        raise SystemExit("bye")


@fault("RecursionError" + HERE)
class ConstructorRecursion(Sound):
    def __init__(self):
        self.__init__()


@fault("needs a value.*'size'")
class ConstructorNeedsArgument(Sound):
    def __init__(self, size):
        self.size = size


@fault("Missing|module" + HERE)
class ConstructorImports(Sound):
    def __init__(self):
        import missing_dependency  # noqa: F401


@fault("abstract")
class Abstract(Sound, abc.ABC):
    @abc.abstractmethod
    def make(self):
        """Do something."""


@fault("AttributeError.*absent" + HERE)
class ForgetsToSet(Sound):
    def reset(self, key, params):
        return self.absent


@fault("ValueError: no parameters" + HERE)
class ParamsRaise(Sound):
    @property
    def default_params(self):
        raise ValueError("no parameters")


@fault("dict|KeyError|AttributeError")
class ParamsDict(Sound):
    default_params = {"length": 5}  # noqa: RUF012


@fault("default_params|method|function")
class ParamsMethod(Sound):
    def default_params(self):
        return Sound.default_params


@fault("length|default_params|None")
class ParamsNone(Sound):
    default_params = None


@fault("length|default_params|str")
class ParamsText(Sound):
    default_params = Sound.default_params.replace(length="five")


@fault("gymnasium")
def GymnasiumCartPole():
    return gymnasium.make("CartPole-v1")


@fault("MockEnv|Mock")
def MockEnv():
    return mock.MagicMock()


@fault("DmEnv|action_space|reset")
class DmEnv:
    """As environments of dm_env are."""

    def reset(self):
        return None

    def step(self, action):
        return None

    def action_spec(self):
        return None


def returning(name: str, words: str, value: Any) -> None:
    """Enter a factory of no arguments that returns ``value``."""

    def factory() -> Any:
        return value

    factory.__name__ = name
    globals()[name] = fault(words)(factory)


returning("ReturnsNone", "NoneType|None", None)
returning("ReturnsNumber", "int|7", 7)
returning("ReturnsText", "str|CartPole", "CartPole-v1")
returning("ReturnsClass", "Sound.*|type", Sound)
returning("ReturnsPair", "tuple", (Sound(), Sound.default_params))
returning("ReturnsDict", "dict", {"env": Sound()})
returning("ReturnsModule", "module", types.ModuleType("a_module"))
returning("ReturnsFunction", "function", lambda: Sound())
returning("ReturnsArray", "Array", jnp.zeros(3))
returning("ReturnsGenerator", "generator", (Sound() for _ in range(2)))


@fault("RuntimeError: my factory" + HERE)
def FactoryRaises():
    raise RuntimeError("my factory")


@fault("KeyError|keys" + HERE)
def FactoryTakesAll(**settings):
    return settings["name"]


@fault("needs a value.*'name'")
def FactoryNeedsName(name):
    return Sound()


NUMBER, TEXT, NOTHING, INSTANCE = 7, "text", None, Sound()
FAULTS |= {
    "NUMBER": "NUMBER.*int",
    "TEXT": "TEXT.*str",
    "NOTHING": "NOTHING.*NoneType",
    "INSTANCE": "INSTANCE.*Sound",
}

# Modules that cannot be imported: they are written into the folder where the command runs.
MODULES: dict[str, tuple[str | bytes | None, str]] = {
    "missing_import": ("import no_such_package\n", r"no_such_package.*theirs\.py:1"),
    "missing_name": ("from math import sqroot\n", r"sqroot.*theirs\.py:1"),
    "syntax_error": ("class Env\n    pass\n", r"SyntaxError.*(theirs|line 1)"),
    "indentation": ("class Env:\npass\n", r"IndentationError.*(theirs|line)"),
    "raises": ("raise ValueError('at import')\n", r"ValueError: at import.*theirs\.py:1"),
    "asserts": ("assert False\n", r"AssertionError.*theirs\.py:1"),
    "exits": ("import sys\nsys.exit(0)\n", r"SystemExit: 0.*theirs\.py:2"),
    "exits_2": ("import sys\nsys.exit(2)\n", r"SystemExit: 2.*theirs\.py:2"),
    "exits_with_words": ("raise SystemExit('no licence')\n", r"no licence.*theirs\.py:1"),
    "recursion": ("def f():\n    f()\nf()\n", r"RecursionError.*theirs\.py:2"),
    "circular": ("import theirs\ntheirs.Env\n", r"Env.*theirs\.py:2"),
    "imports_itself_wrong": ("from theirs import Env\n", r"Env.*theirs\.py:1"),
    "empty": ("", r"'theirs' has no 'Env'"),
    "misspelt": ("class Evn: pass\n", r"'theirs' has no 'Env'"),
    "not_utf8": (b"x = '\xff\xfe'\nclass Env: pass\n", r"(SyntaxError|Unicode).*(theirs|utf)"),
    "null_bytes": (b"class Env: pass\n\x00\n", r"(SyntaxError|ValueError).*(theirs|null)"),
    "binary": (bytes(range(256)), r"(SyntaxError|ValueError|Unicode)"),
    "warns": ("import warnings\nwarnings.warn('old', FutureWarning)\n", "FutureWarning|'Env'"),
    "own_exception": (
        "class Mine(Exception):\n    def __str__(self):\n        raise ValueError\nraise Mine\n",
        r"theirs\.py:\d",
    ),
    "long_words": ("raise ValueError('x' * 100_000)\n", r"ValueError: x+.*theirs\.py:1"),
    "getattr": ("def __getattr__(name):\n    raise KeyError(name)\n", r"Env.*theirs\.py:2"),
    "folder": (None, r"'theirs' has no 'Env'"),
}


def module_case(option: str, name: str) -> Case:
    """Return the case in which ``option`` names something in a module that cannot be imported."""
    content, words = MODULES[name]
    path = "theirs" if content is None else "theirs.py"
    return Case(["train", "quickstart", option, "theirs:Env"], words, {path: content})


NAMES = {
    "": r"env\.name|environment ''|empty|needs a (name|value)",
    " ": "' '",
    ":": "':'",
    ":Env": "':Env'",
    "bad.sound:": "'bad.sound:'",
    "bad.sound:Nothing": "'bad.sound' has no 'Nothing'",
    "bad.nowhere:Env": r"no module 'bad\.nowhere'",
    "nowhere:Env": "no module 'nowhere'",
    "a:b:c": "'a:b:c'",
    "my module:Env": "'my module:Env'",
    "bad.sound:Sound.step": r"'bad.sound:Sound\.step'",
    "class:Env": "'class:Env'",
    "../bad:Env": r"'\.\./bad:Env'",
    "bad/sound.py:Sound": "'bad/sound.py:Sound'",
    "/tmp/x.py:Sound": "'/tmp/x.py:Sound'",
    "math:sqrt": "math:sqrt|'x'",
    "json:loads": "json:loads",
    "os:getcwd": "os:getcwd|getcwd",
    "math:pi": "'math:pi'",
    "envs.corridor:Corridor": "envs is ssmrl's own package",
    "CartPole-v0": "'CartPole-v0'",
    "gymnax/CartPole-v1": "'gymnax/CartPole-v1'",
    "popgym/": "'popgym/'",
    "popgym/RepeatPreviousEsy": "'popgym/RepeatPreviousEsy'",
    "POPGYM/REPEATPREVIOUSEASY": "'POPGYM/REPEATPREVIOUSEASY'",
    "bsuite/memory_len/99": "'bsuite/memory_len/99'",
    "dmc/": "'dmc/",
    "dmc/NoSuchTask": "dmc/NoSuchTask|playground",
    "craftax/Nothing": "craftax",
    "[b]": r"'\[b\]'",
    "[/red]": r"'\[/red\]'",
    "$HOME": r"'\$HOME'",
    "umgebung-ä-日本": "'umgebung-ä-日本'",
    "two\nlines": r"two\\nlines",
    "x" * 5000: "x{20}",
    "5": "'5'",
    "None": "'?None'?",
    "true": "'true'",
}

CASES = {
    f"name-{name[:30]}": Case(["train", "quickstart", "--env.name", name], words)
    for name, words in NAMES.items()
}
CASES |= {f"module-{name}": module_case("--env.name", name) for name in MODULES}
