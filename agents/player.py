"""A trained agent in somebody else's program: observations in, actions out, no environment.

from agents.player import load

player = load("runs/RUN")
state = player.initial_state()
state, action = player.act(state, obs, start=True)
"""

import json
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from agents.experiment import Experiment, agent_class
from agents.parts import NetworkConfig, make_policy, wrap_as_configured
from agents.trained import as_trained
from envs.check import check_observation
from envs.described import Described, Told, parts_from_mappings, space_from_mapping
from envs.spaces import Space, dtype_of
from envs.vector import VectorEnv
from envs.wrappers import Wrapper
from ssmrl.errors import UsageError
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.config import check_within
from ssmrl.train.run_folder import RunFolder


class PlayerState(struct.PyTreeNode):
    """What a player carries from step to step; leaves are [B, ...], or without B for one."""

    memory: Any
    action: jax.Array  # the last, in the policy's own unit
    step: jax.Array  # how many were taken


class Player:
    """Acts by what a run has learnt, for one environment or for a batch of them.

    Attributes:
        observation_space: what ``act`` takes, as the environment shows it: nothing is to be
            scaled, flattened or appended.
        action_space: what ``act`` returns, as the environment takes it.
    """

    def __init__(self, policy: Any, learnt: Any, env: VectorEnv):
        self._policy, self._learnt, self._env = policy, learnt, env.env
        self.observation_space: Space = env.unwrapped.observation_space(None)
        self.action_space: Space = env.unwrapped.action_space(None)
        self._act = jax.jit(self._act_all)

    def initial_state(self, batch_shape: tuple[int, ...] = ()) -> PlayerState:
        """Return the state before the first step of one environment, or of a batch (B,)."""
        size = batch_shape[0] if batch_shape else 1
        space = self._env.action_space(None)
        action = jnp.zeros((size, *space.shape), dtype_of(space))
        state = PlayerState(self._policy.initial_memory(size), action, jnp.zeros(size, jnp.int32))
        return state if batch_shape else _first(state)

    def act(
        self,
        state: PlayerState,
        obs: Any,
        start: Any,
        *,
        reward: Any = 0.0,
        key: jax.Array | None = None,
    ) -> tuple[PlayerState, jax.Array]:
        """Return the next state, and the action of ``action_space``.

        Args:
            state: of the step before; ``initial_state`` at first.
            obs: one element of ``observation_space``, or a batch with a leading axis [B].
            start: whether ``obs`` is the first of an episode: a bool, or bools [B]. Everything
                before is forgotten. One bool goes for a whole batch.
            reward: of the step before; only looked at by agents with ``env.previous_reward``.
            key: draws the action as in training; without it, it is the likeliest. A world model
                draws its latents all the same, and again alike for a state that steps again.

        Raises ``UsageError`` where ``obs`` is not of the space, or ``start`` not of the batch.
        """
        obs = jax.tree.map(jnp.asarray, obs)
        one = state.step.ndim == 0
        if one:
            state, obs = jax.tree.map(lambda x: x[None], (state, obs))
        shown = jax.eval_shape(lambda obs: _first(obs), obs)
        check_observation("the observation given to act", shown, self.observation_space)
        start = jnp.asarray(start, bool)
        if start.shape not in ((), state.step.shape):
            raise UsageError(
                f"the start given to act has shape {start.shape}, but the state is of "
                f"{len(state.step)} environments; give one bool, or one for each"
            )
        start = jnp.broadcast_to(start, state.step.shape)
        told = Told(obs, jnp.broadcast_to(jnp.asarray(reward, jnp.float32), start.shape))
        state, action = self._act(self._learnt, state, told, start, key)
        return _first((state, action)) if one else (state, action)

    def _act_all(
        self, learnt: Any, state: PlayerState, told: Told, start: jax.Array, key: Any
    ) -> tuple[PlayerState, jax.Array]:
        obs = jax.vmap(self._seen)(told, state.action, start)
        greedy = key is None
        key = jax.random.fold_in(jax.random.key(0), state.step[0]) if greedy else key
        memory, action = self._policy.act(learnt, state.memory, obs, start, key, greedy)
        return PlayerState(memory, action, state.step + 1), jax.vmap(self._done)(told, action)

    def _seen(self, told: Told, action: jax.Array, start: jax.Array) -> jax.Array:
        """Return what the policy sees: the environment's wrappers say."""
        first, later = self._pass(told, action)
        return jnp.where(start, first, later[0])

    def _done(self, told: Told, action: jax.Array) -> jax.Array:
        """Return what the environment gets of an action of the policy."""
        env, state = self._env, self._pass(told, action)[1][1]
        while isinstance(env, Wrapper):
            env, state = env.env, env.inner_state(state)
        return state

    def _pass(self, told: Told, action: jax.Array) -> tuple[Any, Any]:
        key = jax.random.key(0)  # nothing is drawn
        obs, state = self._env.reset(key, told)
        return obs, self._env.step(key, state, action, told)


def load(run: str | Path, member: int = 0) -> Player:
    """Return a player by the newest checkpoint of a run folder.

    Args:
        run: the folder, which may have come from another machine; its environment is not needed.
        member: which of the run's seeds, counted from 0; in a sweep, the seeds of the first
            setting are followed by those of the next, and evaluation.json tells their numbers.

    Raises ``UsageError`` where there is no such run, member or checkpoint.
    """
    folder = RunFolder.open(run)
    experiment, notes = as_trained(folder)
    check_within("member", member, least=0, most=experiment.num_members - 1)
    env = _described(folder, experiment)
    policy = _policy(experiment, env)

    def learnt(key: jax.Array) -> Any:
        return policy.init(key, policy.begin(env, key))

    members = () if experiment.num_members == 1 else (experiment.num_members,)
    like = jax.eval_shape(learnt, jax.random.key(0))
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct((*members, *x.shape), x.dtype), like)
    _, kept, damages = Checkpoints(folder.checkpoints, must_exist=True).restore(like, part=True)
    for warning in [*notes, *damages]:
        warnings.warn(warning, stacklevel=2)
    return Player(policy, jax.tree.map(lambda x: x[member], kept) if members else kept, env)


def _policy(experiment: Experiment, env: VectorEnv) -> Any:
    """Return what has the methods of :class:`ssmrl.rl.acting.RecurrentPolicy`, but ``rollout``."""
    make = getattr(agent_class(experiment.agent), "make_policy", None)
    if make is None and not isinstance(experiment.agent_config, NetworkConfig):
        raise UsageError(
            f"agent {experiment.agent!r} does not say how its policy is made; give the class a "
            "static make_policy(experiment, env), as agents/r2i.py has one"
        )
    return (make or make_policy)(experiment, env)


def _described(folder: RunFolder, experiment: Experiment) -> VectorEnv:
    path = folder.path / "spaces.json"
    try:
        told = json.loads(path.read_text())
        spaces = [space_from_mapping(told[name]) for name in ("observation", "action")]
        parts = parts_from_mappings(told["parts"]) if "parts" in told else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{str(path)!r} does not tell the environment's spaces ({type(error).__name__}); "
            f"ssmrl train --resume {folder.path} writes it anew"
        ) from None
    key = jax.random.key(0)
    shown = jax.tree.map(jnp.zeros_like, spaces[0].sample(key))
    env = wrap_as_configured(Described(*spaces), experiment.env)
    return VectorEnv(env, Told(shown, jnp.float32(0)), parts=parts)


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)
