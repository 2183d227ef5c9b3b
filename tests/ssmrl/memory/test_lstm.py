"""The fused LSTM against flax's cells, in value and gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ssmrl.memory import LSTM

T, B, F, H = 5, 3, 4, 6


def as_flax_cell(p):
    """Cut the fused parameters into those of ``flax.linen.LSTMCell``; works on traced ones too."""
    inputs, recurrent, biases = (
        jnp.split(v, 4, axis=-1)
        for v in (p["input_gates"]["kernel"], p["recurrent_kernel"], p["recurrent_bias"])
    )
    cell = {f"i{gate}": {"kernel": inputs[i]} for i, gate in enumerate("ifgo")}
    for i, gate in enumerate("ifgo"):
        cell[f"h{gate}"] = {"kernel": recurrent[i], "bias": biases[i]}
    return {"params": cell}


def by_flax(cell, params, state, x_TxBxF, start_TxB):
    """Return what two layers of flax's cells give, step by step, as LSTM does."""
    hs, cs = ([v[:, i] for i in range(2)] for v in state)
    outputs = []
    for x, start in zip(x_TxBxF, start_TxB, strict=True):
        for i in range(2):
            carry = (jnp.where(start[:, None], 0, v[i]) for v in (cs, hs))
            (cs[i], hs[i]), x = cell.apply(as_flax_cell(params[f"layers_{i}"]), tuple(carry), x)
        outputs.append(x)
    return (jnp.stack(hs, axis=1), jnp.stack(cs, axis=1)), jnp.stack(outputs)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.OptimizedLSTMCell])
def test_equals_flax_cells(cell):
    m = LSTM(features=H, num_layers=2)
    x_TxBxF = jax.random.normal(jax.random.key(0), (T, B, F))
    start_TxB = jnp.zeros((T, B), bool).at[2, 0].set(True)
    h, c = jax.random.normal(jax.random.key(1), (2, B, 2, H))
    init = jax.jit(partial(m.init, method="scan"))
    params = init(jax.random.key(2), (h, c), x_TxBxF, start_TxB)["params"]
    # Three biases start at zero, where a misplaced one would not show.
    params = jax.tree.map(lambda v: v + 0.3 * jnp.sin(jnp.arange(v.size)).reshape(v.shape), params)

    def ours(params, *inputs):
        return m.apply({"params": params}, *inputs, method="scan")

    def slopes(run):
        def weighted(params, state, x_TxBxF):
            result = run(params, state, x_TxBxF, start_TxB)
            leaves = [jnp.ravel(v) for v in jax.tree.leaves(result)]
            numbers = jnp.concatenate(leaves)
            return numbers @ jnp.cos(jnp.arange(numbers.size)), result

        return jax.jit(jax.grad(weighted, argnums=(0, 1, 2), has_aux=True))(params, (h, c), x_TxBxF)

    got, want = slopes(ours), slopes(partial(by_flax, cell(H)))
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w, atol=1e-5)


def test_begins_orthogonal_and_remembering():
    m = LSTM(features=H)
    params = m.init(
        *(jax.random.key(0), m.initial_state((B,)), jnp.zeros((B, F)), jnp.zeros((B,), bool)),
        method="step",
    )["params"]["layers_0"]
    gates = np.split(np.asarray(params["recurrent_kernel"]), 4, axis=-1)
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(H), atol=1e-5)
    assert (gates[0] != gates[1]).all()
    np.testing.assert_array_equal(params["recurrent_bias"].reshape(4, H)[:, 0], [0, 1, 0, 0])
    assert "bias" not in params["input_gates"]
