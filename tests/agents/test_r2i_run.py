"""What a run of the world-model agent is good for: it is evaluated, drawn, rendered and played."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from matplotlib.colors import same_color
from PIL import Image

import envs
from agents import animation
from agents.cli import main
from agents.commands.evaluate import move
from agents.commands.train import _write_spaces
from agents.dreams import dreams_of
from agents.episode import Episode, record_episode
from agents.experiment import load_experiment
from agents.player import _described, load
from agents.r2i import R2I
from agents.run import load_run, options_of_size
from ssmrl.errors import UsageError
from ssmrl.rl.normalise import RewardUnit
from ssmrl.train.config import parse_overrides, to_mapping
from ssmrl.train.run_folder import RunFolder

TINY = [
    "--agent=r2i", "--memory.name=gru", "--memory.features=8",
    "--r2i.num-envs=4", "--r2i.num-steps=4", "--r2i.window=8", "--r2i.batch-size=2",
    "--r2i.train-ratio=1", "--r2i.replay-steps=64", "--r2i.num-starts=4", "--r2i.horizon=3",
    "--r2i.groups=4", "--r2i.classes=4", "--r2i.units=16", "--r2i.encoder-sizes=16",
    "--r2i.decoder-sizes=16", "--r2i.head-sizes=16", "--r2i.policy-sizes=16",
]  # fmt: skip


def tiny_experiment(env: str, *arguments: str):
    """Return the experiment of a tiny agent."""
    return load_experiment(None, parse_overrides([*TINY, f"--env.name={env}", *arguments]))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run of two seeds, in episodes of 5 steps."""
    path = tmp_path_factory.mktemp("r2i") / "run"
    words = ["--env.name=probes:Mixed", "--env.previous-reward", "--num-seeds=2"]
    ends = ["--total-steps=64", "--eval-episodes=2", f"--run-dir={path}"]
    assert main(["train", *TINY, *words, *ends]) == 0
    return path


@pytest.fixture(scope="module")
def loaded(run):
    """Return its agent, and the state of the second seed."""
    _, _, agent, state = load_run(str(run))
    return agent, jax.tree.map(lambda leaf: leaf[1], state)


@pytest.fixture(scope="module")
def played(loaded):
    """Return an agent, a state of it whose networks foretell more than nothing, and an episode."""
    agent, state = loaded
    flat, unravel = ravel_pytree(state.params)
    state = state.replace(
        params=unravel(flat + 0.2 * jax.random.normal(jax.random.key(1), flat.shape))
    )
    return agent, state, record_episode(agent, state, seed=1, greedy=False, max_steps=100)


def test_is_evaluated_and_drawn(run):
    found = json.loads((run / "evaluation.json").read_text())
    assert found["greedy"]["finished"] == found["sampled"]["finished"] == 4  # 2 of each seed
    assert 5 * 10 <= found["greedy"]["mean"] <= 5 * 20  # two numbers of 5 to 10, in each step
    assert (run / "curve.png").exists()


def test_a_player_acts_as_the_agent_does(run, loaded):
    """Through an end of an episode, drawing or not."""
    agent, state = loaded
    vector, (raw, params) = agent.env.with_num(1), envs.make("probes:Mixed")
    player = load(run, member=1)
    key = jax.random.key(3)
    (seen, vector_state), memory = vector.reset(key), agent.initial_memory(1)
    obs, env_state = raw.reset(jax.random.split(key, 1)[0], params)
    act, step, step_raw = map(jax.jit, (agent.act, vector.step, raw.step))
    carried, start, reward = player.initial_state(), True, 0.0
    for t in range(8):
        key = jax.random.key(t)
        draw = None if t % 2 else key
        as_drawn = jax.random.fold_in(jax.random.key(0), t) if draw is None else draw
        memory, wanted = act(state, memory, seen, jnp.array([start]), as_drawn, draw is None)
        carried, action = player.act(carried, obs, start, reward=reward, key=draw)
        np.testing.assert_allclose(action, 7.5 + 2.5 * jnp.clip(wanted[0], -1, 1), rtol=1e-5)
        seen, vector_state, *_ = step(key, vector_state, wanted)
        obs, env_state, reward, terminated, truncated, _ = step_raw(
            jax.random.split(key, 1)[0], env_state, action, params
        )
        start = bool(terminated | truncated)
    assert float(jnp.std(action)) > 0


@pytest.mark.parametrize("env", ["meta/BernoulliBandit", "Catch-bsuite"])
def test_a_player_sees_the_parts_that_were_trained_on(env, tmp_path):
    """Spaces alone do not tell them: which flag ends an inner episode, which integer is a float."""
    experiment = tiny_experiment(env)
    agent = R2I(experiment)
    folder = RunFolder.create(tmp_path / "run", to_mapping(experiment))
    _write_spaces(agent, folder)
    assert _described(folder, experiment).observation_parts == agent.env.observation_parts
    told = json.loads((folder.path / "spaces.json").read_text())
    told["parts"][0] = {"Letters": {"size": 3}}
    folder.write("spaces.json", json.dumps(told))
    with pytest.raises(UsageError, match=r"does not tell the environment's spaces \(KeyError\)"):
        _described(folder, experiment)


def test_dreams_begin_evenly_and_foretell_what_comes_after(played):
    agent, state, episode = played
    dreams = dreams_of(agent, state, episode, seed=0)
    assert [dream.start for dream in dreams] == [0, 1, 2, 3]
    for dream in dreams:
        assert dream.observations.shape == (5, agent.env.observation_space.shape[0])
        told = np.isfinite(dream.observations).all(axis=1), np.isfinite(dream.rewards)
        assert told[0].tolist() == [step > dream.start for step in range(5)]
        assert told[1].tolist() == [step >= dream.start for step in range(5)]
        assert np.isnan(dream.observations[: dream.start + 1]).all()
    short = Episode(*(told[:1] for told in (episode.pictures, episode.observations)))
    short.actions, short.rewards = episode.actions[:1], episode.rewards[:1]
    assert dreams_of(agent, state, short, seed=0) == []


def test_a_dream_sees_nothing_after_its_start(played):
    """And everything up to it; what is seen at its start decides what the action there pays."""
    agent, state, episode = played
    dreams = dreams_of(agent, state, episode, seed=0)
    for step in (0, 2, 4):
        observations = [x + 10 * (i == step) for i, x in enumerate(episode.observations)]
        other = Episode(episode.pictures, observations, episode.actions, episode.rewards)
        for before, after in zip(dreams, dreams_of(agent, state, other, seed=0), strict=True):
            assert np.array_equal(before.rewards, after.rewards, equal_nan=True) == (
                step > before.start
            )
            same = np.array_equal(before.observations, after.observations, equal_nan=True)
            assert same or step <= before.start


def test_a_dream_goes_by_the_actions_truly_taken(played):
    """What was done at a step decides what it pays, and what is seen after it."""
    agent, state, episode = played
    dreams = dreams_of(agent, state, episode, seed=0)
    actions = [x + (i == 2) for i, x in enumerate(episode.actions)]
    other = Episode(episode.pictures, episode.observations, actions, episode.rewards)
    for before, after in zip(dreams, dreams_of(agent, state, other, seed=0), strict=True):
        if before.start > 2:
            continue
        np.testing.assert_array_equal(before.observations[:3], after.observations[:3])
        np.testing.assert_array_equal(before.rewards[:2], after.rewards[:2])
        assert before.rewards[2] != after.rewards[2]
        assert (before.observations[3] != after.observations[3]).any()


def test_dreamt_rewards_are_those_of_the_environment(played):
    agent, state, episode = played
    one, ten = (state.replace(unit=RewardUnit(jnp.float32(x), jnp.float32(1))) for x in (1, 100))
    for small, large in zip(*(dreams_of(agent, s, episode, 0) for s in (one, ten)), strict=True):
        np.testing.assert_allclose(10 * small.rewards, large.rewards, rtol=1e-6)


def test_other_agents_do_not_dream(make_agent):
    agent = make_agent(env="probes:Mixed", memory="mlp")
    seen = [np.zeros(11, np.float32)] * 3
    assert dreams_of(agent, None, Episode([None] * 3, seen, seen, [0.0] * 3), seed=0) == []


def test_render_draws_the_dreams_below_the_truth(run, monkeypatch, capsys):
    figures = []

    class Figure(animation.Figure):
        def __init__(self, *args, **kw):
            super().__init__(*args, **kw)
            figures.append(self)

    monkeypatch.setattr(animation, "Figure", Figure)
    assert main(["render", str(run), "--member", "1"]) == 0
    assert "in 5 steps" in capsys.readouterr().out
    with Image.open(run / "episode.gif") as gif:
        assert (gif.n_frames, gif.size) == (5, (560, 1000))
    ((saw, *imagined, _, got, felt),) = (figure.axes for figure in figures)
    assert saw.get_ylabel() == "saw"
    assert [axes.get_ylabel() for axes in imagined] == [f"after {i}" for i in range(4)]
    assert "seen nothing" in imagined[0].get_title()
    for start, (axes, line) in enumerate(zip(imagined, got.lines, strict=True)):
        assert axes.lines[0].get_xdata()[0] == start + 0.5
        assert same_color(axes.lines[0].get_color(), line.get_color())
        assert axes.images[0].get_clim() == saw.images[0].get_clim()
        blank = np.ma.getmaskarray(axes.images[0].get_array()).all(axis=0)
        assert blank.tolist() == [step <= start for step in range(5)]
        assert np.isfinite(line.get_ydata()).tolist() == [step >= start for step in range(5)]
    assert len(felt.lines) == 1  # the memory's state; not what else stands between two steps


def test_a_sweep_is_refused_in_words(capsys):
    assert main(["train", "r2i/quickstart", "--sweep", "r2i.gamma=0.9,0.95"]) == 2
    assert capsys.readouterr().err == (
        "ssmrl: error: agent 'r2i' has no hyperparameters that a sweep could vary; start one run "
        "for each value\n"
    )


def test_too_large_a_replay_is_told_by_its_option():
    assert "r2i.replay_steps" in options_of_size(tiny_experiment("probes:Cue"))


def test_other_bounds_elsewhere_are_refused_in_words():
    """An integer of 0 to 3 is one of four categories to the networks, one of 0 to 5 of six."""
    experiment = tiny_experiment("probes:Level")
    agent = R2I(experiment)
    move(experiment, agent, {"params": {"length": 3}})
    with pytest.raises(UsageError, match=r"^'probes:Level' with \{'high': 5\} shows other values"):
        move(experiment, agent, {"params": {"high": 5}})
