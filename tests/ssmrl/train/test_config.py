"""What the strict configuration takes, and the one sentence for what it does not."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from ssmrl.errors import UsageError
from ssmrl.train.config import convert, from_mapping, merge, parse_overrides, to_mapping


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    sizes: tuple[int, ...] = (1, 2)
    limit: float | None = None
    kind: Literal["a", "b"] = "a"
    on: bool = False


@dataclass(frozen=True)
class Outer:
    count: int = 1
    name: str = "x"
    inner: Inner = Inner()
    free: dict = field(default_factory=dict)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Outer()),
        (["--count", "1e3"], Outer(count=1000)),
        (["--count=7", "--name", "y"], Outer(count=7, name="y")),
        (["--inner.rate", "5e-5"], Outer(inner=Inner(rate=5e-5))),
        (["--inner.rate", "-2"], Outer(inner=Inner(rate=-2.0))),
        (["--inner.sizes", "3,4"], Outer(inner=Inner(sizes=(3, 4)))),
        (["--inner.sizes", "[3, 4]"], Outer(inner=Inner(sizes=(3, 4)))),
        (["--inner.limit", "0.1"], Outer(inner=Inner(limit=0.1))),
        (["--inner.limit", "none"], Outer()),
        (["--inner.kind", "b"], Outer(inner=Inner(kind="b"))),
        (["--inner.on"], Outer(inner=Inner(on=True))),
        (["--inner.on", "false"], Outer()),
        (["--inner.on", "--inner.no-on"], Outer()),
        (["--free.some-key", "3", "--free.b", "1e-2"], Outer(free={"some_key": 3, "b": 0.01})),
        (["--free.a", "'5'", "--free.b", "["], Outer(free={"a": "5", "b": "["})),
    ],
)
def test_overrides_are_read_and_come_back_from_yaml(arguments, expected):
    config = from_mapping(Outer, parse_overrides(arguments))
    assert config == expected
    assert from_mapping(Outer, yaml.safe_load(yaml.safe_dump(to_mapping(config)))) == expected


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"cuont": 1}, "unknown key 'cuont'; did you mean 'count'?"),
        ({"inner": {"rte": 1}}, "unknown key 'inner.rte'; did you mean 'inner.rate'?"),
        ({"rate": 1}, "unknown key 'rate'; did you mean 'inner.rate'?"),
        ({"count": "many"}, "count must be a whole number, not 'many'"),
        ({"count": 1.5}, "count must be a whole number, not 1.5"),
        ({"count": True}, "count must be a whole number, not True"),
        ({"name": 3}, "name must be a string, not 3"),
        ({"inner": 3}, "inner must be a group of options, not 3"),
        ({"inner": {"rate": "nan"}}, "inner.rate must be a number, not 'nan'"),
        ({"inner": {"on": 1}}, "inner.on must be true or false, not 1"),
        ({"inner": {"kind": "c"}}, "inner.kind must be one of 'a', 'b', not 'c'"),
        ({"inner": {"sizes": [1, "x"]}}, "inner.sizes must be a whole number, not 'x'"),
        ({"free": 1}, "free must be a mapping, not 1"),
    ],
)
def test_mistakes(mapping, sentence):
    with pytest.raises(UsageError) as error:
        from_mapping(Outer, mapping)
    assert str(error.value) == sentence


def test_option_without_its_value():
    with pytest.raises(UsageError, match="name needs a value; give it as --name VALUE"):
        from_mapping(Outer, parse_overrides(["--name", "--count", "3"]))


def test_numbers_of_a_list_may_stand_apart():
    assert parse_overrides(["--a.sizes", "8", "16", "--b", "-1"]) == {
        "a": {"sizes": "8,16"},
        "b": "-1",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), ".nan"])
def test_numbers_are_finite_from_yaml_too(value):
    with pytest.raises(UsageError, match="must be a number, not"):
        convert(value, float, "rate")


def test_stray_argument():
    with pytest.raises(UsageError, match="expected an option such as --seed 1, found 'oops'"):
        parse_overrides(["--count", "3", "oops"])


def test_merge_goes_into_groups():
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}}) == {
        "a": {"b": 9, "c": 2},
        "d": 3,
    }
