"""What every agent is built from and judged by: environment, action head, played episodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

import envs
from agents.experiment import EnvConfig, Experiment
from envs import spaces
from envs.meta.mixture import members_of
from envs.vector import VectorEnv, vectorise
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

    def make_network(self, action_size: int, **parts: Any) -> ActorCritic:
        """Return a network of ``parts``: memory, action_head, encoder, head_sizes and dtype.

        ``action_size`` is the length of the vectors that stand for actions.
        """
        return ActorCritic(**parts)

    def check_network(self, prefix: str) -> None:
        """Raise ``UsageError`` for layers without units; ``prefix`` is the section's, "ppo."."""
        for name in ("encoder_sizes", "head_sizes"):
            if not all(size > 0 for size in getattr(self, name)):
                raise UsageError(f"{prefix}{name} must be above 0, not {getattr(self, name)}")


def make_environment(config: EnvConfig) -> VectorEnv:
    """Return the environment, wrapped; raise ``UsageError`` where it breaks the contract."""
    try:
        env, params = envs.make(config.name, **config.params)
        for _, member, own in members_of(env, params):
            envs.check_environment(member, own)
    except UsageError as error:
        if error.__cause__ is None or not is_foreign(config.name):
            raise
        way_out = f"try it with: ssmrl check {config.name}"
        raise UsageError(f"{error}; {way_out}") from error.__cause__
    return vectorise(env, params, partial(wrap_as_configured, config=config))


def wrap_as_configured(env: Any, config: EnvConfig) -> envs.Wrapper:
    """Return ``env`` with what the config appends to observations."""
    return envs.wrap(
        env,
        previous_action=config.previous_action,
        previous_reward=config.previous_reward,
        start_flag=config.start_flag,
    )


def action_head(space: spaces.Space, unimix: float = 0.0) -> nn.Module:
    """Return the head that draws actions of ``space``; Boxes of actions must be vectors.

    ``unimix`` is the share of the uniform distribution in discrete ones.
    """
    if isinstance(space, spaces.Discrete):
        return CategoricalHead(space.n, unimix)
    if isinstance(space, spaces.MultiDiscrete):
        return FactoredHead(tuple(int(n) for n in space.nvec), unimix)
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
    network = c.make_network(
        spaces.encoded_size(env.action_space),
        memory=remembering,
        action_head=action_head(env.action_space),
        encoder=encoder(env, c.encoder, c.encoder_sizes),
        head_sizes=c.head_sizes,
        dtype=dtype,
    )
    return RecurrentPolicy(network, c.normalise_observations)


class Kind(NamedTuple):
    """How episodes of an evaluation are played."""

    greedy: bool = False  # the likeliest actions, not drawn ones
    forgets: bool = False  # every inner episode of a trial is a start to the memory
    random: bool = False  # actions that the agent has no part in


KINDS = {"greedy": Kind(greedy=True), "sampled": Kind()}
CONTROLS = {"memory wiped": Kind(forgets=True), "random": Kind(random=True)}  # of trials


def play_episodes(
    agent: Any, state: Any, trained: Sequence[int], episodes: int, seed: int, max_steps: int
) -> Iterator[tuple[str, Episodes]]:
    """Yield ("greedy", ...) and ("sampled", ...) episodes, of trials also the controls.

    Arrays are [seeds, episodes]. ``trained`` are the seeds of the state. What each meets depends
    on itself and on ``seed``, the evaluation's, alone: beside others it plays the episodes that it
    plays alone.
    """
    env = agent.env.with_num(episodes)
    num_inner = env.num_inner_episodes

    def play(state: Any, key: jax.Array, kind: Kind) -> Episodes:
        def act(memory_state: Any, obs: Any, start: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            memory_state, action = agent.act(state, memory_state, obs, start, key, kind.greedy)
            if num_inner > 1:
                action = jnp.where(kind.random, env.sample_actions(key), action)
            return memory_state, action

        memory_state = agent.initial_memory(episodes)
        how = (memory_state, key, max_steps, num_inner, kind.forgets, env.without_past)
        return run_episodes(env.reset, env.step, act, *how)

    if len(trained) == 1:
        state = jax.tree.map(lambda x: x[None], state)
    players = jax.jit(jax.vmap(play, in_axes=(0, 0, None)))  # the kind is traced: one compilation
    keys = jnp.stack([_evaluation_key(s, seed) for s in trained])
    for name, kind in (KINDS | CONTROLS if num_inner > 1 else KINDS).items():
        yield name, jax.device_get(players(state, keys, kind))


def optimal_inner_return(env: VectorEnv, num_tasks: int = 1024) -> float | None:
    """Return the best return of an inner episode, the task being known, averaged over tasks.

    None where that is not known, or members of a mixture differ in it.
    """
    trial = env.trial
    if trial is None or env.members:
        return None
    best = jax.vmap(lambda key: trial.optimal_return(key, env.params))
    found = jax.jit(best)(jax.random.split(jax.random.key(0), num_tasks))
    return None if found is None else float(found.mean())


def bytes_of_episode(agent: Any) -> int:
    """Return what an episode being played keeps in memory, by tracing a single one."""
    one = agent.env.with_num(1)  # outside: of a mixture it looks at values of bounds
    shapes = jax.eval_shape(lambda: one.reset(jax.random.key(0)))
    return bytes_of((shapes, jax.eval_shape(lambda: agent.initial_memory(1))))


def _evaluation_key(trained: int, seed: int) -> jax.Array:
    """Return a key that is none of those that training split off the trained seed's."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(trained), 0xE7A1), seed)
