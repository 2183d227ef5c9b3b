"""What a world model imagines of an episode, by what was done in it, and seeing nothing of it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.episode import Episode
from ssmrl.world_model.acting import ModelPolicy
from ssmrl.world_model.imagination import open_loop
from ssmrl.world_model.parts import pack

NUM_DREAMS = 4


@dataclass
class Dream:
    """What is foretold of an episode of T steps by who saw it up to step ``start``, and no further.

    The actions are those that were truly taken. Where nothing is foretold stands NaN.
    """

    start: int
    observations: np.ndarray  # after ``start``, flat, [T, F]
    rewards: np.ndarray  # for what was done at ``start`` and after it, [T]


def dreams_of(agent: Any, state: Any, episode: Episode, seed: int) -> list[Dream]:
    """Return dreams of an episode from a few of its moments, evenly spaced, each drawn once.

    There are none where ``agent`` has no world model to act by, or the episode one step only.
    """
    policy, length = getattr(agent, "policy", None), len(episode.rewards)
    if not isinstance(policy, ModelPolicy) or length < 2:
        return []
    starts = sorted({i * (length - 1) // NUM_DREAMS for i in range(NUM_DREAMS)})
    happened = (np.stack(episode.observations), np.stack(episode.actions), np.array(starts))
    obs, rewards = _dream(policy, state.params, *happened, jax.random.key(seed))
    obs, rewards = jax.device_get((obs, rewards * state.unit.size))
    told = zip(starts, np.moveaxis(obs, 1, 0), np.moveaxis(rewards, 1, 0), strict=True)
    return [
        Dream(start, _placed(x, start + 1, length), _placed(r, start, length))
        for start, x, r in told
    ]


@partial(jax.jit, static_argnums=0)
def _dream(
    policy: ModelPolicy,
    params: Any,
    obs_TxF: jax.Array,
    action_T: jax.Array,
    starts_K: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Return the observations [T - 1, K, F] after each start, and the rewards [T, K] from it on.

    Those beyond the episode's end mean nothing.
    """
    network, length = policy.network, len(obs_TxF)
    apply: Any = partial(network.apply, params)
    key_observe, key_lead = jax.random.split(key)
    action_TxA, begins_T = policy.encode(action_T), jnp.arange(length) == 0
    packed = pack(network.parts, obs_TxF[:, None])
    seen = (policy.initial_memory(1), packed, action_TxA[:, None], begins_T[:, None])
    _, observed = apply(*seen, key_observe, 1, method="observe")
    first = jax.tree.map(lambda x: x[starts_K, 0], observed.moments)

    steps_TxK = jnp.minimum(jnp.arange(length)[:, None] + starts_K[None], length - 1)
    action_TxKxA = action_TxA[steps_TxK]
    lead = partial(apply, method="imagine", **apply(method="prepare"))
    later = open_loop(lead, first, action_TxKxA, key_lead)
    moments = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), first, later)
    rewards, _ = apply(moments, action_TxKxA, later.latent, method="expect")
    return apply(jax.tree.map(lambda x: x[:-1], later), method="decode"), rewards


def _placed(foretold: np.ndarray, at: int, length: int) -> np.ndarray:
    """Return [length, ...] with what was foretold from ``at`` on, before it NaN."""
    placed = np.full((length, *foretold.shape[1:]), np.nan, np.float32)
    placed[at:] = foretold[: length - at]
    return placed
