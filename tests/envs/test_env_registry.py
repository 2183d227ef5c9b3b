"""envs.make: names, import paths, settings, and the sentences where one is wrong."""

import sys

import pytest
from popgym.envs import ALL
from tiny_env import Legacy, Tiny

import envs
from envs.adapters import LegacyGymnax
from ssmrl.errors import UsageError


def test_names_hold_ours_and_gymnax():
    names = envs.names()
    assert {"popgym/RepeatFirstHard", "bsuite/MemoryChain", "CartPole-v1"} <= set(names)
    assert names == sorted(names)


def test_ids_of_popgym_are_all_there():
    theirs = {f"popgym/{e['id'].removeprefix('popgym-').removesuffix('-v0')}" for e in ALL.values()}
    assert {name for name in envs.names() if name.startswith("popgym/")} == theirs
    assert len(theirs) == 48


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("RepeatPreviousEasy", "did you mean 'popgym/RepeatPreviousEasy'"),
        ("popgym/RepeatFirstHrad", "did you mean 'popgym/RepeatFirstHard'"),
        ("cartpole-v1", "did you mean 'CartPole-v1'"),
    ],
)
def test_unknown_name_gets_the_nearest(name, hint):
    with pytest.raises(UsageError, match=f"unknown environment '{name}'; {hint}"):
        envs.make(name)


def test_older_names_and_settings_of_a_sweep_are_known_but_not_listed():
    env, params = envs.make("popgym/StatelessCartPoleHard")
    assert (env.name, params.max_steps_in_episode) == ("PositionOnlyCartPole", 600)
    _, params = envs.make("bsuite/memory_len/22")
    assert params.memory_length == 100
    _, params = envs.make("bsuite/memory_len/22", memory_length=7)
    assert params.memory_length == 7
    assert not {"popgym/StatelessCartPoleHard", "bsuite/memory_len/22"} & set(envs.names())


def test_settings_reach_params_and_constructor():
    env, _ = envs.make("popgym/RepeatPreviousEasy", k=7, num_decks=2.0)
    assert (env.k, env.num_cards) == (7, 104)
    _, params = envs.make("popgym/NoisyPositionOnlyCartPoleHard", noise_sigma=1, gravity=5)
    assert params.noise_sigma == 1.0
    assert isinstance(params.noise_sigma, float)
    assert isinstance(params.gravity, float)
    assert params.max_steps_in_episode == 200
    _, params = envs.make("popgym/PositionOnlyCartPoleEasy", max_steps_in_episode=50)
    assert params.max_steps_in_episode == 50


def test_settings_of_gymnax_environments():
    env, params = envs.make("MemoryChain-bsuite", num_bits=3, memory_length=9)
    assert env.num_bits == 3
    assert params.memory_length == 9
    env, params = envs.make("DeepSea-bsuite", size=5)
    assert env.size == params.max_steps_in_episode == 5


@pytest.mark.parametrize(
    ("name", "key", "hint"),
    [
        ("popgym/RepeatPreviousEasy", "num_deck", "did you mean 'num_decks'?"),
        ("popgym/NoisyPositionOnlyCartPoleEasy", "noise", "did you mean 'noise_sigma'?"),
        ("CartPole-v1", "mass_pole", "did you mean 'masspole'"),
        ("DeepSea-bsuite", "sizes", "did you mean 'size'?"),
        ("bsuite/MemoryChain", "max_steps_in_episode", "known are memory_length, num_bits"),
    ],
)
def test_unknown_setting_gets_the_nearest(name, key, hint):
    with pytest.raises(UsageError) as caught:
        envs.make(name, **{key: 1})
    assert str(caught.value).startswith(f"environment '{name}' has no parameter '{key}'; {hint}")


def test_setting_where_there_is_none():
    sentence = "environment 'tiny_env:LegacyWithoutParams' has no parameter 'size'; it has none"
    with pytest.raises(UsageError, match=sentence):
        envs.make("tiny_env:LegacyWithoutParams", size=1)


@pytest.mark.parametrize(
    ("name", "key", "value", "complaint"),
    [
        ("CartPole-v1", "gravity", "1e-1", "must be a number, not '1e-1'"),
        ("popgym/RepeatPreviousEasy", "k", "4", "must be a number, not '4'"),
        ("popgym/RepeatPreviousEasy", "k", 4.5, "must be whole, not 4.5"),
        ("CartPole-v1", "max_steps_in_episode", 9.5, "must be whole, not 9.5"),
        ("CartPole-v1", "max_steps_in_episode", 3_000_000_000, r"must be below 2\*\*31, not 30"),
        ("CartPole-v1", "max_steps_in_episode", True, "must be a number, not True"),
        ("popgym/RepeatPreviousEasy", "legacy", "fasle", "must be true or false, not 'fasle'"),
        ("popgym/RepeatPreviousEasy", "legacy", 1, "must be true or false, not 1"),
    ],
)
def test_settings_of_the_wrong_type(name, key, value, complaint):
    with pytest.raises(UsageError, match=f"environment '{name}': {key} {complaint}"):
        envs.make(name, **{key: value})


def test_impossible_setting_of_the_constructor():
    with pytest.raises(UsageError, match=r"'RepeatPrevious': k must be 1 to 51, not 52"):
        envs.make("popgym/RepeatPreviousEasy", k=52)
    for sigma in (float("nan"), float("inf"), -0.1):
        with pytest.raises(UsageError, match=f"noise_sigma must be >= 0, not {sigma}"):
            envs.make("popgym/NoisyPositionOnlyCartPoleEasy", noise_sigma=sigma)
    with pytest.raises(UsageError, match=r"'RepeatFirst': num_decks must be 1 to 1000000, not 0"):
        envs.make("popgym/RepeatFirstEasy", num_decks=0)


def test_a_parameter_without_default_is_asked_for():
    envs.register("test/Sized", lambda size: Tiny(truncates=size > 3))
    assert envs.make("test/Sized", size=4)[0].truncates
    with pytest.raises(UsageError, match="'test/Sized' needs a value for its parameter 'size'"):
        envs.make("test/Sized")


def test_import_path_of_a_class_and_of_a_factory(tmp_path, monkeypatch):
    (tmp_path / "some_game.py").write_text(
        "from tiny_env import Tiny, Legacy\n"
        "def make_game(**settings):\n    return Tiny(**settings)\n"
        "def make_old():\n    return Legacy()\n"
        "constant = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env, params = envs.make("tiny_env:Tiny", truncates=True, max_steps_in_episode=9)
    assert isinstance(env, Tiny)
    assert env.truncates
    assert params.max_steps_in_episode == 9

    env, params = envs.make("some_game:make_game", truncates=True, reward_scale=2)
    assert env.truncates
    assert params.reward_scale == 2.0
    with pytest.raises(UsageError, match="no parameter 'truncate'; did you mean 'truncates'"):
        envs.make("some_game:make_game", truncate=True)

    env, _ = envs.make("some_game:make_old")
    assert isinstance(env, LegacyGymnax)
    with pytest.raises(
        UsageError, match="'some_game:constant' is of type int, not a class or factory"
    ):
        envs.make("some_game:constant")
    with pytest.raises(UsageError, match="has no 'Gone'"):
        envs.make("some_game:Gone")


@pytest.mark.parametrize("name", ["popgym/StatelessCartPoleEasy", "bsuite/memory_len/3"])
def test_names_that_make_rewrites_are_taken(name):
    with pytest.raises(UsageError, match=f"environment '{name}' is already there"):
        envs.register(name, Tiny)


def test_register_once_and_only_once():
    envs.register("test/Tiny", Tiny)
    env, _ = envs.make("test/Tiny", truncates=True)
    assert env.truncates
    with pytest.raises(UsageError, match="'test/Tiny' is already registered"):
        envs.register("test/Tiny", Legacy)
    with pytest.raises(UsageError, match="'CartPole-v1' is already registered in gymnax"):
        envs.register("CartPole-v1", Tiny)


def test_a_type_error_of_the_constructors_own_is_no_unknown_parameter():
    def factory(**settings):
        raise TypeError("something else") if settings else KeyError("no settings")

    envs.register("test/Broken", lambda **settings: factory(**settings) if settings else Tiny())
    with pytest.raises(
        UsageError, match=r"'test/Broken': TypeError: something else \(.*\.py:\d+\)"
    ):
        envs.make("test/Broken", anything=1)


STRANGE = """
import sys
from tiny_env import Legacy, LegacyWithoutParams, Tiny

class Raises(Tiny):
    def __init__(self):
        super().__init__()
        self.size = 1 / 0

class NoLimit(Legacy):
    default_params = property(lambda self: self.limit)

class Forgetful(Tiny):
    step = None
    del step
    observation_space = property(lambda self: 1 / 0)

class Old(LegacyWithoutParams):
    def step(self, key, state, action):
        return super().step(key, state) if action > 0 else None

class OldSpace(LegacyWithoutParams):
    action_space = "left or right"

def nothing():
    pass

def pair():
    return Tiny(), Tiny.default_params

def leaves():
    sys.exit("needs a licence")
"""
FACTORIES = {
    "Raises": "'strange:Raises': ZeroDivisionError: division by zero (strange.py:8)",
    "NoLimit": "'strange:NoLimit': AttributeError: 'NoLimit' object has no attribute 'limit' "
    "(strange.py:11)",
    "Forgetful": "'strange:Forgetful': ZeroDivisionError: division by zero (strange.py:16)",
    "Old": "'strange:Old': TracerBoolConversionError: Attempted boolean conversion of traced array "
    "with shape bool[]. (strange.py:20); Python's if, while, int() and float() cannot look at",
    "OldSpace": "'OldSpace': the action space is 'left or right', but must be one of Discrete,",
    "nothing": "'strange:nothing' is no environment: what was made is of type NoneType, which has "
    "no 'reset'",
    "pair": "'strange:pair' is no environment: what was made is of type tuple, which has no "
    "'reset'; return it alone, without its parameters",
    "leaves": "'strange:leaves': SystemExit: needs a licence (strange.py:32)",
}


@pytest.mark.parametrize("factory", FACTORIES)
def test_what_a_strangers_code_does_while_it_is_built(factory, tmp_path, monkeypatch):
    (tmp_path / "strange.py").write_text(STRANGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    with pytest.raises(UsageError) as caught:
        envs.make(f"strange:{factory}")
    found = str(caught.value).replace(f"{tmp_path}/", "")
    assert found.startswith(f"environment {FACTORIES[factory]}")
    assert "\n" not in found


def test_an_attribute_that_is_missing_inside_default_params_is_no_lack_of_params():
    class Typo(Tiny):
        @property
        def default_params(self):
            return self.parameters

    envs.register("test/Typo", Typo)
    with pytest.raises(UsageError, match="has no attribute 'parameters'"):
        envs.make("test/Typo")
