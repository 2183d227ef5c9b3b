"""One episode of a trained agent, step by step, with all that a picture of it needs."""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from envs.wrappers.base import name_of
from ssmrl.errors import UsageError
from ssmrl.world_model.moments import Carry


@dataclass
class Episode:
    """What happened; lists have one entry a step, before which the observation was seen."""

    pictures: list[Any] = field(default_factory=list)  # text or array, of the state acted in
    observations: list[np.ndarray] = field(default_factory=list)  # as the network gets them
    actions: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    memory_norms: list[list[float]] = field(default_factory=list)  # of each array of the state
    finished: bool = False


def record_episode(agent: Any, state: Any, seed: int, greedy: bool, max_steps: int) -> Episode:
    """Let ``agent`` in ``state`` (of one seed) play one episode, at most ``max_steps`` long."""
    vector = agent.env.with_num(1)

    @jax.jit
    def step(state: Any, carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        env_state, obs, start, memory_state = carry
        key_act, key_env = jax.random.split(key)
        memory_state, action = agent.act(state, memory_state, obs, start, key_act, greedy)
        seen = obs
        obs, env_state, reward, terminated, truncated, _ = vector.step(key_env, env_state, action)
        ended = terminated | truncated
        # What a world model stands at holds its last latent and action too, and an album.
        felt = memory_state.memory_state if isinstance(memory_state, Carry) else memory_state
        norms = [jax.numpy.linalg.norm(leaf) for leaf in jax.tree.leaves(felt)]
        return (env_state, obs, ended, memory_state), (seen, action, reward, ended, norms)

    key_reset, key = jax.random.split(jax.random.key(seed))
    obs, env_state = jax.jit(vector.reset)(key_reset)
    carry = (env_state, obs, np.ones(1, bool), agent.initial_memory(1))
    episode = Episode()
    for i in range(max_steps):
        one = jax.tree.map(lambda leaf: leaf[0], jax.device_get(carry[0]))
        episode.pictures.append(picture(vector.env, one, vector.params))
        carry, told = step(state, carry, jax.random.fold_in(key, i))
        seen, action, reward, ended, norms = jax.device_get(told)
        episode.observations.append(np.ravel(seen[0]))
        episode.actions.append(np.asarray(action[0]))
        episode.rewards.append(float(reward[0]))
        episode.memory_norms.append([float(norm) for norm in norms])
        if ended[0]:
            episode.finished = True
            break
    return episode


def picture(env: Any, env_state: Any, params: Any) -> str | np.ndarray | None:
    """Return what ``env.render`` draws, text or a uint8 array [H, W, 3]; None where it draws none.

    Raises ``UsageError`` where it draws anything else.
    """
    render = getattr(env, "render", None)
    drawn = None if render is None else render(env_state, params)
    if drawn is None or isinstance(drawn, str):
        return drawn
    if isinstance(drawn, np.ndarray | jax.Array):
        drawn = np.asarray(drawn)
        if (drawn.dtype, drawn.shape[2:]) != (np.uint8, (3,)):
            raise UsageError(
                f"render of {name_of(env)!r} must return text or a uint8 array [H, W, 3], "
                f"not {drawn.dtype}{list(drawn.shape)}"
            )
        return drawn
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = drawn[0] if isinstance(drawn, tuple) else drawn.figure  # as gymnax's draw
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pyplot.close(figure)
    return np.array(canvas.buffer_rgba())[..., :3]
