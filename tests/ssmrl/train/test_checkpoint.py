"""Checkpoints come back bit for bit, or say that they were damaged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from ssmrl.errors import UsageError
from ssmrl.train.checkpoint import Checkpoints


@struct.dataclass
class State:
    weights: dict
    keys: jax.Array
    flags: jax.Array
    nothing: tuple
    absent: None


def state(seed: int) -> State:
    key = jax.random.key(seed)
    return State(
        weights={"w": jax.random.normal(key, (200, 50)), "n": jnp.int8(seed)},
        keys=jax.random.split(key, 3),
        flags=jnp.array([True, False]),
        nothing=(),
        absent=None,
    )


def like() -> State:
    return jax.eval_shape(lambda: state(0))


def assert_same(first: State, second: State) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert (jax.random.key_data(first.keys) == jax.random.key_data(second.keys)).all()
    for a, b in zip(jax.tree.leaves(first.weights), jax.tree.leaves(second.weights), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_newest_comes_back_and_old_ones_go(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    for update in (1, 2, 3):
        checkpoints.save(update, state(update))
    update, restored, warnings = Checkpoints(tmp_path).restore(like())
    assert (update, warnings) == (3, [])
    assert_same(restored, state(3))
    assert sorted(int(p.name) for p in tmp_path.iterdir()) == [2, 3]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_checkpoint_is_passed_over(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    for update in (1, 2):
        checkpoints.save(update, state(update))
    largest = max((tmp_path / "2").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        largest.unlink()
    else:
        largest.write_bytes(content if damage == "flip" else content[: len(content) // 2])

    update, restored, warnings = Checkpoints(tmp_path).restore(like())
    assert update == 1
    assert_same(restored, state(1))
    assert len(warnings) == 1
    assert warnings[0].startswith("checkpoint 2 is damaged and was passed over")


def test_nothing_whole_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="there is no checkpoint in"):
        Checkpoints(tmp_path).restore(like())
    Checkpoints(tmp_path).save(1, state(1))
    for path in (tmp_path / "1").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"every checkpoint in .* is damaged"):
        Checkpoints(tmp_path).restore(like())
