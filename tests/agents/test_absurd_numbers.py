"""What no machine holds ends at once, in one sentence with the numbers, and writes nothing."""

import time

import pytest

from agents.cli import main

MEMORY = "GiB of memory"
INT32 = "must fit into 32 bits (at most 2147483647), not "
CASES = {
    "--ppo.num-envs 1e9 --total-steps 1e15": MEMORY,
    "--ppo.num-envs 2147483648": INT32,
    "--ppo.num-envs 2147483646": "does not divide ppo.num_envs=2147483646; nearest that do: 2 and",
    "--ppo.num-minibatches 2147483647": "does not divide ppo.num_envs=64; nearest that do: 32 and",
    "--ppo.num-steps 2147483647 --total-steps 1e18": MEMORY,
    "--ppo.encoder-sizes 1e12": INT32,
    "--ppo.encoder-sizes 1e9": MEMORY,
    "--ppo.head-sizes 2147483647,2147483647": MEMORY,
    "--memory.features 2147483647": MEMORY,
    "--memory.name gru --memory.features 2147483647": MEMORY,
    "--memory.name s5 --memory.features 2147483647": MEMORY,
    "--memory.num-layers 1e6": "num_layers must be at most 1000, but is 1000000",
    "--memory.name gru --memory.num-layers 2147483647": "num_layers must be at most 1000",
    "--memory.name s5 --memory.num-layers 1e5": "num_layers must be at most 1000",
    "--memory.name s5 --memory.state-size 2147483646": "state_size must be at most 4096, but is",
    "--num-seeds 1e9": MEMORY,
    "--num-seeds 1e12": INT32,
    "--eval-episodes 2e9": "GiB of memory (evaluation alone",
    "--eval-episodes 1e12": INT32,
    "--eval-max-steps 1e12": INT32,
    "--log-every 1e10": INT32,
    "--seed 1e12": INT32,
    "--total-steps 1e19": "must fit into 64 bits (at most 9223372036854775807), not '1e19'",
    "--total-steps 9e18": "makes 1352163461538461 updates; lower it, or raise the 6656 steps of",
    f"--total-steps {'9' * 5000}": "must fit into 64 bits (at most 9223372036854775807), not '999",
    f"--ppo.gamma {'9' * 5000}": "must be a number of 32 bits (at most 3.402823e+38), not '999",
    "--ppo.learning-rate 1e-50": "must be 0 or a number of 32 bits (at least 1.175494e-38), not",
    "--ppo.learning-rate 1e400": "must be a number of 32 bits (at most 3.402823e+38), not '1e400'",
    "--env.params.k 1e12": "k must be below 2**31, not 1000000000000",
    f"--env.params.k {'9' * 5000}": INT32,
}


@pytest.mark.parametrize("options", CASES, ids=lambda options: options[:50])
def test_one_sentence_at_once(options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    assert main(["train", "quickstart", "--memory.name", "mlp", *options.split()]) == 2
    assert time.monotonic() - began < 10  # two seconds on an idle machine
    error = capsys.readouterr().err
    assert CASES[options] in error
    assert error.count("\n") == 1
    assert len(error) < 400
    assert not list(tmp_path.iterdir())


def test_what_only_the_compiled_update_shows(tmp_path, monkeypatch, capsys):
    """Metrics of every gradient step, 480 GiB, are in no state and no roll-out."""
    monkeypatch.chdir(tmp_path)
    small = ["--memory.features", "8", "--ppo.num-envs", "4", "--ppo.num-steps", "8"]
    epochs = ["--ppo.num-epochs", "2147483647"]
    assert main(["train", "quickstart", "--memory.name", "mlp", *small, *epochs]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ssmrl: error: this needs at least ")
    assert "ppo.num_epochs" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", ""],
        ["train", "quickstart", "--env.name", ""],
        ["train", "quickstart", "--memory.name="],
        ["train", "quickstart", "--agent", ""],
        ["train", "--resume", ""],
        ["check", ""],
        ["play", ""],
    ],
)
def test_empty_names(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("ssmrl: error: ")
    assert "''" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
