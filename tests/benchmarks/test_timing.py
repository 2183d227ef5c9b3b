"""The clock: it sees all the work, and the batches are as long as they should be."""

import time

import jax
import jax.numpy as jnp
import pytest

from benchmarks import timing

pytestmark = pytest.mark.slow  # clocks: other work on the machine shows in them


def chain(count):
    """Return a function of a vector whose steps follow one another, on one thread."""

    def fn(x):
        return jax.lax.fori_loop(0, count, lambda _, y: jnp.tanh(x * y + 0.1), x)

    return fn


@pytest.fixture
def vector():
    return jnp.full(64, 0.01)


def ratio(slower, faster):
    """Return how many times as long one takes, at the moments when nothing else disturbs them.

    In seconds of the processor, which other processes cannot take away.
    """
    return min(map(cpu_seconds, [slower] * 15)) / min(map(cpu_seconds, [faster] * 15))


def cpu_seconds(run):
    began = time.process_time()
    jax.block_until_ready(run())
    return time.process_time() - began


def in_loop(fn, *args):
    run = timing.repeated(fn, *args)
    return lambda: run(1)


def test_twice_the_work_takes_twice_as_long(vector):
    assert 1.4 < ratio(in_loop(chain(1000), vector), in_loop(chain(500), vector)) < 2.8


def test_a_loop_twice_as_long_takes_twice_as_long(vector, monkeypatch):
    short = in_loop(chain(500), vector)
    monkeypatch.setattr(timing, "UNIT", 2 * timing.UNIT)
    assert 1.4 < ratio(in_loop(chain(500), vector), short) < 2.8


def test_work_stays_in_the_loop(vector):
    """What is moved out of the loop would make a call look 16 times as fast as it is alone."""
    alone = jax.jit(chain(500))
    assert ratio(in_loop(chain(500), vector), lambda: alone(vector)) > 0.3 * timing.UNIT


def test_work_on_one_argument_alone_stays_in_the_loop(vector):
    alone = jax.jit(chain(500))

    def both(x, y):
        return alone(x), y + 1

    assert ratio(in_loop(both, vector, jnp.zeros(3)), lambda: alone(vector)) > 0.3 * timing.UNIT


def test_batches_are_long_enough(monkeypatch):
    monkeypatch.setattr(timing, "AT_LEAST", 0.01)
    found = timing.measure(lambda x: x + 1, jnp.zeros(8))
    assert found.repeats == timing.REPEATS
    assert 0 < found.low <= found.median <= found.high
    assert found.high * found.calls > 0.005
    assert found.columns()["median ms"] == pytest.approx(found.median * 1e3)


def test_profile(tmp_path):
    timing.measure(lambda x: x + 1, jnp.zeros(8), trace=tmp_path)
    assert list(tmp_path.rglob("*.trace.json.gz"))


def test_ceilings_notice_skipped_work(monkeypatch):
    monkeypatch.setattr(timing, "AT_LEAST", 0.005)
    ceilings = timing.measure_ceilings(small=True)
    assert ceilings.copy > 1e8
    assert min(ceilings.matmul.values()) > 1e8
    monkeypatch.setattr(timing, "measure", lambda *_: timing.Timing(1e-9, 1e-9, 1e-9, 1, 1))
    with pytest.raises(RuntimeError, match="in the timing loop"):
        timing.measure_ceilings(small=True)
