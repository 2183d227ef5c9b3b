"""What every agent is built from and judged by: environment, action head, played episodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

import envs
from agents.experiment import EnvConfig, Experiment
from envs import spaces
from envs.vector import VectorEnv
from envs.wrappers.base import name_of
from ssmrl import memory
from ssmrl.errors import UsageError, shown
from ssmrl.foreign import is_foreign
from ssmrl.memory.check import check_shapes
from ssmrl.nets.actor_critic import ActorCritic
from ssmrl.nets.encoder import ConvEncoder
from ssmrl.nets.heads import CategoricalHead, FactoredHead, GaussianHead
from ssmrl.nets.mlp import MLP
from ssmrl.report.evaluation import Episodes, run_episodes
from ssmrl.rl.acting import RecurrentPolicy
from ssmrl.train.sizes import bytes_of


@dataclass(frozen=True)
class NetworkConfig:
    """The network of actor and critic: a section of options that agents may derive theirs from."""

    normalise_observations: bool = False  # by running mean and deviation
    encoder: Literal["auto", "mlp", "cnn"] = "auto"  # cnn where observations hold one image
    encoder_sizes: tuple[int, ...] = (128, 256)  # layers before the memory
    head_sizes: tuple[int, ...] = (128, 128)  # layers of each head after the memory
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of all layers but GRU, LSTM, MLP

    def check_network(self, prefix: str) -> None:
        """Raise ``UsageError`` for layers without units; ``prefix`` is the section's, "ppo."."""
        for name in ("encoder_sizes", "head_sizes"):
            if not all(size > 0 for size in getattr(self, name)):
                raise UsageError(f"{prefix}{name} must be above 0, not {getattr(self, name)}")


def make_environment(config: EnvConfig) -> VectorEnv:
    """Return the environment, wrapped; raise ``UsageError`` where it breaks the contract."""
    try:
        env, params = envs.make(config.name, **config.params)
        envs.check_environment(env, params)
    except UsageError as error:
        if error.__cause__ is None or not is_foreign(config.name):
            raise
        way_out = f"try it with: ssmrl check {config.name}"
        raise UsageError(f"{error}; {way_out}") from error.__cause__
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
    raise UsageError(
        f"no action head for {shown(space)}; use Discrete, MultiDiscrete or a flat Box"
    )


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
    c: NetworkConfig = experiment.agent_config
    dtype = jnp.dtype(c.compute_dtype)
    remembering = memory.make(**vars(experiment.memory))
    if is_foreign(experiment.memory.name):
        check_shapes(
            remembering, (spaces.encoded_size(env.observation_space), *c.encoder_sizes)[-1], dtype
        )
    network = ActorCritic(
        remembering,
        action_head(env.action_space),
        encoder(env, c.encoder, c.encoder_sizes),
        c.head_sizes,
        dtype,
    )
    return RecurrentPolicy(network, c.normalise_observations)


def play_episodes(
    agent: Any, state: Any, trained: Sequence[int], episodes: int, seed: int, max_steps: int
) -> Iterator[tuple[str, Episodes]]:
    """Yield ("greedy", ...) and ("sampled", ...) episodes; arrays [seeds, episodes].

    ``trained`` are the seeds of the state. What each meets depends on itself and on ``seed``, the
    evaluation's, alone: beside others it plays the episodes that it plays alone.
    """
    env = agent.env.with_num(episodes)

    def play(state: Any, key: jax.Array, greedy: jax.Array) -> Episodes:
        def act(memory_state: Any, obs: Any, start: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            return agent.act(state, memory_state, obs, start, key, greedy)

        memory_state = agent.initial_memory(episodes)
        return run_episodes(env.reset, env.step, act, memory_state, key, max_steps)

    if len(trained) == 1:
        state = jax.tree.map(lambda x: x[None], state)
    players = jax.jit(jax.vmap(play, in_axes=(0, 0, None)))  # greedy is traced: one compilation
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
