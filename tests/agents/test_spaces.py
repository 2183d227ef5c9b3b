"""What an agent sees and does is scaled by the environment's spaces, whatever their bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.commands.train import _print_plan
from agents.experiment import Experiment, load_experiment
from agents.parts import play_episodes
from agents.ppo import PPO
from ssmrl.errors import UsageError
from ssmrl.nets.encoder import ConvEncoder
from ssmrl.nets.mlp import MLP
from ssmrl.train.chunk import Chunk, init_seeds
from ssmrl.train.config import parse_overrides

SMALL = [
    "--ppo.num-envs=32", "--ppo.num-steps=18", "--ppo.learning-rate=3e-3",
    "--memory.features=32", "--ppo.encoder-sizes=32", "--ppo.head-sizes=32",
]  # fmt: skip
WIDE = ("--env.params.low=5", "--env.params.high=10")


def learn(agent, updates: int, num_seeds: int = 1):
    """Return the state before and after some updates."""
    state = init_seeds(agent, 0, num_seeds)
    before = jax.tree.map(jnp.copy, state)  # learning takes its place
    state, _, broken = Chunk(agent, num_seeds)(state, updates)
    assert not np.any(broken)
    return before, state


def sampled_returns(agent, state, num_seeds: int = 1) -> np.ndarray:
    """Return those of 64 episodes of each seed."""
    experiment = Experiment(num_seeds=num_seeds)
    _, (_, episodes) = play_episodes(agent, state, experiment, 64, seed=0, max_steps=5_000)
    assert episodes.finished.all()
    return np.asarray(episodes.returns)


def interval(returns: np.ndarray) -> np.ndarray:
    """Return the mean's 95 % interval."""
    half = 2 * returns.std(ddof=1) / np.sqrt(returns.size)
    return returns.mean() + half * np.array([-1, 1])


def test_bounds_of_actions_change_no_bit_of_what_is_learnt(make_agent):
    numbers = []
    for bounds in ((), WIDE):
        agent = make_agent(*bounds, env="probes:Aim", memory="mlp")
        _, state = learn(agent, 3)
        numbers.append([np.asarray(x) for x in jax.tree.leaves((state.params, state.actor))])
    assert len(numbers[0]) == len(numbers[1]) > 10
    for narrow, wide in zip(*numbers, strict=True):
        np.testing.assert_array_equal(narrow, wide)


@pytest.mark.slow
def test_wide_bounds_are_learnt_as_well_as_narrow_ones(make_agent):
    """Where every draw of a standard Gaussian is clipped to 5, nothing is learnt: -1.0 to -1.25."""
    found = []
    for bounds in ((), WIDE):
        settings = (*SMALL, *bounds, "--env.params.steps=1_000_000")
        agent = make_agent(*settings, env="probes:Aim", memory="mlp")
        _, state = learn(agent, 60, num_seeds=3)
        found.append(sampled_returns(agent, state, num_seeds=3).mean(axis=1))
    (low, high), (other_low, other_high) = map(interval, found)
    assert low <= other_high
    assert other_low <= high
    assert np.min(found) > -0.4


def test_bytes_are_learnt_from(make_agent):
    agent = make_agent(*SMALL, env="probes:Catch", memory="mlp")
    _, state = learn(agent, 100)
    assert sampled_returns(agent, state).mean() > 0.8


@pytest.mark.slow
def test_pixels_of_minatar_are_learnt_from():
    words = [
        "--env.name=SpaceInvaders-MinAtar", "--ppo.gamma=0.99", "--ppo.gae-lambda=0.95",
        "--ppo.learning-rate=1e-3",
    ]  # fmt: skip
    agent = PPO(load_experiment("quickstart", parse_overrides(words)))
    assert isinstance(agent.policy.network.encoder, ConvEncoder)
    chance, learnt = (sampled_returns(agent, state) for state in learn(agent, 40))
    assert interval(learnt)[0] > 2 * interval(chance)[1]


@pytest.mark.parametrize(
    ("env", "kind", "chosen"),
    [
        ("probes:Catch", "auto", ConvEncoder),
        ("probes:Catch", "cnn", ConvEncoder),
        ("probes:Catch", "mlp", MLP),
        ("probes:Cue", "auto", MLP),
        ("probes:Cue", "mlp", MLP),
        ("popgym/RepeatPreviousEasy", "auto", MLP),
        ("Breakout-MinAtar", "auto", ConvEncoder),
    ],
)
def test_the_encoder_suits_the_observations(make_agent, env, kind, chosen):
    assert type(make_agent(f"--ppo.encoder={kind}", env=env).policy.network.encoder) is chosen


def test_no_convolutions_without_an_image(make_agent):
    with pytest.raises(UsageError, match=r"'cnn' needs an image .* of 'Cue', which hold none, or"):
        make_agent("--ppo.encoder=cnn", env="probes:Cue")
    with pytest.raises(UsageError, match=r"ppo\.encoder must be one of .*, not 'conv'"):
        make_agent("--ppo.encoder=conv", env="probes:Catch")


@pytest.mark.parametrize("option", ["--ppo.compute-dtype=bfloat16", "--ppo.normalise-observations"])
def test_convolutions_go_with_the_other_options(make_agent, option):
    agent = make_agent(option, env="probes:Catch")
    state = jax.eval_shape(agent.init, jax.random.key(0))
    after, _ = jax.eval_shape(agent.update, state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )


def test_the_plan_says_what_is_seen_and_done(make_agent, capsys):
    for env, bounds in (("probes:Aim", WIDE), ("probes:Catch", ())):
        agent = make_agent(*bounds, env=env)
        experiment = load_experiment(None, parse_overrides([f"--env.name={env}"]))
        state = jax.eval_shape(agent.init, jax.random.key(0))
        _print_plan(experiment, agent, state, "run")
    printed = capsys.readouterr().out
    assert "observations 3 numbers\n" in printed
    assert "actions      Box(1,) in [5, 10], mapped from the policy's [-1, 1]\n" in printed
    assert "observations 104 numbers, with an image of 10 x 10 x 1\n" in printed
