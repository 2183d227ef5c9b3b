"""What every agent is built from and judged by: environment, action head, played episodes."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

import envs
from agents.experiment import EnvConfig, Experiment
from envs import spaces
from envs.vector import VectorEnv
from envs.wrappers.base import name_of
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.nets.actor_critic import ActorCritic
from ssmrl.nets.encoder import ConvEncoder
from ssmrl.nets.heads import CategoricalHead, FactoredHead, GaussianHead
from ssmrl.nets.mlp import MLP
from ssmrl.report.evaluation import Episodes, run_episodes
from ssmrl.rl.acting import RecurrentPolicy
from ssmrl.train.sizes import bytes_of


def make_environment(config: EnvConfig) -> VectorEnv:
    """Return the environment, wrapped; raise ``UsageError`` where it breaks the contract."""
    env, params = envs.make(config.name, **config.params)
    envs.check_environment(env, params)
    return VectorEnv(wrap_as_configured(env, config), params)


def wrap_as_configured(env: Any, config: EnvConfig) -> envs.Wrapper:
    """Return ``env`` with what the config appends to observations."""
    return envs.wrap(
        env,
        previous_action=config.previous_action,
        previous_reward=config.previous_reward,
        start_flag=config.start_flag,
    )


def action_head(space: spaces.Space) -> nn.Module:
    """Return the head that draws actions of ``space``; Boxes of actions must be vectors."""
    if isinstance(space, spaces.Discrete):
        return CategoricalHead(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return FactoredHead(tuple(int(n) for n in space.nvec))
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return GaussianHead(space.shape[0])
    raise UsageError(f"no action head for {space}; use Discrete, MultiDiscrete or a flat Box")


def encoder(env: VectorEnv, kind: str, sizes: Sequence[int]) -> nn.Module:
    """Return what stands before the memory: an "mlp", a "cnn", or by "auto" what suits ``env``."""
    place = env.image_place
    if kind == "cnn" and place is None:
        raise UsageError(
            f"encoder 'cnn' needs an image in the observations of {name_of(env.env)!r}, which hold "
            "none, or several; use 'mlp' or 'auto'"
        )
    return MLP(sizes) if kind == "mlp" or place is None else ConvEncoder(*place, sizes)


def make_policy(experiment: Experiment, env: VectorEnv) -> RecurrentPolicy:
    """Return an actor and critic around the memory, by the section of the experiment's agent.

    Of the environment only its spaces are needed.
    """
    c = getattr(experiment, experiment.agent)
    network = ActorCritic(
        memory.make(**vars(experiment.memory)),
        action_head(env.action_space),
        encoder(env, c.encoder, c.encoder_sizes),
        c.head_sizes,
        jnp.dtype(c.compute_dtype),
    )
    return RecurrentPolicy(network, c.normalise_observations)


def play_episodes(
    agent: Any, state: Any, experiment: Experiment, episodes: int, seed: int, max_steps: int
) -> Iterator[tuple[str, Episodes]]:
    """Yield ("greedy", ...) and ("sampled", ...) episodes; arrays [seeds, episodes].

    What a trained seed meets depends on itself and on ``seed``, the evaluation's, alone: beside
    others it plays the episodes that it plays alone.
    """
    env = agent.env.with_num(episodes)

    def play(state: Any, key: jax.Array, greedy: jax.Array) -> Episodes:
        def act(memory_state: Any, obs: Any, start: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            return agent.act(state, memory_state, obs, start, key, greedy)

        memory_state = agent.initial_memory(episodes)
        return run_episodes(env.reset, env.step, act, memory_state, key, max_steps)

    if experiment.num_seeds == 1:
        state = jax.tree.map(lambda x: x[None], state)
    players = jax.jit(jax.vmap(play, in_axes=(0, 0, None)))  # greedy is traced: one compilation
    trained = range(experiment.seed, experiment.seed + experiment.num_seeds)
    keys = jnp.stack([_evaluation_key(s, seed) for s in trained])
    for kind in ("greedy", "sampled"):
        yield kind, jax.device_get(players(state, keys, kind == "greedy"))


def bytes_of_episode(agent: Any) -> int:
    """Return what an episode being played keeps in memory, by tracing a single one."""
    shapes = jax.eval_shape(lambda: agent.env.with_num(1).reset(jax.random.key(0)))
    return bytes_of((shapes, jax.eval_shape(lambda: agent.initial_memory(1))))


def _evaluation_key(trained: int, seed: int) -> jax.Array:
    """Return a key that is none of those that training split off the trained seed's."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(trained), 0xE7A1), seed)
