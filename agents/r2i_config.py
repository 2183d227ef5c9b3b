"""Options of Recall to Imagine, and the networks that they make."""

import math
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp

from agents.experiment import Experiment
from agents.parts import action_head
from envs.vector import VectorEnv
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.foreign import is_foreign
from ssmrl.memory.check import check_shapes
from ssmrl.train.config import (
    check_above_zero,
    check_multiple,
    check_not_negative,
    check_shares,
    check_within,
)
from ssmrl.world_model.acting import ModelPolicy
from ssmrl.world_model.actor_critic import ImaginingActorCritic, Look, check_look
from ssmrl.world_model.latents import Latents
from ssmrl.world_model.replay import check_sizes

MOST_DESCENTS = 10**6  # gradient steps in an update


@dataclass(frozen=True)
class Config:
    """Settings of Recall to Imagine."""

    num_envs: int = 64  # parallel environments
    num_steps: int = 16  # steps of each in a roll-out, for which replay keeps one memory state
    train_ratio: float = 64  # replayed steps for each step acted
    batch_size: int = 16  # windows in a gradient step
    window: int = 256  # steps of a window
    stored_states: bool = True  # windows begin at what acting stood at; else from nothing
    replay_steps: int = 1_048_576  # that the replay holds, of all environments together
    prefill: int = 0  # of total_steps, those before learning; a window of each environment at least
    checkpoint_replay: bool = True  # or smaller checkpoints, and resumes that begin a new replay
    num_starts: int = 512  # moments of a batch from which is imagined
    horizon: int = 15  # steps that are imagined
    gamma: float = 0.997  # discount
    lambda_: float = 0.95  # decay of the returns' traces
    learning_rate: float = 1e-4  # step size of LaProp
    anneal_learning_rate: bool = False  # linearly to zero over the run
    warm_up: int = 1000  # gradient steps over which the step size rises
    max_grad_ratio: float = 0.3  # gradients are clipped to this share of their array's norm
    entropy_coefficient: float = 3e-4  # weight of the entropy bonus
    anneal_entropy: bool = False  # its weight, linearly to zero over the run's second half
    free_nats: float = 0.1  # of latents, a step, that cost nothing; DreamerV3 has 1
    dynamics_coefficient: float = 1.0  # weight of the prior's divergence
    representation_coefficient: float = 0.1  # weight of the posterior's
    replay_value_coefficient: float = 0.3  # weight of the critic's loss on replayed returns
    slow_coefficient: float = 1.0  # weight of staying near the slow critic
    slow_rate: float = 0.02  # how far the slow critic follows in a gradient step
    look: Look = "gated"  # what the policy sees beside the latent: output, hidden, full, gated
    groups: int = 32  # one-hots of a latent
    classes: int = 32  # classes of each
    unimix: float = 0.01  # share of the uniform distribution in latents and discrete actions
    units: int = 256  # of the layers around the memory
    encoder_sizes: tuple[int, ...] = (256,)  # layers from observations to latents
    decoder_sizes: tuple[int, ...] = (256,)  # layers from moments to observations
    head_sizes: tuple[int, ...] = (256,)  # layers of reward and continuation each
    policy_sizes: tuple[int, ...] = (256, 256)  # layers of actor and critic each
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of all layers

    def __post_init__(self) -> None:
        whole = ("num_envs", "num_steps", "batch_size", "num_starts", "horizon", "window")
        check_above_zero("r2i.", self, *whole, "groups", "units", "learning_rate", "train_ratio")
        check_above_zero("r2i.", self, "replay_steps", "max_grad_ratio")
        check_shares("r2i.", self, "gamma", "lambda_", "slow_rate", "unimix")
        weights = ("entropy", "dynamics", "representation", "replay_value", "slow")
        check_not_negative("r2i.", self, *(f"{name}_coefficient" for name in weights))
        check_not_negative("r2i.", self, "free_nats", "warm_up", "prefill")
        if self.unimix == 1:
            raise UsageError(f"r2i.unimix must be below 1, not {self.unimix}")
        if self.classes < 2:
            raise UsageError(f"r2i.classes must be at least 2, not {self.classes}")
        acted = "r2i.num_envs x r2i.num_steps"
        check_multiple("r2i.replay_steps", self.replay_steps, acted, self.steps_per_update)
        names = ("r2i.num_steps", "r2i.window", "r2i.replay_steps / r2i.num_envs")
        check_sizes(self.num_steps, self.window, self.capacity, names)
        check_within("r2i.window", self.window, 2)  # values are learnt by what comes after a step
        self._check_products()
        if self.prefill > self.replay_steps:
            raise UsageError(
                f"r2i.prefill={self.prefill} is more than r2i.replay_steps={self.replay_steps} "
                "holds; lower the one or raise the other"
            )
        for sizes in ("head_sizes", "policy_sizes"):
            if not getattr(self, sizes):
                raise UsageError(f"r2i.{sizes} must have one layer at least, but is empty")
        for sizes in ("encoder_sizes", "decoder_sizes", "head_sizes", "policy_sizes"):
            if not all(size > 0 for size in getattr(self, sizes)):
                raise UsageError(f"r2i.{sizes} must be above 0, not {getattr(self, sizes)}")
        self._check_ratio()

    @property
    def steps_per_update(self) -> int:
        """Steps acted in an update."""
        return self.num_envs * self.num_steps

    @property
    def capacity(self) -> int:
        """Steps of each environment that the replay holds."""
        return self.replay_steps // self.num_envs

    @property
    def num_descents(self) -> int:
        """Gradient steps in an update."""
        return min(round(self._descents), MOST_DESCENTS)

    @property
    def _descents(self) -> float:
        return self.train_ratio * self.steps_per_update / (self.batch_size * self.window)

    @property
    def num_prefilled(self) -> int:
        """Roll-outs before learning begins."""
        wanted = -(-self.prefill // self.steps_per_update)
        return max(wanted, self.window // self.num_steps)

    def check_total(self, total_steps: int) -> None:
        """Raise ``UsageError`` where no update is left to learn in."""
        begin = self.num_prefilled * self.steps_per_update
        if total_steps < begin + self.steps_per_update:
            raise UsageError(
                f"total_steps={total_steps} leaves no update to learn in after {begin} steps "
                "(r2i.prefill, and at least r2i.window x r2i.num_envs); lower those, or raise it "
                f"to {begin + self.steps_per_update} or more"
            )

    def _check_products(self) -> None:
        """Raise ``UsageError`` where a gradient step is beyond what a compiler can count."""
        check_within("r2i.batch_size x r2i.window", self.batch_size * self.window, 1)
        check_within("r2i.num_starts x r2i.horizon", self.num_starts * self.horizon, 1)
        check_within("r2i.groups x r2i.classes", self.groups * self.classes, 1)

    def _check_ratio(self) -> None:
        whole = max(self.num_descents, 1)
        # Such as 1/3 cannot be typed, so that what is printed below must do.
        if not math.isclose(self._descents, whole, rel_tol=1e-5):
            replayed = self.batch_size * self.window
            raise UsageError(
                f"r2i.train_ratio={self.train_ratio:g} makes {self._descents:g} gradient steps of "
                f"{replayed} replayed steps (r2i.batch_size x r2i.window) after "
                f"{self.steps_per_update} acted ones, but must make a whole number, at most "
                f"{MOST_DESCENTS}; the nearest is {whole * replayed / self.steps_per_update:g}"
            )


def make_policy(experiment: Experiment, env: VectorEnv) -> ModelPolicy:
    """Return world model, actor and critic by the section r2i, of ``env`` by its spaces."""
    c: Config = experiment.agent_config
    dtype = jnp.dtype(c.compute_dtype)
    remembering = memory.make(**vars(experiment.memory))
    if is_foreign(experiment.memory.name):
        check_shapes(remembering, c.units, dtype)
    check_look(remembering, c.look, "r2i.look")
    network = ImaginingActorCritic(
        memory=remembering,
        parts=env.observation_parts,
        action_size=env.encoded_action_size,
        action_head=action_head(env.action_space, c.unimix),
        latents=Latents(c.groups, c.classes, c.unimix),
        look=c.look,
        units=c.units,
        encoder_sizes=c.encoder_sizes,
        decoder_sizes=c.decoder_sizes,
        head_sizes=c.head_sizes,
        policy_sizes=c.policy_sizes,
        dtype=dtype,
    )
    return ModelPolicy(network, env.encode_actions)
