"""What the strict configuration takes, and the one sentence for what it does not."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from ssmrl.errors import UsageError
from ssmrl.train.config import (
    check_divides,
    check_within,
    convert,
    from_mapping,
    merge,
    parse_overrides,
    to_mapping,
)
from ssmrl.train.values import LongInt, Typed


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
    long: LongInt = 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Outer()),
        (["--count", "1e3"], Outer(count=1000)),
        (["--count", "1", "--count", "2"], Outer(count=2)),
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


def test_an_option_for_several_keys():
    line = ["--sweep", "inner.some-rate=1,2", "3", "--x", "4", "--sweep=b=5,6", "--sweep", "b=7"]
    read = parse_overrides(line, ["sweep"])
    assert read == {"sweep": {"inner.some_rate": "1,2,3", "b": "7"}, "x": "4"}
    lists = convert(read["sweep"], dict[str, tuple[float, ...]], "sweep")
    assert lists == {"inner.some_rate": (1, 2, 3), "b": (7,)}
    for wrong in (["--sweep"], ["--sweep", "a"], ["--sweep", "=1"], ["--sweep.a", "1", "--sweep"]):
        with pytest.raises(UsageError, match=r"^--sweep needs NAME=VALUE,VALUE,\.\.\.; fo"):
            parse_overrides(wrong, ["sweep"])


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


DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"count": 2**31}, "count must fit into 32 bits (at most 2147483647), not 2147483648"),
        ({"count": "-3e9"}, "count must fit into 32 bits (at most 2147483647), not '-3e9'"),
        ({"count": "1e999"}, "count must fit into 32 bits (at most 2147483647), not '1e999'"),
        ({"count": 10**5000}, "count must fit into 32 bits (at most 2147483647), not something"),
        ({"count": DIGITS}, "count must fit into 32 bits (at most 2147483647), not '99999"),
        ({"long": 2**63}, f"long must fit into 64 bits (at most {2**63 - 1}), not {2**63}"),
        ({"inner": {"rate": "1e39"}}, "inner.rate must be a number of 32 bits (at most 3.40"),
        ({"inner": {"rate": DIGITS}}, "inner.rate must be a number of 32 bits (at most 3.40"),
        ({"inner": {"rate": "1e400"}}, "inner.rate must be a number of 32 bits (at most 3.40"),
        ({"inner": {"rate": 10**400}}, "inner.rate must be a number of 32 bits (at most 3.40"),
        ({"inner": {"rate": -1e-39}}, "inner.rate must be 0 or a number of 32 bits (at least"),
        ({"inner": {"limit": "inf"}}, "inner.limit must be a number, not 'inf'"),
        ({"inner": {"sizes": "8,1e12"}}, "inner.sizes must fit into 32 bits (at most"),
        ({"free": {"a": 2**40}}, "free.a must fit into 32 bits (at most 2147483647), not"),
        ({"free": {"a": {"b": [1e39]}}}, "free.a.b must be a number of 32 bits (at most"),
        ({"free": {"a": float("nan")}}, "free.a must be a finite number, not nan"),
        ({"free": {"a": Typed(DIGITS)}}, "free.a must fit into 32 bits (at most 2147483647), not"),
    ],
)
def test_numbers_out_of_range(mapping, sentence):
    with pytest.raises(UsageError) as error:
        from_mapping(Outer, mapping)
    assert str(error.value).startswith(sentence)
    assert len(str(error.value)) < 200


def test_whole_numbers_are_read_exactly():
    odd = 2**53 + 1  # which no float is
    assert from_mapping(Outer, {"long": odd}).long == odd
    assert from_mapping(Outer, {"long": str(odd)}).long == odd
    assert from_mapping(Outer, {"long": "9e18", "count": "-2147483648"}).long == 9 * 10**18


def test_key_of_a_file_is_overridden_however_it_is_spelt():
    merged = merge({"some-key": 1, "b-c": {"d-e": 2}}, parse_overrides(["--b-c.d-e", "3"]))
    assert merged == {"some_key": 1, "b_c": {"d_e": "3"}}


def test_divisors_of_large_numbers_are_found_at_once():
    with pytest.raises(UsageError, match="nearest that do: 2 and 3"):
        check_divides("part", 4, "whole", 2**31 - 2)
    with pytest.raises(UsageError, match="nearest that do: 500000000000 and 1000000000000"):
        check_divides("part", 10**13, "whole", 10**12)


def test_range():
    check_within("--seed", 0, least=0)
    for value in (-1, 2**31, 10**5000):
        with pytest.raises(UsageError, match=r"--seed must lie in 0..2147483647, not "):
            check_within("--seed", value, least=0)


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
