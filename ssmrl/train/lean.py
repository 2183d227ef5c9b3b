"""What of a state is saved and restored, where a large part of it can be done without.

An agent may have a part in its state that only learning needs, and that can be had anew: a
replay, say. It then offers these, pure functions all but the last:

    lean(state) -> state      less that part, in whose place stands None
    refill(state) -> state    a lean one with the part had anew, so that learning can go on
    saves_all: bool           whether checkpoints hold the part all the same
    lost(update) -> str       in words, what one without it has lost after so many updates
"""

from typing import Any

import jax


def has_spare(agent: Any) -> bool:
    """Return whether there is a part of the agent's state that can be done without."""
    return hasattr(agent, "lean")


def lean(agent: Any, state: Any) -> Any:
    """Return what acting needs of a state, or of its shapes."""
    return agent.lean(state) if has_spare(agent) else state


def saved(agent: Any, state: Any) -> Any:
    """Return what checkpoints hold of a state, or of its shapes."""
    return state if saves_all(agent) else lean(agent, state)


def saves_all(agent: Any) -> bool:
    """Return whether checkpoints hold whole states, from which a run goes on bit for bit."""
    return not has_spare(agent) or agent.saves_all


def refill(agent: Any, state: Any, num_members: int) -> Any:
    """Return the lean state of all members with the missing part had anew."""
    return jax.jit(agent.refill if num_members == 1 else jax.vmap(agent.refill))(state)
