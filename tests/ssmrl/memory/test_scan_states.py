"""States inside a scan: those of scans piece by piece, for all memories, wherever it is called."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import planted_memories as planted
import pytest
from flax import linen as nn

from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.memory import scan_states

T, EVERY, B, F = 6, 2, 4, 5
SMALL = {
    "s5": {"state_size": 4, "num_layers": 2},
    "transformer": {"num_heads": 2, "num_layers": 1, "context": 4},
    "mlp": {"num_layers": 1},
}
MEMORIES = {
    **{name: memory.make(name, features=4, **SMALL.get(name, {})) for name in memory.names()},
    "s5-learned-start": memory.make("s5", features=4, learned_start=True, **SMALL["s5"]),
    "outside": planted.Sound(),
}


def inputs_of(m):
    """Return variables, none of them zero, a state as scans leave it, x, and starts anywhere."""
    rng = np.random.default_rng(0)
    x, other_x = rng.normal(size=(2, T, B, F)).astype(np.float32)
    start = rng.random((T, B)) < 0.25
    assert start.any(axis=1).sum() > T // 2  # out of phase with pieces and with each other
    inputs = m.initial_state((B,)), other_x, start
    shapes = jax.eval_shape(partial(m.init, method="scan"), jax.random.key(0), *inputs)
    variables = jax.tree.map(lambda v: rng.normal(0, 0.4, v.shape).astype(np.float32), shapes)
    if "lambda_re" in variables["params"].get("layers", {}):
        variables["params"]["layers"]["lambda_re"] -= 1.0  # stable
    state, _ = jax.jit(partial(m.apply, method="scan"))(variables, *inputs)
    return variables, state, x, start


def by_pieces(m, variables, state, x, start):
    scan, states, ys = jax.jit(partial(m.apply, method="scan")), [], []
    for piece in (slice(i, i + EVERY) for i in range(0, T, EVERY)):
        state, y = scan(variables, state, x[piece], start[piece])
        states.append(state)
        ys.append(y)
    return state, jnp.concatenate(ys), jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def at_once(m, *inputs):
    return jax.jit(lambda *inputs: m.apply(*inputs, EVERY, method=scan_states))(*inputs)


def with_slopes(run, inputs):
    """Return all that it gives, and the derivatives of a sum in which all weigh differently."""

    def weighted(*floats):
        result = run(*floats, inputs[3])
        leaves = [jnp.ravel(v).astype(jnp.float32) for v in jax.tree.leaves(result)]
        numbers = jnp.concatenate(leaves)
        return numbers @ jnp.cos(jnp.arange(numbers.size)), result

    derive = jax.grad(weighted, argnums=(0, 1, 2), has_aux=True, allow_int=True)
    slopes, result = derive(*inputs[:3])
    return [s for s in jax.tree.leaves(slopes) if s.dtype != jax.dtypes.float0], result


@pytest.mark.parametrize("m", MEMORIES.values(), ids=MEMORIES)
def test_equal_to_scans_piece_by_piece(m):
    inputs = inputs_of(m)
    got, want = (with_slopes(partial(run, m), inputs) for run in (at_once, by_pieces))
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert g.shape == w.shape
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5 * max(1, np.abs(w).max()))
    last, y, states = got[1]
    assert y.shape == (T, B, m.features)
    assert jax.tree.structure(states) == jax.tree.structure(last)
    for each, of_last in zip(jax.tree.leaves(states), jax.tree.leaves(last), strict=True):
        assert each.shape[:2] == (T // EVERY, B)
        np.testing.assert_array_equal(each[-1], of_last)


class Outer(nn.Module):
    """Uses a memory as its submodule, either way."""

    m: nn.Module
    at_once: bool = True

    @nn.compact
    def __call__(self, state, x, start):
        x = nn.Dense(F)(x)
        if self.at_once:
            return scan_states(self.m, state, x, start, EVERY)[:2]
        return self.m.scan(state, x, start)


@pytest.mark.parametrize("name", ["gru", "transformer", "outside"])
def test_inside_another_module(name):
    """It makes the parameters that scan makes, and gives what scan gives."""
    m = MEMORIES[name]
    inputs = inputs_of(m)[1:]
    (got, variables), (want, by_scan) = (
        jax.jit(Outer(m, at_once).init_with_output)(jax.random.key(1), *inputs)
        for at_once in (True, False)
    )
    jax.tree.map(np.testing.assert_array_equal, variables, by_scan)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(close, got, want)
    jax.tree.map(close, jax.jit(Outer(m).apply)(variables, *inputs), want)


@pytest.mark.parametrize(
    ("every", "sentence"),
    [
        (4, "every must divide the 6 steps of a scan, but is 4"),
        (12, "every must divide the 6 steps of a scan, but is 12"),
        (0, "every must be at least 1, but is 0"),
    ],
)
def test_pieces_of_another_length_end_in_one_sentence(every, sentence):
    m = MEMORIES["gru"]
    x, start = jnp.zeros((T, B, F)), jnp.zeros((T, B), bool)
    with pytest.raises(UsageError, match=f"^{sentence}"):
        m.apply({}, m.initial_state((B,)), x, start, every, method=scan_states)
