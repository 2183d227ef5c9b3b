"""All registered memories keep the contract, and the table that holds them."""

from typing import get_args

import jax.numpy as jnp
import pytest
from flax import linen as nn

from agents.cli import main
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.memory.examine import OF_STARTS

REMARKS = {
    "mlp": {"remembering: no output depends on an earlier input: it remembers nothing"},
    "s5 --learned-start true": {
        "start at once: an episode begins otherwise after a start than from initial_state"
    },
}


@pytest.mark.parametrize("arguments", [*memory.names(), "s5 --learned-start true"])
def test_registered_memory_keeps_the_contract(arguments, capsys):
    """As the command examines one; its tests plant the faults that this would find."""
    name, *given = arguments.split()
    assert main(["check", "--memory", name, *given]) == 0
    first, options, *subjects, last = capsys.readouterr().out.splitlines()
    assert (first, last) == (name, "fit for training")
    assert options.startswith("  note   options: features=8, ")
    optional = sum(hasattr(memory.make(name), each) for each in ("scan_states", "prepare"))
    assert len(subjects) == 16 + optional
    remarks = {line.split(maxsplit=1)[1] for line in subjects if "ok" not in line.split()[:1]}
    assert remarks == REMARKS.get(arguments, set())


def test_without_resets_episodes_leak_and_the_command_says_so(capsys):
    assert main(["check", "--memory", "s5", "--resets", "false"]) == 0
    _, options, *subjects, last = capsys.readouterr().out.splitlines()
    assert options.endswith("resets=False")
    notes = [line.split(maxsplit=1)[1] for line in subjects if not line.startswith("  ok")]
    assert [note.partition(": ")[0] for note in notes] == list(OF_STARTS)
    assert notes[1] == (
        "start in value: the output of step 4 changes with the state before, though step 4 starts "
        "an episode; resets=False lets episodes leak into each other"
    )
    assert all(note.endswith("; resets=False lets episodes leak into each other") for note in notes)
    assert last == "fit for training"


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
        ("lstm", {"num_layers": -1}, "num_layers must be at least 1, but is -1"),
        ("mlp", {"num_layers": -1}, "num_layers must be at least 1, but is -1"),
        (f"{__name__}:Recent", {"scale": 2.0}, "needs a value for its option 'features'"),
        (f"{__name__}:Unfinished", {}, "has no scan, step; ssmrl.memory.Memory says what they are"),
    ],
)
def test_mistakes_end_in_one_sentence(name, options, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as error:
        memory.make(name, **options)
    assert "\n" not in str(error.value)
