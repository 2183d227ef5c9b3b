"""Evaluation: which episodes count, and what each seed plays."""

import json

import jax
import numpy as np
import pytest

from agents.cli import main
from agents.commands.evaluate import evaluate_state
from agents.parts import _evaluation_key, play_episodes
from agents.ppo import PPO
from ssmrl.errors import TrainingError
from ssmrl.train.chunk import init_seeds
from ssmrl.train.run_folder import RunFolder


def test_a_seed_plays_beside_others_what_it_plays_alone(make_experiment):
    def returns(*arguments: str, seed: int = 0) -> dict[str, np.ndarray]:
        """Return what untrained seeds get, whose cards and actions are drawn."""
        experiment = make_experiment(*arguments, env="popgym/RepeatFirstEasy", memory="mlp")
        agent = PPO(experiment)
        state = init_seeds(agent, experiment.seed, experiment.num_seeds)
        played = play_episodes(agent, state, experiment.seeds, 16, seed, 60)
        return {kind: episodes.returns for kind, episodes in played}

    together = returns("--seed=5", "--num-seeds=3")
    for i in (0, 2):
        alone = returns(f"--seed={5 + i}")
        for kind in ("greedy", "sampled"):
            np.testing.assert_allclose(together[kind][i], alone[kind][0], atol=1e-4)
    assert (together["sampled"][0] != together["sampled"][1]).any()
    other = returns("--seed=5", seed=1)
    assert (other["sampled"][0] != together["sampled"][0]).any()


@pytest.fixture
def evaluate(make_experiment, tmp_path, capsys):
    """Return ``evaluate(env, *options)``: what evaluation.json holds, and what was printed."""

    def evaluate(env, *options):
        experiment = make_experiment("--eval-episodes=8", *options, env=env, memory="mlp")
        agent = PPO(experiment)
        folder = RunFolder.create(tmp_path / "run", {})
        state = init_seeds(agent, 0, experiment.num_seeds)
        evaluate_state(experiment, agent, state, folder)
        text = (folder.path / "evaluation.json").read_text()

        def no_number(name):
            raise AssertionError(f"{name} is no JSON")

        return json.loads(text, parse_constant=no_number), capsys.readouterr().out

    return evaluate


def test_cut_episodes_are_told_apart_and_left_out(evaluate):
    """Falling poles end when they fall, or are cut off while they still stand."""
    results, printed = evaluate("popgym/PositionOnlyCartPoleEasy", "--eval-max-steps=20")
    sampled = results["sampled"]
    assert 0 < sampled["cut_off"] < 8
    assert sampled["finished"] == sampled["count"] == 8 - sampled["cut_off"]
    assert results["max_steps"] == 20
    assert sampled["mean"] < 20 / 200  # what an episode pays that was cut off there
    assert f"left out are {sampled['cut_off']} episodes cut off after 20 steps" in printed


def test_all_cut_off(evaluate):
    results, printed = evaluate("probes:TimeLimit", "--eval-max-steps=3", "--env.params.length=9")
    for kind in ("greedy", "sampled"):
        found = results[kind]
        assert (found["finished"], found["cut_off"], found["count"]) == (0, 8, 0)
        assert (found["mean"], found["mean_interval"], found["iqm"]) == (None, None, None)
        words = "return unknown: all 8 episodes were cut off after 3 steps, which --max-steps can"
        assert f"{kind} {words} raise" in printed


def test_returns_that_are_all_alike(evaluate):
    results, _ = evaluate("probes:Value", "--env.params.length=3")
    found = results["sampled"]
    assert (found["mean"], found["iqm"]) == (3, 3)
    assert found["mean_interval"] == found["iqm_interval"] == [3, 3]


def test_returns_that_are_not_finite(evaluate):
    with pytest.raises(TrainingError, match="greedy episodes paid returns that are not finite"):
        evaluate("probes:Broken")


def test_limit_of_a_finished_run(run, capsys):
    assert main(["eval", str(run), "--max-steps", "50", "--episodes", "2"]) == 0
    assert "all 2 episodes were cut off after 50 steps" in capsys.readouterr().out
    results = json.loads((run / "evaluation.json").read_text())
    assert (results["max_steps"], results["episodes"], results["greedy"]["cut_off"]) == (50, 2, 2)
    assert main(["eval", str(run), "--max-steps", "51", "--episodes", "2"]) == 0
    assert "cut off" not in capsys.readouterr().out


@pytest.mark.parametrize("value", ["-1", "0", "2147483648", "1" + 30 * "0"])
@pytest.mark.parametrize(
    "option", ["eval --episodes", "eval --max-steps", "eval --seed", "render --seed"]
)
def test_numbers_beyond_their_range(run, capsys, option, value):
    command, name = option.split()
    least = 0 if name == "--seed" else 1
    if value == "0" and least == 0:
        return
    assert main([command, str(run), name, value]) == 2
    error = capsys.readouterr().err
    assert error == f"ssmrl: error: {name} must lie in {least}..2147483647, not {value}\n"


def test_more_episodes_than_memory(run, capsys):
    assert main(["eval", str(run), "--episodes", "2000000000"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ssmrl: error: this needs at least ")
    assert "GiB of memory (evaluation alone " in error
    assert "lower eval_episodes=2000000000 or num_seeds=1" in error


def test_evaluation_keys_are_none_of_training():
    key = jax.random.key(3)
    split = [jax.random.key_data(k).tolist() for n in (2, 3, 8) for k in jax.random.split(key, n)]
    for seed in range(4):
        assert jax.random.key_data(_evaluation_key(3, seed)).tolist() not in split
