"""An album holds what was seen since an episode's start, whenever it was, and tells what is new."""

import jax
import numpy as np
import pytest

from ssmrl.world_model.album import Album, empty, put, put_all

T, B, Z = 12, 4, 5


def make_steps():
    """Return an album in the middle of an episode, one-hots [T, B, Z], and starts [T, B]."""
    rng = np.random.default_rng(0)
    one_hots = np.eye(Z, dtype=np.float32)[rng.integers(0, Z, (T, B))]
    last = np.eye(Z, dtype=np.float32)[rng.integers(0, Z, B)]
    before = Album(np.maximum(last, rng.integers(0, 2, (B, Z))).astype(np.float32), last)
    start = rng.random((T, B)) < 0.2
    start[:, 0] = False
    return before, one_hots, start


def test_it_holds_what_was_seen_since_the_start_and_tells_what_is_new():
    before, one_hots, start = make_steps()
    found, news = jax.device_get(put_all(before, one_hots, start))
    np.testing.assert_array_equal(found.last, one_hots)
    for stream in range(B):
        seen, last = before.seen[stream], before.last[stream]
        for step in range(T):
            now = one_hots[step, stream]
            if start[step, stream]:
                seen, last = 0 * seen, 0 * last
            seen = np.maximum(seen, now)
            np.testing.assert_array_equal(found.seen[step, stream], seen)
            np.testing.assert_array_equal(news[step, stream], now * (now != last))
            last = now
    assert 0 < found.seen.mean() < 1
    assert 0 < news.sum(-1).mean() < 1


def test_step_by_step_it_is_the_same():
    before, *steps = make_steps()

    def one(album, step):
        album, news = put(album, *step)
        return album, (album, news)

    last, each = jax.lax.scan(one, before, tuple(steps))
    found = put_all(before, *steps)
    jax.tree.map(np.testing.assert_array_equal, found, each)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[-1]), last, found[0])


@pytest.mark.parametrize("together", [False, True])
def test_slopes_pass_what_is_new_and_not_what_was_seen(together):
    """A running maximum would send them to whichever step came first."""
    _, one_hots, start = make_steps()
    start[:] = False

    def total(one_hots, of):
        album = empty((B,), Z)
        if together:
            found, news = put_all(album, one_hots, start)
            return (found.seen if of == "seen" else news[-1]).sum()
        for now in one_hots:
            album, news = put(album, now, start[0])
        return (album.seen if of == "seen" else news).sum()

    seen, new = (jax.grad(total)(one_hots, of) for of in ("seen", "new"))
    assert not np.any(seen)
    is_new = one_hots[-1] * (one_hots[-1] != one_hots[-2])
    np.testing.assert_array_equal(new[-1], is_new)
    np.testing.assert_array_equal(new[-2], -is_new)
    assert not np.any(new[:-2])
