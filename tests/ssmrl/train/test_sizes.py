"""What does not fit is refused with both numbers, before any of it is allocated."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from flax import struct

from ssmrl.errors import UsageError
from ssmrl.train import sizes
from ssmrl.train.sizes import available_bytes, bytes_of, check_fits, estimate


@struct.dataclass
class State:
    params: dict
    key: jax.Array


def agent(width: int, steps: int) -> SimpleNamespace:
    """Return an agent of [width, width] parameters that collects steps."""
    return SimpleNamespace(
        init=lambda key: State({"w": jnp.zeros((width, width))}, key),
        collect=lambda state: (state, jnp.zeros((steps, 2), jnp.int8)),
    )


def test_parts_are_counted_for_all_seeds():
    assert estimate(agent(10, 7), 3) == {"params": 1200, "key": 24, "roll-out": 42}


def test_any_tree_may_be_a_state():
    init = lambda key: {"params": {"w": jnp.zeros(3)}, "update": jnp.int32(0)}  # noqa: E731
    assert estimate(SimpleNamespace(init=init), 2) == {"params": 24, "update": 8}


def test_sizes_beyond_all_integers_are_added_up():
    found = estimate(agent(2**31 - 1, 5), 2**31 - 1)
    assert found["params"] == 4 * (2**31 - 1) ** 3
    with pytest.raises(UsageError, match=r"at least 36,893,488,095,879,495,739 GiB of memory"):
        check_fits(found, "the width")


def test_both_numbers_and_the_way_out(monkeypatch):
    monkeypatch.setattr(sizes, "available_bytes", lambda: 3 * 2**30)
    check_fits({"params": 2**30, "roll-out": 2 * 2**30}, "ppo.num_envs")
    with pytest.raises(UsageError) as error:
        check_fits({"params": 2**30, "roll-out": 2**32}, "ppo.num_envs")
    assert str(error.value) == (
        f"this needs at least 5.00 GiB of memory (roll-out alone 4.00 GiB), but {jax.devices()[0]} "
        "has 3.00 GiB; lower ppo.num_envs"
    )


def test_keys_and_shapes_have_sizes():
    assert bytes_of((jax.random.split(jax.random.key(0), 3), jnp.zeros((2, 0)))) == 24
    assert bytes_of(jax.ShapeDtypeStruct((3,), jnp.bfloat16)) == 6


def test_a_device_says_what_it_has_left(monkeypatch):
    card = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 5, "bytes_in_use": 2})
    monkeypatch.setattr(jax, "devices", lambda: [card])
    assert available_bytes() == 3


def test_a_machine_says_what_it_has_left(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(memory_stats=lambda: None)])
    files = {"/proc/meminfo": ["MemTotal: 9 kB", "MemAvailable:  7 kB"]}
    monkeypatch.setattr(sizes, "_lines", lambda path: files.get(path, []))
    assert available_bytes() == 7 * 1024
    files["/sys/fs/cgroup/memory.max"] = ["4096"]
    assert available_bytes() == 4096
    files["/sys/fs/cgroup/memory.max"] = ["max"]
    assert available_bytes() == 7 * 1024
