"""Names of the suites: what is listed, what is made, and what is said where a package lacks."""

import subprocess
import sys

import pytest
import suites_standins as standins
import suites_standins_grids as grids

import envs
from envs import suites
from envs.suites.base import load
from ssmrl.errors import UsageError

PACKAGES = {"brax": "brax", "dmc": "mujoco_playground", "craftax": "craftax", "navix": "navix"}
PACKAGES["xland"] = "xminigrid"
EXAMPLES = {
    "brax": "brax/ant",
    "craftax": "craftax/Craftax-Symbolic-v1",
    "dmc": "dmc/CheetahRun",
    "navix": "navix/Navix-DoorKey-Random-8x8-v0",
    "xland": "xland/XLand-MiniGrid-R9-25x25",
}


def test_prefixes_lead_to_factories():
    assert sorted(suites.SUITES) == sorted(f"{extra}/" for extra in PACKAGES)
    for prefix, (module, factory) in suites.SUITES.items():
        made = suites.factory(f"{prefix}something")
        assert (made.func, made.args) == (factory, ("something",))
        assert prefix == module.PREFIX
        assert len(set(module.IDS)) == len(module.IDS)
    for name in ("CartPole-v1", "popgym/RepeatFirstEasy", "brax", "braxx/ant", "", "mine:brax/ant"):
        assert suites.factory(name) is None


@pytest.mark.parametrize("extra", EXAMPLES)
def test_a_missing_package_ends_in_the_command_that_installs_it(extra, monkeypatch):
    standins.remove(monkeypatch, PACKAGES[extra])
    with pytest.raises(UsageError) as caught:
        envs.make(EXAMPLES[extra])
    assert str(caught.value) == (
        f"environment '{EXAMPLES[extra]}' needs the package '{PACKAGES[extra]}', which is not "
        f"installed: pip install '{'brax' if extra == 'brax' else f'ssmrl[{extra}]'}'"
    )


def test_a_missing_dependency_is_named(tmp_path, monkeypatch):
    (tmp_path / "half_a_suite.py").write_text("import gone_for_good\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="needs the package 'gone_for_good', which is not inst"):
        load("half_a_suite", "half/a", "half")


def test_what_a_package_prints_is_no_output_of_ours(tmp_path, monkeypatch, capsys):
    (tmp_path / "a_loud_suite.py").write_text("print('hello')\n")
    monkeypatch.syspath_prepend(tmp_path)
    load("a_loud_suite", "loud/a", "loud")
    assert tuple(capsys.readouterr()) == ("", "hello\n")


def test_only_what_is_installed_is_listed(monkeypatch):
    monkeypatch.setattr(suites.importlib.util, "find_spec", lambda package: None)
    assert suites.names() == []
    assert not any(name.startswith(("brax/", "xland/")) for name in envs.names())
    monkeypatch.undo()
    standins.install(monkeypatch, *standins.brax(), *grids.xminigrid())
    names = suites.names()
    assert {"brax/ant", "xland/MiniGrid-MemoryS8"} <= set(names) <= set(envs.names())
    assert names == sorted(names)


def test_importing_and_listing_import_no_suite():
    code = f"import sys, envs; envs.names()\nprint({set(PACKAGES.values())} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr


def test_a_suites_own_class_leads_to_the_names(monkeypatch):
    room = type("Room", (), {"__module__": "navix.environments.room"})
    standins.install(monkeypatch, standins.module("a_strangers_room", make=room))
    with pytest.raises(UsageError) as caught:
        envs.make("a_strangers_room:make")
    assert str(caught.value) == (
        "environment 'a_strangers_room:make' is the suite's own, with spaces and signatures that "
        "are not gymnax's; it is adapted under a name that begins with 'navix/', see ssmrl list "
        "envs"
    )
