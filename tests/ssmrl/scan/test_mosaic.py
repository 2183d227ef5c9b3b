"""The GPU kernel, run by Pallas' interpreter on a CPU: numbers, batching, isolation, its plan.

On a GPU that can, the same tests run the compiled kernel.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scan_oracle import check, check_half_precision, draw_problem

from ssmrl.scan import linear_scan, mosaic
from ssmrl.scan.mosaic_plan import Plan, make_plan

try:
    from jax.experimental.pallas.mosaic_gpu import InterpretGPUParams
except ImportError:  # jax 0.10
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

ON_GPU = jax.default_backend() == "gpu"
scan = partial(linear_scan, planar=True, implementation="mosaic")


@pytest.fixture(autouse=True)
def kernel(monkeypatch):
    """Let the kernel run here; returns a function that fixes the number of chunks."""
    if not ON_GPU:
        monkeypatch.setattr(mosaic, "interpret", InterpretGPUParams())

    def set_chunks(chunks):
        jax.clear_caches()  # plans are read when a function is traced
        monkeypatch.setattr(mosaic, "make_plan", lambda *_, **__: Plan(chunks, steps=4, stages=2))

    set_chunks(1)
    return set_chunks


@pytest.mark.parametrize(
    ("chunks", "num_steps", "num_states"),
    [(1, 12, 3), (3, 24, 3), (2, 8, 64), (3, 12, 130)],
    ids=["one-chunk", "chunks", "two-rows-a-block", "two-blocks-a-row"],
)
def test_states_and_gradients_equal_the_loop(kernel, chunks, num_steps, num_states):
    kernel(chunks)
    forced = [(0, 0), (1, 0), (num_steps // 2, 1), (-1, 1)]
    options = {"is_complex": True, "varies": False, "density": 0.1, "forced": forced}
    check("mosaic", "planar", draw_problem(1, num_steps, num_states=num_states, **options))


def problem(num_steps, batch, num_states, seed=0):
    rng = np.random.default_rng(seed)
    shape = (num_steps, batch, 2 * num_states)
    a, b, h = (rng.normal(size=s).astype("float32") for s in (shape[-1], shape, shape[1:]))
    return a / 2, b, rng.random(shape[:2]) < 0.2, h


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_length_that_no_tile_divides(kernel, chunks):
    """Where time ends inside a tile, what lies beyond is read as zero and never written."""
    if not ON_GPU and jax.__version_info__ < (0, 11):
        pytest.xfail("the interpreter of jax 0.10 knows no reads beyond an array")
    kernel(chunks)
    a, b, start, h = problem(11, 2, 3)
    weights = jnp.cos(b)

    def both(implementation):
        def loss(a, b, h):
            x = linear_scan(
                *(a, b, start), initial_state=h, planar=True, implementation=implementation
            )
            return jnp.sum(x * weights)

        return jax.value_and_grad(loss, argnums=(0, 1, 2))(a, b, h)

    for got, want in zip(*map(jax.tree.leaves, (both("mosaic"), both("sequential"))), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_vmap_equals_a_loop(kernel):
    kernel(2)
    seeds = [problem(8, 2, 3, seed) for seed in range(2)]

    def gradients(a, b, start, h):
        return jax.grad(lambda a, b, h: jnp.sum(jnp.sin(scan(a, b, start, initial_state=h))))(
            a, b, h
        )

    stacked = [jnp.stack(arrays) for arrays in zip(*seeds, strict=True)]
    got = jax.jit(jax.vmap(gradients))(*stacked)
    for i, seed in enumerate(seeds):
        np.testing.assert_allclose(got[i], gradients(*seed), rtol=1e-4, atol=1e-5)


def test_half_precision_inputs_are_summed_in_single(kernel):
    kernel(2)
    check_half_precision("mosaic")


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_non_finite_state_stays_in_its_episode(kernel, chunks):
    kernel(chunks)
    a, b, _, h = problem(8, 2, 3)
    start = jnp.zeros((8, 2), bool).at[5, 0].set(True)
    b[1, 0] = np.inf

    def loss(a, b, h):
        x = scan(a, b, start, initial_state=h)
        return jnp.sum(x[5:] ** 2), x

    gradient = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    (value, x), gradients = gradient(a, b, h)
    assert not jnp.isfinite(x[4, 0]).any()  # else nothing was put to the test
    assert jnp.isfinite(value)
    for gradient in gradients:
        assert jnp.isfinite(gradient).all()
    assert not gradients[1][:5, 0].any()


@pytest.mark.parametrize("idle", [True, False], ids=["zero-state", "resets"])
def test_a_power_that_overflows_stays_where_nothing_is_carried(kernel, idle):
    kernel(2)
    a = jnp.concatenate([jnp.full(3, 1e10), jnp.zeros(3)])
    b = jnp.full((8, 2, 6), 0.0 if idle else 1.0)
    start = jnp.zeros((8, 2), bool) if idle else jnp.zeros((8, 2), bool).at[3:].set(True)
    x = scan(a, b, start)
    want = linear_scan(a, b, start, planar=True, implementation="sequential")
    assert jnp.isfinite(want).all()
    np.testing.assert_allclose(x, want, rtol=1e-6)


def test_second_derivatives():
    a, b, start, h = problem(4, 2, 3)

    def curvature(implementation):
        def slope(b):
            def loss(b):
                x = linear_scan(
                    *(a, b, start), initial_state=h, planar=True, implementation=implementation
                )
                return jnp.sum(jnp.sin(x))

            return jnp.sum(jnp.cos(jax.grad(loss)(b)))

        return jax.grad(slope)(b)

    got, want = curvature("mosaic"), curvature("sequential")
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_time_is_cut_up_only_where_chains_are_few(monkeypatch):
    monkeypatch.undo()
    blocks = (1, 8, 32, 64, 1024)
    plans = [make_plan(1024, num_blocks, is_adjoint=False) for num_blocks in blocks]
    assert [plan.chunks for plan in plans] == [16, 16, 4, 1, 1]
    assert make_plan(100, 8, is_adjoint=True).chunks == 1
