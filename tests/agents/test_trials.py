"""Agents in trials: memory lasts as long as a trial does, and evaluation tells how they adapt."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.cli import main
from agents.parts import bytes_of_episode

TRIALS = [
    "--env.params.env=probes:Cue", "--env.params.settings.length=3", "--env.params.num_steps=8",
    "--env.previous-reward=true",
]  # fmt: skip


@pytest.mark.parametrize("memory", ["s5", "gru"])
def test_memory_goes_on_at_an_inner_end_and_is_reset_at_a_trials(make_agent, memory):
    """What was remembered at first sways values until the trial ends, and not one step longer."""
    agent = make_agent(*TRIALS, "--ppo.num-steps=40", env="meta/Trial", memory=memory)
    state = agent.init(jax.random.key(0))
    state, t = jax.jit(agent.rollout)(state, jax.random.key(1))
    assert t.start[0].all()
    np.testing.assert_array_equal(t.start[1:], t.ended[:-1])
    inner_end = t.obs[..., 0] == 1  # episode_done comes first
    inside = inner_end & ~t.start
    assert inside.sum() > 10
    assert not (inner_end & t.start).any(), "the flag of one trial is seen in the next"

    started = t.start.at[0].set(False)  # so that the first memory counts
    scan = lambda memory: agent.policy.apply(state, "scan", memory, t.obs, started)[2]  # noqa: E731
    other = jax.tree.map(lambda x: x + 1.0, t.memory_state)
    differs = scan(t.memory_state) != scan(other)
    first_trial = jnp.cumsum(started, axis=0) == 0
    assert differs[first_trial & inside].all(), "memory was reset at an inner episode's end"
    assert not differs[~first_trial].any(), "memory reached the next trial"


@pytest.mark.parametrize("returns", ["trial", "inner"])
def test_advantages_reach_over_an_inner_end_unless_returns_end_there(make_agent, returns):
    own = [*TRIALS, "--ppo.num-steps=40", f"--env.params.returns={returns}", "--ppo.gamma=0.9"]
    agent = make_agent(*own, env="meta/Trial", memory="mlp")
    state = agent.init(jax.random.key(0))
    state, t = jax.jit(agent.rollout)(state, jax.random.key(1))
    plain = agent.estimate_advantages(state, t)[1].advantage

    def reached(step):  # by what is paid from the next step on
        more = t.replace(reward=t.reward.at[step + 1 :].add(1.0))
        return (agent.estimate_advantages(state, more)[1].advantage != plain)[step]

    within, inner_end, trial_end = 20, 21, 23  # trials of eight steps, inner episodes of three
    assert (t.obs[inner_end + 1, :, 0] == 1).all()
    assert t.ended[trial_end].all()
    assert reached(within).all()
    assert (reached(inner_end) == (returns == "trial")).all()
    assert not reached(trial_end).any()


def test_what_an_episode_of_a_mixture_keeps_is_known_before_it_is_played(make_agent):
    """Bounds of its members are looked at by value then, and may not be traced."""
    agent = make_agent("--env.previous-reward=true", env="meta/ClassicControl", memory="mlp")
    assert agent.env.members
    assert bytes_of_episode(agent) > 0


def test_evaluation_tells_adaptation_and_controls(tmp_path, capsys):
    run = tmp_path / "run"
    small = ["--memory.name=mlp", "--memory.features=8", "--ppo.num-envs=4", "--ppo.num-steps=16"]
    own = ["--env.name=meta/CartPole", "--env.params.num_episodes=3", "--num-seeds=2"]
    assert main(["train", "quickstart", *small, *own, "--total-steps=64", "--eval-episodes=5",
                 "--run-dir", str(run)]) == 0  # fmt: skip
    told = json.loads((run / "evaluation.json").read_text())
    curves = {k: v for k, v in told["adaptation"].items() if k != "optimal"}
    assert set(curves) == {"greedy", "sampled", "memory wiped", "random"}
    assert told["adaptation"]["optimal"] is None
    for name, curve in curves.items():
        assert len(curve["mean"]) == 3
        # Every inner episode counts: together they are the trial's return.
        np.testing.assert_allclose(sum(curve["mean"]), told[name]["mean"], rtol=1e-5)
        assert all(low <= mean <= high for low, mean, high in
                   zip(curve["low"], curve["mean"], curve["high"], strict=True))  # fmt: skip
    assert "inner episode" in capsys.readouterr().out
    assert (run / "adaptation.png").stat().st_size > 1000

    before = (run / "evaluation.json").read_bytes()
    assert main(["eval", str(run), "--env.params.num_episodes=5", "--episodes=4"]) == 0
    longer = json.loads((run / "evaluation-num_episodes=5.json").read_text())
    assert len(longer["adaptation"]["random"]["mean"]) == 5
    assert (run / "evaluation.json").read_bytes() == before
    assert (run / "adaptation-num_episodes=5.png").exists()

    for options, words in (
        (["--env.params.tasks=physics"], "the agent was trained with Box of 8 numbers"),
        (["--env.params.num_episode=5"], "did you mean 'num_episodes'"),
        (["--env.nam=x"], "unknown key 'env.nam'"),
        (["--episode=3"], "eval has no option --episode; did you mean 'episodes'"),
        (["--env=3"], "eval has no option --env"),
    ):
        assert main(["eval", str(run), *options]) == 2
        assert words in capsys.readouterr().err
    assert len(list(run.glob("evaluation*"))) == 2
