"""An album holds what was seen since an episode's start, whenever it was, and tells what is new."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.world_model.album import news, put, put_all

T, B, Z = 12, 4, 5


def make_steps():
    """Return an album in the middle of an episode, one-hots [T, B, Z], and starts [T, B]."""
    rng = np.random.default_rng(0)
    one_hots = np.eye(Z, dtype=np.float32)[rng.integers(0, Z, (T, B))]
    start = rng.random((T, B)) < 0.2
    start[:, 0] = False
    one_hots[1, 0] = one_hots[0, 0]  # of this nothing is new
    return rng.integers(0, 2, (B, Z)).astype(bool), one_hots, start


def test_it_holds_what_was_seen_since_the_start():
    before, one_hots, start = make_steps()
    found = put_all(before, one_hots, start)
    assert found.dtype == jnp.float32
    for stream in range(B):
        album = before[stream]
        for step in range(T):
            kept = album * (not start[step, stream])
            album = np.maximum(kept, one_hots[step, stream])
            np.testing.assert_array_equal(found[step, stream], album)
    assert 0 < found.mean() < 1


def test_step_by_step_it_is_the_same():
    before, *steps = make_steps()
    album, each = before, []
    for now in zip(*steps, strict=True):
        album = put(album, *now)
        each.append(album)
    np.testing.assert_array_equal(put_all(before, *steps), each)


@pytest.mark.parametrize("together", [False, True])
def test_no_slope_passes_an_album(together):
    """A running maximum would send them to whichever step came first."""
    before, one_hots, start = make_steps()

    def total(one_hots):
        if together:
            return put_all(before, one_hots, start).sum()
        return put(before, one_hots[0], start[0]).sum()

    assert not np.any(jax.grad(total)(one_hots))


def test_slopes_pass_what_is_new():
    _, one_hots, _ = make_steps()
    now, last = one_hots[1], one_hots[0]
    is_new = now * (now != last)
    assert 0 < is_new.sum() < B
    np.testing.assert_array_equal(news(now, last), is_new)
    slopes = jax.grad(lambda now, last: news(now, last).sum(), (0, 1))(now, last)
    np.testing.assert_array_equal(slopes, [is_new, -is_new])
