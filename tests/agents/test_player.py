"""A player acts outside as its agent does in its own environments, and needs no environment."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from agents.cli import main
from agents.player import load
from agents.run import load_run
from envs.described import space_from_mapping, space_to_mapping
from envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from ssmrl.errors import UsageError

SPACES = (
    Box(0, 255, (5, 6, 2), jnp.uint8),
    Box(jnp.array([-1.0, -jnp.inf]), jnp.array([2.0, 3.0]), (2,)),
    Discrete(4),
    MultiDiscrete([2, 3]),
    Dict({"b": Discrete(2), "a": Tuple([Discrete(3), Box(-1, 1, (2,))])}),
)


SMALL = (
    *("--memory.name=gru", "--memory.features=8", "--ppo.encoder-sizes=8", "--ppo.head-sizes=8"),
    *("--ppo.num-envs=8", "--ppo.num-steps=13", "--ppo.num-minibatches=2", "--total-steps=208"),
)


def train(path, env, *more):
    arguments = [f"--env.name={env}", f"--run-dir={path}", *SMALL]
    assert main(["train", *arguments, "--eval-episodes=4", *more]) == 0
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("player") / "run"
    seen = ("--ppo.normalise-observations", "--env.previous-reward")
    return train(path, "probes:Mixed", "--num-seeds=2", *seen)


def test_acts_as_its_agent_does(run):
    """Through several episodes: observations as shown, actions as taken, rewards as paid."""
    _, _, agent, state = load_run(str(run))
    state = jax.tree.map(lambda leaf: leaf[1], state)
    vector = agent.env.with_num(1)
    raw, params = envs.make("probes:Mixed")
    player = load(run, member=1)

    key = jax.random.key(3)
    (wrapped, vector_state), memory = vector.reset(key), agent.initial_memory(1)
    obs, env_state = raw.reset(jax.random.split(key, 1)[0], params)
    carried, start, reward = player.initial_state(), True, 0.0
    for t in range(12):
        key = jax.random.key(t)
        memory, wanted = agent.act(state, memory, wrapped, jnp.array([start]), key, t % 2 == 0)
        draw = None if t % 2 == 0 else key
        carried, action = player.act(carried, obs, start, reward=reward, key=draw)
        in_bounds = jnp.clip(wanted[0], -1, 1)
        np.testing.assert_allclose(action, 7.5 + 2.5 * in_bounds, rtol=1e-5)
        wrapped, vector_state, *_ = vector.step(key, vector_state, wanted)
        obs, env_state, reward, terminated, truncated, _ = raw.step(
            jax.random.split(key, 1)[0], env_state, action, params
        )
        start = bool(terminated | truncated)
    assert float(jnp.std(action)) > 0


def test_a_batch_is_each_of_its_own(run):
    player = load(run)
    keys = jax.random.split(jax.random.key(0), 3)
    batch = jax.vmap(player.observation_space.sample)(keys)
    start = jnp.array([True, False, True])
    _, together = player.act(player.initial_state((3,)), batch, start, reward=jnp.arange(3.0))
    for i in range(3):
        obs = jax.tree.map(lambda x, i=i: x[i], batch)
        _, alone = player.act(player.initial_state(), obs, start[i], reward=float(i))
        np.testing.assert_allclose(alone, together[i], rtol=1e-5)
    first = [player.act(player.initial_state((3,)), batch, s)[1] for s in (True, [True] * 3)]
    np.testing.assert_array_equal(*first)
    with pytest.raises(UsageError, match=r"start given to act has shape \(2,\).*3 environments"):
        player.act(player.initial_state((3,)), batch, [True, False])


def test_needs_no_environment(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    for name in ("config.yaml", "config.trained.yaml"):
        if (copy / name).exists():
            text = (copy / name).read_text().replace("probes:Mixed", "elsewhere:Gone")
            (copy / name).write_text(text)
    player = load(copy)
    assert player.action_space.shape == (2,)
    obs = player.observation_space.sample(jax.random.key(0))
    player.act(player.initial_state(), obs, True)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_spaces_come_back_from_json(space):
    told = json.loads(json.dumps(space_to_mapping(space)))
    again = space_from_mapping(told)
    key = jax.random.key(0)
    if not isinstance(space, Box) or jnp.isfinite(jnp.asarray(space.low)).all():
        jax.tree.map(np.testing.assert_array_equal, again.sample(key), space.sample(key))
    assert space_to_mapping(again) == told


def test_mistakes_end_in_one_sentence(run, tmp_path):
    with pytest.raises(UsageError, match=r"member must lie in 0\.\.1, not 2"):
        load(run, member=2)
    player = load(run)
    obs = {**player.observation_space.sample(jax.random.key(0)), "cue": jnp.zeros(2)}
    with pytest.raises(UsageError, match=r"given to act\['cue'\] is float32\[2\]"):
        player.act(player.initial_state(), obs, True)
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "spaces.json").write_text("[]")
    with pytest.raises(UsageError, match=r"spaces\.json' does not tell the environment's spaces"):
        load(copy)
