"""One matrix of promises for all registered memories, and the table that holds them."""

from functools import lru_cache, partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ssmrl import memory
from ssmrl.errors import UsageError

T, B, F = 6, 3, 5
START = 4  # row 0 starts an episode here, row 1 at every step from here on, row 2 never
TINY = {"features": 8, "num_layers": 2, "state_size": 8}

every_memory = pytest.mark.parametrize("name", memory.names())


def tiny(name):
    known = memory.options(name)
    return memory.make(name, **{key: value for key, value in TINY.items() if key in known})


def inputs():
    x_TxBxF = jax.random.normal(jax.random.key(0), (T, B, F))
    start_TxB = jnp.zeros((T, B), bool).at[START, 0].set(True).at[START:, 1].set(True)
    return x_TxBxF, start_TxB


@lru_cache
def prepared(name):
    """Return a memory, its parameters, and its jitted scan and step."""
    module = tiny(name)
    x_TxBxF, start_TxB = inputs()
    state = module.initial_state((B,))
    initialise = jax.jit(partial(module.init, method="scan"))
    variables = initialise(jax.random.key(1), state, x_TxBxF, start_TxB)
    scan = jax.jit(partial(module.apply, method="scan"))
    step = jax.jit(partial(module.apply, method="step"))
    return module, variables, scan, step


def some_state(name):
    """Return a state that is nowhere zero, as it might come from an earlier scan."""
    leaves, tree = jax.tree.flatten(tiny(name).initial_state((B,)))
    keys = jax.random.split(jax.random.key(2), max(len(leaves), 1))
    drawn = [
        jax.random.normal(key, leaf.shape, leaf.dtype)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
        else leaf
        for key, leaf in zip(keys, leaves, strict=False)
    ]
    return jax.tree.unflatten(tree, drawn)


def assert_trees_near(got, want):
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


@every_memory
def test_scan_equals_repeated_step(name):
    _, variables, scan, step = prepared(name)
    x_TxBxF, start_TxB = inputs()
    want_state, want = scan(variables, some_state(name), x_TxBxF, start_TxB)
    assert want.shape == (T, B, TINY["features"])
    state = some_state(name)
    for t in range(T):
        state, y_BxH = step(variables, state, x_TxBxF[t], start_TxB[t])
        np.testing.assert_allclose(y_BxH, want[t], rtol=1e-5, atol=1e-5)
    assert_trees_near(state, want_state)


@every_memory
def test_one_scan_equals_its_pieces(name):
    _, variables, scan, _ = prepared(name)
    x_TxBxF, start_TxB = inputs()
    want = scan(variables, some_state(name), x_TxBxF, start_TxB)
    state, outputs = some_state(name), []
    for piece in (slice(0, 2), slice(2, 4), slice(4, 6)):
        state, y = scan(variables, state, x_TxBxF[piece], start_TxB[piece])
        outputs.append(y)
    assert_trees_near((state, jnp.concatenate(outputs)), want)


@every_memory
def test_step_creates_the_same_parameters_as_scan(name):
    module, variables, _, _ = prepared(name)
    x_TxBxF, start_TxB = inputs()
    by_step = jax.jit(partial(module.init, method="step"))(
        jax.random.key(1), module.initial_state((B,)), x_TxBxF[0], start_TxB[0]
    )
    assert jax.tree.structure(by_step) == jax.tree.structure(variables)
    assert_trees_near(by_step, variables)


@every_memory
def test_nothing_passes_a_start(name):
    _, variables, scan, _ = prepared(name)
    x_TxBxF, start_TxB = inputs()
    state = some_state(name)

    # Values: other inputs and another state before the start change no bit after it.
    other_state = jax.tree.map(lambda leaf: leaf + 1, state)
    _, y = scan(variables, state, x_TxBxF, start_TxB)
    _, other = scan(variables, other_state, x_TxBxF.at[:START].add(1.0), start_TxB)
    assert (y[:START] != other[:START]).any()
    assert (y[START:, :2] == other[START:, :2]).all()

    # Gradients: every output after the start has a derivative of exactly zero.
    def after_start(state, x_TxBxF):
        return scan(variables, state, x_TxBxF, start_TxB)[1][START:]

    d_state, d_x = jax.jit(jax.jacrev(after_start, argnums=(0, 1)))(state, x_TxBxF)
    for leaf in jax.tree.leaves(d_state):  # [T - START, B, H, *state]
        assert not leaf[:, :2].any()
    assert not d_x[:, :2, :, :START].any()  # [T - START, B, H, T, B, F]
    assert not d_x[1, 1, :, START].any()  # row 1 starts again right after
    assert d_x[0, 0, :, START, 0].any(), "the first input of the episode itself is kept"
    if jax.tree.leaves(state):
        assert d_x[0, 2, :, 0, 2].any(), "without a start the memory remembers"


@every_memory
def test_a_start_at_once_forgets_the_state(name):
    module, variables, scan, step = prepared(name)
    x_TxBxF, _ = inputs()
    start_TxB = jnp.zeros((T, B), bool).at[0].set(True)
    empty = module.initial_state((B,))
    assert_trees_near(
        scan(variables, some_state(name), x_TxBxF, start_TxB),
        scan(variables, empty, x_TxBxF, jnp.zeros((T, B), bool)),
    )
    assert_trees_near(
        step(variables, some_state(name), x_TxBxF[0], start_TxB[0]),
        step(variables, empty, x_TxBxF[0], start_TxB[1]),
    )


@every_memory
def test_batch_axes_lead_every_leaf_of_the_state(name):
    module, variables, scan, step = prepared(name)
    shapes = [leaf.shape for leaf in jax.tree.leaves(module.initial_state(()))]
    state = module.initial_state((2, B))
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(2, B, *shape) for shape in shapes]

    # Two batch axes serve as well as one, in both methods.
    x_TxBxF, start_TxB = inputs()
    two = partial(jnp.stack, axis=1)
    last, y = jax.eval_shape(scan, variables, state, two([x_TxBxF] * 2), two([start_TxB] * 2))
    assert y.shape == (T, 2, B, module.features)
    assert jax.tree.map(jnp.shape, last) == jax.tree.map(jnp.shape, state)
    last, y = jax.eval_shape(
        step, variables, state, jnp.stack([x_TxBxF[0]] * 2), jnp.stack([start_TxB[0]] * 2)
    )
    assert y.shape == (2, B, module.features)
    assert jax.tree.map(jnp.shape, last) == jax.tree.map(jnp.shape, state)


@every_memory
def test_ssm_parameters_exist(name):
    module, variables, _, _ = prepared(name)
    paths = jax.tree_util.tree_flatten_with_path(variables)[0]
    last_keys = {path[-1].key for path, _ in paths}
    assert set(module.ssm_parameters) <= last_keys


class Recent(nn.Module):
    """A memory from outside the library: it returns the input before this one."""

    features: int
    scale: float = 1.0  # of what it returns

    @nn.nowrap
    def initial_state(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features))

    def scan(self, state, x_TxBxF, start_TxB):
        x_TxBxF = jnp.concatenate([state[None], x_TxBxF])
        return x_TxBxF[-1], self.scale * jnp.where(start_TxB[..., None], 0, x_TxBxF[:-1])

    def step(self, state, x_BxF, start_B):
        return x_BxF, self.scale * jnp.where(start_B[..., None], 0, state)


class Unfinished(nn.Module):
    features: int = 3

    def initial_state(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features))


def test_memories_come_from_outside_too(monkeypatch):
    monkeypatch.setattr(memory.base.MEMORIES, "_entries", dict(memory.base.MEMORIES._entries))
    memory.register("recent", Recent)
    assert "recent" in memory.names()
    assert memory.make("recent", features=3) == Recent(features=3)
    with pytest.raises(UsageError, match="'recent' is already registered"):
        memory.register("recent", Recent)


def test_memories_are_found_by_import_path():
    made = memory.make("ssmrl.memory.gru:GRU", features=3)
    assert made == memory.GRU(features=3)
    with pytest.raises(UsageError, match="is not a class of flax modules"):
        memory.make("ssmrl.memory.base:make")


def test_options_tell_types_and_defaults():
    assert memory.options("gru") == {
        "features": (int, 256, "units of every layer"),
        "num_layers": (int, 1, "one on top of the other"),
    }
    of_s5 = memory.options("s5")
    assert of_s5["dt_max"] == (float, 0.1, "largest initial time step")
    assert all(option.meaning for option in of_s5.values())
    assert set(get_args(of_s5["norm"].type)) == {"none", "pre", "post", "gate"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ss5", {}, "unknown memory 'ss5'; did you mean 's5'?"),
        (
            "s5",
            {"num_layer": 2},
            "memory 's5' has no option 'num_layer'; did you mean 'num_layers'",
        ),
        ("gru", {"features": 0}, "features must be at least 1, but is 0"),
        ("mlp", {"num_layers": -1}, "num_layers must be at least 1, but is -1"),
        (f"{__name__}:Recent", {"scale": 2.0}, "needs a value for its option 'features'"),
        (f"{__name__}:Unfinished", {}, "has no scan, step; ssmrl.memory.Memory says what they are"),
    ],
)
def test_mistakes_end_in_one_sentence(name, options, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as error:
        memory.make(name, **options)
    assert "\n" not in str(error.value)
