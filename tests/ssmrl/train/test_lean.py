"""What checkpoints and evaluations leave out of a state, and how it is had anew."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from ssmrl.train import chunk, sizes
from ssmrl.train.chunk import Chunk
from ssmrl.train.lean import lean, refill, saved, saves_all
from ssmrl.train.metrics import Mean


class State(struct.PyTreeNode):
    params: jax.Array
    replay: jax.Array | None
    update: jax.Array


def agent(**more) -> SimpleNamespace:
    """Return one that keeps 1,000 numbers, its parameter over and over."""

    def init(key: jax.Array) -> State:
        return State(jax.random.normal(key), jnp.zeros(1000), jnp.int32(0))

    def learn(state: State, batch: jax.Array) -> tuple:
        metrics = {"loss": Mean.of(batch), "grad_norm": Mean.of(batch)}
        return state.replace(update=state.update + 1), metrics

    def collect(state: State) -> tuple:
        replay = state.replay.at[state.update].set(state.params)
        return state.replace(replay=replay), state.params[None]

    learnt = lambda state: state.params  # noqa: E731
    return SimpleNamespace(init=init, collect=collect, learn=learn, learnt=learnt, **more)


def with_spare(saves_all: bool) -> SimpleNamespace:
    return agent(
        lean=lambda state: state.replace(replay=None),
        refill=lambda state: state.replace(replay=jnp.full(1000, state.params)),
        saves_all=saves_all,
    )


def test_agents_without_a_spare_part_stay_as_they_are():
    state = agent().init(jax.random.key(0))
    assert lean(agent(), state) is saved(agent(), state) is state
    assert saves_all(agent())


@pytest.mark.parametrize("whole", [True, False])
def test_checkpoints_hold_it_or_not(whole):
    one = with_spare(whole)
    state = one.init(jax.random.key(0))
    assert lean(one, state).replay is None
    assert (saved(one, state) is state) == whole == saves_all(one)
    assert whole or saved(one, state).replay is None


def test_it_is_had_anew_for_all_members():
    one = with_spare(False)
    states = [one.init(jax.random.key(seed)) for seed in range(3)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    found = refill(one, lean(one, together), 3)
    np.testing.assert_array_equal(found.replay, together.params[:, None] * np.ones((3, 1000)))
    alone = refill(one, lean(one, states[1]), 1)
    np.testing.assert_array_equal(alone.replay, found.replay[1])


def test_acting_needs_no_memory_for_it():
    needed = {"params": 8, "replay": 8000, "update": 8, "roll-out": 8}
    assert sizes.estimate(with_spare(True), 2) == needed
    assert sizes.estimate(with_spare(True), 2, training=False) == {"params": 8, "update": 8}


@pytest.mark.parametrize("gpu", [True, False])
def test_timing_what_acting_takes_copies_none_of_it(monkeypatch, gpu):
    monkeypatch.setattr(chunk, "on_gpu", lambda: gpu)
    monkeypatch.setattr(chunk, "compiler_options", lambda *_, **__: None)
    one = with_spare(True)
    state, batch = jax.eval_shape(Chunk(one, 1)._act, jax.eval_shape(one.init, jax.random.key(0)))
    assert (state.replay is None) == gpu
    assert batch.shape == (1,)
