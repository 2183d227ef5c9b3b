"""The fused GRU against flax's cell."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ssmrl.memory import GRU

T, B, F, H = 5, 3, 4, 6


def as_flax_cell(p):
    """Cut the fused parameters into those of ``flax.linen.GRUCell``."""
    kernels, biases = (np.split(p["input_gates"][k], 3, axis=-1) for k in ("kernel", "bias"))
    recurrent = np.split(p["recurrent_kernel"], 3, axis=-1)
    cell = {}
    for i, gate in enumerate("rzn"):
        cell[f"i{gate}"] = {"kernel": kernels[i], "bias": biases[i]}
        cell[f"h{gate}"] = {"kernel": recurrent[i]}
    cell["hn"]["bias"] = p["recurrent_bias"]
    return cell


def test_equals_flax_cells():
    m = GRU(features=H, num_layers=2)
    x_TxBxF = jax.random.normal(jax.random.key(0), (T, B, F))
    start_TxB = jnp.zeros((T, B), bool)
    state = jax.random.normal(jax.random.key(1), (B, 2, H))
    init = jax.jit(partial(m.init, method="scan"))
    params = init(jax.random.key(2), state, x_TxBxF, start_TxB)["params"]
    # Biases start at zero, where a misplaced one would not show.
    params = jax.tree.map(lambda v: v + 0.3 * jnp.sin(jnp.arange(v.size)).reshape(v.shape), params)
    last, y_TxBxH = jax.jit(partial(m.apply, method="scan"))(
        {"params": params}, state, x_TxBxF, start_TxB
    )

    step = jax.jit(nn.GRUCell(H).apply)
    h_1, h_2 = state[:, 0], state[:, 1]
    for t in range(T):
        h_1, _ = step({"params": as_flax_cell(params["layers_0"])}, h_1, x_TxBxF[t])
        h_2, _ = step({"params": as_flax_cell(params["layers_1"])}, h_2, h_1)
        np.testing.assert_allclose(y_TxBxH[t], h_2, atol=1e-5)
    np.testing.assert_allclose(last, jnp.stack([h_1, h_2], axis=1), atol=1e-5)


def test_recurrent_kernels_begin_orthogonal():
    m = GRU(features=H)
    params = m.init(
        *(jax.random.key(0), m.initial_state((B,)), jnp.zeros((B, F)), jnp.zeros((B,), bool)),
        method="step",
    )["params"]["layers_0"]
    gates = np.split(np.asarray(params["recurrent_kernel"]), 3, axis=-1)
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(H), atol=1e-5)
    assert (gates[0] != gates[1]).all()
