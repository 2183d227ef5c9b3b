"""Episodes recorded for pictures, and environments played by hand."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import envs
from agents import animation
from agents.cli import main
from agents.commands.environments import for_terminal, read_action
from agents.episode import Episode, picture, record_episode
from envs.spaces import Box, Discrete, MultiDiscrete
from ssmrl.errors import UsageError


def test_recorded_episode_tells_every_step_up_to_the_end(make_agent):
    agent = make_agent(env="popgym/RepeatPreviousEasy")
    state = agent.init(jax.random.key(0))
    episode = record_episode(agent, state, seed=1, greedy=True, max_steps=100)
    assert episode.finished
    for told in (episode.pictures, episode.observations, episode.actions, episode.rewards):
        assert len(told) == 51
    first = episode.observations[0]  # one-hot card, one-hot action (none yet), start flag
    assert first.shape == (9,)
    assert first[4:].tolist() == [0, 0, 0, 0, 1]
    assert episode.observations[1][4:8].argmax() == episode.actions[0]
    assert "step 0 of 51" in episode.pictures[0]
    norms = np.array(episode.memory_norms)
    assert norms.shape == (51, 2)  # of two layers
    assert (norms > 0).all()
    short = record_episode(agent, state, seed=1, greedy=True, max_steps=5)
    assert not short.finished
    assert short.rewards == episode.rewards[:5]


def test_actions_are_drawn_apart_from_the_environment(make_agent):
    """An untrained policy guesses right half the time: 32 times of 32 by chance never."""
    agent = make_agent(env="probes:Guess", memory="mlp")
    state = agent.init(jax.random.key(0))
    played = [record_episode(agent, state, seed, greedy=False, max_steps=1) for seed in range(32)]
    assert 0.2 < np.mean([episode.rewards for episode in played]) < 0.8


@pytest.mark.parametrize("actions", [np.int32([0, 1, 1]), np.float32([[0.1], [0.4], [0.2]])])
def test_what_is_discrete_has_whole_numbers_on_its_axes(actions, tmp_path, monkeypatch):
    """Of so few steps and actions matplotlib would make 0.5, 1.5 and so on."""
    figures = []
    keep = lambda *args, **kw: figures.append(Figure(*args, **kw)) or figures[-1]  # noqa: E731
    monkeypatch.setattr(animation, "Figure", keep)
    seen = [np.zeros(2, np.float32)] * 3
    episode = Episode([None] * 3, seen, list(actions), [0.0, 1.0, 0.0], [[0.1]] * 3)
    animation.animate(episode, "title", tmp_path / "episode.gif")
    saw, did, got, felt = figures[0].axes

    def is_whole(axis):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
        return len(ticks) > 1 and all(float(tick).is_integer() for tick in ticks)

    assert all(is_whole(axes.xaxis) for axes in (saw, did, got, felt))
    assert is_whole(saw.yaxis)
    assert is_whole(did.yaxis) == (actions.dtype == np.int32)
    assert not is_whole(felt.yaxis)


@pytest.mark.parametrize("name", ["Catch-bsuite", "Pong-misc"])
def test_pictures_of_gymnax_become_arrays(name):
    env, params = envs.make(name)
    _, state = env.reset(jax.random.key(0), params)
    drawn = picture(env, state, params)
    assert (drawn.dtype, drawn.shape) == (np.uint8, (480, 640, 3))
    assert len(np.unique(drawn)) > 2


def test_arrays_become_characters_of_two_pixels_each():
    left, right = np.uint8([255, 0, 0]), np.uint8([0, 0, 255])
    drawn = for_terminal(np.stack([np.tile(left, (40, 1)), np.tile(right, (40, 1))], axis=1))
    rows = drawn.plain.splitlines()
    assert len(set(rows)) == 1
    assert set(rows[0]) == {"▀"}
    colours = [str(span.style) for span in drawn.spans]
    assert colours[0] == "#ff0000 on #ff0000"
    assert colours[-1] == "#0000ff on #0000ff"
    assert for_terminal("text") == "text"
    assert for_terminal(None) == "this environment draws nothing"


@pytest.mark.parametrize(
    ("typed", "space", "action"),
    [
        ("2", Discrete(3), 2),
        ("1 3", MultiDiscrete([2, 4]), [1, 3]),
        ("0.1, -1", Box(-1.0, 1.0, (2,)), np.float32([0.1, -1.0])),
    ],
)
def test_typed_action(typed, space, action):
    assert np.array_equal(read_action(typed, space), action)


@pytest.mark.parametrize("typed", ["3", "-1", "1.5", "x", "", "1 1"])
def test_what_is_no_action(typed):
    with pytest.raises(UsageError, match="is no action of Discrete"):
        read_action(typed, Discrete(3))


@pytest.fixture
def play(monkeypatch, capsys):
    """Return ``play(env, typed)``: what is printed while these lines are typed."""

    def play(env, typed):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert main(["play", env]) == 0
        return capsys.readouterr().out

    return play


def test_play(play):
    printed = play("popgym/RepeatPreviousEasy", "1\n\nnine\n?\n3\nq\n")
    assert "'nine' is no action" in printed
    assert "RepeatPrevious, step 2 of 51" in printed
    assert printed.splitlines()[-1].endswith("return 0.000 in 3 steps")


def test_play_takes_brackets_for_what_they_are(play):
    printed = play("popgym/PositionOnlyPendulumEasy", "[/]\n0.1\n?\nq\n")
    assert "'[/]' is no action" in printed
    assert "[cos " in printed


class Bare:
    """Draws whatever it is given."""

    def render(self, state, params):
        return state


def test_pictures_of_own_environments():
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert isinstance(picture(Bare(), jnp.asarray(pixels), None), np.ndarray)
    assert picture(Bare(), "text", None) == "text"
    assert picture(Bare(), None, None) is None
    sentence = (
        r"render of 'Bare' must return text or a uint8 array \[H, W, 3\], not float32\[2, 3, 3\]"
    )
    with pytest.raises(UsageError, match=sentence):
        picture(Bare(), pixels.astype(np.float32), None)


def test_play_goes_on_after_an_end_and_stops_with_the_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("0\n" * 4))
    assert main(["play", "bsuite/MemoryChain", "--memory-length", "2"]) == 0
    printed = capsys.readouterr().out
    assert "terminated after 3 steps" in printed
    assert "in 1 steps" in printed
