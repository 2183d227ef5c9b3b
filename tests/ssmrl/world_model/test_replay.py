"""The replay against streams that are never forgotten, written out in NumPy."""

from itertools import count

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import chisquare

from ssmrl.errors import UsageError
from ssmrl.world_model.replay import Replay, check_sizes

BATCH = 4
# Streams, steps of a piece, pieces of the ring, pieces of a window. Few: each compiles anew.
SHAPES = [(1, 1, 1, 1), (1, 1, 4, 2), (3, 2, 4, 3), (2, 3, 5, 1), (2, 2, 3, 3)]

add = jax.jit(Replay.add)
newest = jax.jit(Replay.newest)
sample = jax.jit(Replay.sample, static_argnums=(2, 3))
refresh = jax.jit(Replay.refresh)


def make_rollout(piece: int, num_streams: int, number: int = 0) -> dict:
    """Return steps that can be told apart, by ``step``, from all of other numbers."""
    step = number * piece * num_streams + np.arange(piece * num_streams, dtype=np.int32)
    step = step.reshape(piece, num_streams)
    return {
        "obs": np.stack([step % 251, step // 251 % 256], -1).astype(np.uint8),
        "step": step,
        "reward": step.astype(np.float32) / 8,
        "start": step % 3 == 0,
    }


def make_carry(*front: int, number: int = 0) -> tuple:
    """Return carries [*front, ...] that can be told apart from all of other numbers."""
    index = (1000 * number + np.arange(np.prod(front))).reshape(front)
    memory = np.stack([index, -index], -1).astype(np.float32)
    return memory, {"action": (index % 256).astype(np.uint8)}


def make_replay(num_streams: int, piece: int, num_pieces: int) -> Replay:
    rollout = jax.eval_shape(lambda: make_rollout(piece, num_streams))
    return Replay.empty(rollout, make_carry(num_streams), num_pieces * piece)


class Streams:
    """A replay, and beside it all pieces that it was given, by number."""

    def __init__(self, shape: tuple[int, int, int, int], written: int = 0):
        self.num_streams, self.piece, self.num_pieces, self.window_pieces = shape
        self.replay = make_replay(*shape[:3]).replace(written=jnp.int32(written))
        self.written = written
        nothing = jax.tree.map(np.zeros_like, self.make_piece(0))
        held = range(written - self.num_pieces, written) if written else ()
        self.pieces = {q: jax.tree.map(np.copy, nothing) for q in held}
        self.numbers = count(1)

    def make_piece(self, number: int) -> tuple:
        rollout = make_rollout(self.piece, self.num_streams, number)
        return rollout, make_carry(self.num_streams, number=number)

    def is_held(self, q: int) -> bool:
        return self.written - self.num_pieces <= q < self.written

    def add(self) -> None:
        self.pieces[self.written] = self.make_piece(next(self.numbers))
        self.replay = add(self.replay, *self.pieces[self.written])
        assert_equal(newest(self.replay), self.pieces[self.written][0])
        self.written += 1

    def sample(self, seed: int):
        """Draw windows and hold them against the streams; None where there are none."""
        length = self.window_pieces * self.piece
        num_windows = min(self.num_pieces, self.written) - self.window_pieces + 1
        assert self.replay.num_windows(length) == max(0, num_windows)
        if num_windows < 1:
            return None
        window = jax.device_get(sample(self.replay, jax.random.key(seed), BATCH, length))
        age = self.replay.age(window)
        for b, (n, first) in enumerate(zip(window.stream, window.first.tolist(), strict=True)):
            numbers = range(first, first + self.window_pieces)
            assert all(self.is_held(q) for q in numbers)
            rollouts, carries = zip(*(self.pieces[q] for q in numbers), strict=True)
            expected = jax.tree.map(lambda *x, n=n: np.concatenate(x)[:, n], *rollouts)
            assert_equal(jax.tree.map(lambda x, b=b: x[:, b], window.data), expected)
            carry = jax.tree.map(lambda x, n=n: x[n], carries[0])
            assert_equal(jax.tree.map(lambda x, b=b: x[b], window.carry), carry)
            assert age[b] == (self.written - numbers.stop) * self.piece
        return window

    def refresh(self, window) -> None:
        """Write new carries back; of those for one place that of the earliest window stays."""
        new = make_carry(self.window_pieces, BATCH, number=next(self.numbers))
        self.replay = refresh(self.replay, window, new)
        for b in sorted(range(BATCH), key=lambda b: (window.first[b], b), reverse=True):
            for k in range(self.window_pieces):
                q = int(window.first[b]) + k + 1
                if self.is_held(q):
                    for x, y in zip(*map(jax.tree.leaves, (self.pieces[q][1], new)), strict=True):
                        x[window.stream[b]] = y[k, b]

    def check_carries(self) -> None:
        ring = jax.device_get(self.replay.carry)
        for q in self.pieces:
            if self.is_held(q):
                found = jax.tree.map(lambda x, q=q: x[q % self.num_pieces], ring)
                assert_equal(found, self.pieces[q][1])


def assert_equal(found, expected) -> None:
    def check(x, y):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)

    jax.tree.map(check, found, expected)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    late=st.booleans(),
    rounds=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=6),
)
def test_windows_and_carries_equal_the_streams(shape, seed, late, rounds):
    """Some pieces are added, windows drawn, more added, the windows refreshed, time and again.

    Late is where the number of pieces nears the last int32.
    """
    streams = Streams(shape, written=(2**31 - 100) // shape[2] * shape[2] if late else 0)
    for number, (before, between) in enumerate(rounds):
        for _ in range(before):
            streams.add()
        window = streams.sample(seed + number)
        for _ in range(between):
            streams.add()
        if window is not None:
            streams.refresh(window)
            streams.check_carries()


@pytest.mark.parametrize(("written", "firsts"), [(3, [0, 1]), (4, [0, 1, 2]), (7, [3, 4, 5])])
def test_all_windows_are_equally_likely(written, firsts):
    replay = make_replay(3, 2, 4)
    for number in range(written):
        replay = add(replay, make_rollout(2, 3, number), make_carry(3, number=number))
    window = sample(replay, jax.random.key(0), 9000, 4)
    cells, counts = np.unique([window.first, window.stream], axis=1, return_counts=True)
    np.testing.assert_array_equal(cells, [np.repeat(firsts, 3), np.tile(range(3), len(firsts))])
    assert chisquare(counts).pvalue > 0.01


def test_refreshed_carries_at_the_head():
    """Of 5 pieces in a ring of 4, a window of the last 2: its second piece alone follows one."""
    replay = make_replay(1, 1, 4)
    for number in range(5):
        replay = add(replay, make_rollout(1, 1, number), make_carry(1, number=number))
    window = sample(replay, jax.random.key(0), 1, 2)
    window = window.replace(first=jnp.array([3], jnp.int32))
    after = make_carry(2, 1, number=9)
    found = refresh(replay, window, after).carry[0][:, 0, 0]
    np.testing.assert_array_equal(found, [9000, 1000, 2000, 3000])  # slot 0 is that of piece 4


def test_a_replay_per_seed():
    """Vmapped over seeds of unequal numbers of pieces, as each alone."""
    alone = [make_replay(2, 2, 3), make_replay(2, 2, 3)]
    for number in range(5):
        for seed in (0, 1) if number < 2 else (1,):
            piece = make_rollout(2, 2, number + seed), make_carry(2, number=number + seed)
            alone[seed] = add(alone[seed], *piece)
    keys = jax.random.split(jax.random.key(0), 2)

    def work(replay, key):
        replay = replay.add(make_rollout(2, 2, 8), make_carry(2, number=8))
        window = replay.sample(key, BATCH, 4)
        replay = replay.refresh(window, make_carry(2, BATCH, number=9))
        return replay, window, replay.age(window)

    stacked = jax.tree.map(lambda *x: jnp.stack(x), *alone)
    together = jax.jit(jax.vmap(work))(stacked, keys)
    work = jax.jit(work)
    for seed in (0, 1):
        found = jax.tree.map(lambda x, seed=seed: x[seed], together)
        assert_equal(found, work(alone[seed], keys[seed]))


@pytest.mark.parametrize("num_seeds", [None, 2])
def test_a_donated_replay_is_written_in_place(num_seeds):
    replay = jax.eval_shape(lambda: make_replay(8, 2, 10_000))
    rollout, carry = make_rollout(2, 8), make_carry(8)

    def work(replay, key):
        replay = replay.add(rollout, carry)

        def learn(replay, key):
            window = replay.sample(key, BATCH, 4)
            carries = jax.tree.map(lambda x: jnp.stack([x, x]), window.carry)
            return replay.refresh(window, carries), window.data["reward"].sum()

        return jax.lax.scan(learn, replay, jax.random.split(key, 3))

    key = jax.eval_shape(lambda: jax.random.key(0))
    if num_seeds is not None:
        work = jax.vmap(work)
        more = lambda x: jax.ShapeDtypeStruct((num_seeds, *x.shape), x.dtype)  # noqa: E731
        replay, key = jax.tree.map(more, (replay, key))
    memory = jax.jit(work, donate_argnums=0).lower(replay, key).compile().memory_analysis()
    smallest = min(x.size * x.dtype.itemsize for x in jax.tree.leaves(replay.data))
    assert memory.temp_size_in_bytes < smallest / 2


def test_leaves_keep_their_dtypes():
    replay = make_replay(2, 2, 3)
    rollout, carry = make_rollout(2, 2), make_carry(2)
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
    assert shapes(replay.data) == shapes(jax.tree.map(lambda x: np.tile(x.T, 3).T, rollout))
    window = sample(add(replay, rollout, carry), jax.random.key(0), 2, 2)
    assert shapes(window.data) == shapes(rollout)
    assert shapes(window.carry) == shapes(carry)


def test_a_replay_without_carries():
    replay = add(Replay.empty(make_rollout(2, 2), (), 6), make_rollout(2, 2, 5), ())
    window = sample(replay, jax.random.key(0), 2, 2)
    assert refresh(replay, window, ()).carry == window.carry == ()
    assert window.data["step"].min() >= 20


def test_what_has_other_shapes_is_not_written():
    replay = make_replay(3, 2, 4)
    with pytest.raises(AssertionError, match="obs"):
        replay.add(make_rollout(2, 2), make_carry(3))
    with pytest.raises(AssertionError, match=r"\(2, 2\) != \(3, 2\)"):
        replay.add(make_rollout(2, 3), make_carry(2))
    window = jax.eval_shape(lambda: replay.sample(jax.random.key(0), BATCH, 4))
    with pytest.raises(AssertionError, match=r"\(1, 4, 2\) != \(2, 4, 2\)"):
        jax.eval_shape(Replay.refresh, replay, window, make_carry(1, BATCH))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((16, 40, 64), "a.length=40 is not a multiple of a.piece=16; nearest that are: 32 and 48"),
        ((16, 32, 10), "a.size=10 is not a multiple of a.piece=16; nearest that is: 16"),
        ((16, 80, 64), "a.length=80 is longer than the replay, whose a.size is 64 steps"),
        ((16, 0, 64), r"a.length must lie in 1\.\..*, not 0"),
        ((0, 16, 64), r"a.piece must lie in 1\.\..*, not 0"),
        ((1, 1, 2**31 - 1), r"a.size must lie in 1\.\.1073741824, not 2147483647"),
    ],
)
def test_sizes_that_do_not_fit(sizes, message):
    with pytest.raises(UsageError, match=message):
        check_sizes(*sizes, names=("a.piece", "a.length", "a.size"))


def test_sizes_that_fit():
    check_sizes(16, 1024, 1024)
    check_sizes(1, 1, 1)


def test_the_replay_checks_its_sizes():
    with pytest.raises(UsageError, match="capacity=7 is not a multiple of piece=2"):
        Replay.empty(make_rollout(2, 3), make_carry(3), 7)
    with pytest.raises(UsageError, match="length=5 is not a multiple of piece=2"):
        make_replay(3, 2, 4).sample(jax.random.key(0), 2, 5)
