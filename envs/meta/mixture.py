"""Several environments as one: each gets its share of a batch, and nobody pays for the others."""

from collections.abc import Sequence
from typing import Any

import jax

from envs.fixed import NoParams
from envs.meta.tasks import check_split
from envs.spaces import Box, Discrete, Space, encoded_size
from envs.wrappers.base import Transition
from envs.wrappers.pad import PadActions, PadObservation
from envs.wrappers.transform import FlattenObservation
from ssmrl.errors import UsageError

Member = tuple[str, Any, Any]  # name, environment, params


class Mixture:
    """Members among which a batch of environments is divided; ``envs.vector`` does that.

    Taken alone it is its first member. Where observations or actions differ in size they are
    filled up to the largest, as ``PadObservation`` and ``PadActions`` say, on flat observations.

    Args:
        name: of the whole.
        members: (name, environment, params) of each.
        weights: how the batch is divided, numbers above 0; equally by default.

    Raises ``UsageError`` where there is no member, where two have one name, where discrete actions
    stand among continuous ones, and for other weights.
    """

    def __init__(
        self, name: str, members: Sequence[Member], weights: Sequence[float] | None = None
    ):
        if not members:
            raise UsageError(f"environment {name!r}: a mixture needs at least one member")
        names = [member for member, _, _ in members]
        for member in names:
            if names.count(member) > 1:
                raise UsageError(f"environment {name!r}: two members have the name {member!r}")
        weights = [1.0] * len(members) if weights is None else list(weights)
        if len(weights) != len(members) or not all(w > 0 for w in weights):
            raise UsageError(
                f"environment {name!r}: weights must be {len(members)} numbers above 0, one for "
                f"each member, not {weights}"
            )
        self.name, self.weights = name, weights
        self.members = self._of_one_size(members)

    @property
    def default_params(self) -> NoParams:
        """None: members keep their own."""
        return NoParams()

    def reset(self, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        """Reset the first member."""
        _, env, own = self.members[0]
        return env.reset(key, own)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> Transition:
        """Step in the first member."""
        _, env, own = self.members[0]
        return env.step(key, state, action, own)

    def observation_space(self, params: Any = None) -> Space:
        """Return the space of the first member."""
        _, env, own = self.members[0]
        return env.observation_space(own)

    def action_space(self, params: Any = None) -> Space:
        """Return the space that all members share."""
        _, env, own = self.members[0]
        return env.action_space(own)

    def render(self, state: Any, params: Any = None) -> Any:
        """Return the first member's picture, None where it draws none."""
        _, env, own = self.members[0]
        return env.render(state, own) if hasattr(env, "render") else None

    def shares(self, num: int) -> list[int]:
        """Return how many of ``num`` environments each member gets: at least one, if it goes.

        By the weights, rounded by largest remainders; of fewer than there are members the first
        get one each.
        """
        if num <= len(self.members):
            return [int(i < num) for i in range(len(self.members))]
        spare = num - len(self.members)
        exact = [spare * w / sum(self.weights) for w in self.weights]
        shares = [1 + int(part) for part in exact]
        by_remainder = sorted(range(len(exact)), key=lambda i: int(exact[i]) - exact[i])
        for i in by_remainder[: num - sum(shares)]:
            shares[i] += 1
        return shares

    def _of_one_size(self, members: Sequence[Member]) -> list[Member]:
        actions = [env.action_space(params) for _, env, params in members]
        kinds = {_kind(space) for space in actions}
        if len(kinds) > 1 or kinds == {""}:
            told = ", ".join(f"{m[0]} {s!r}" for m, s in zip(members, actions, strict=True))
            raise UsageError(
                f"environment {self.name!r}: members must all have Discrete actions, or all "
                f"vectors of floats, not {told}"
            )
        sizes = [encoded_size(env.observation_space(params)) for _, env, params in members]
        num_actions = [encoded_size(space) for space in actions]
        fitted = []
        for name, env, params in members:
            if len(set(sizes)) > 1:
                env = PadObservation(FlattenObservation(env), max(sizes))
            if len(set(num_actions)) > 1:
                env = PadActions(env, max(num_actions))
            fitted.append((name, env, params))
        return fitted


def members_of(env: Any, params: Any) -> list[Member]:
    """Return the members of a mixture; any other environment is its only one."""
    return env.members if isinstance(env, Mixture) else [("", env, params)]


def choose_split(name: str, split: str, train: Sequence[str], held_out: Sequence[str]) -> list[str]:
    """Return the members' names of a split; raise ``UsageError`` where the two overlap."""
    check_split(name, split)
    if both := sorted(set(train) & set(held_out)):
        raise UsageError(f"environment {name!r}: {both[0]!r} is both trained on and held out")
    if not held_out and split == "held_out":
        raise UsageError(f"environment {name!r}: the held-out set is empty; name its members")
    return list(train if split == "train" else held_out)


def _kind(space: Space) -> str:
    if isinstance(space, Discrete):
        return "discrete"
    return "vector" if isinstance(space, Box) and len(space.shape) == 1 else ""
