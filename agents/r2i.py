"""Recall to Imagine: a world model whose memory is scanned in parallel, and an actor-critic on it.

Samsami et al. 2024, "Mastering Memory Tasks with World Models", on DreamerV3 (Hafner et al. 2023);
all of it inside one jitted program. One update is:

    act ``num_steps`` times in ``num_envs`` environments, and put that into the replay
    ``train_ratio`` times as many replayed steps as steps acted: in each gradient step
        draw ``batch_size`` windows of ``window`` steps, each with what acting stood at before it
        observe them: latents, memory, and what the model foretold of them
        imagine ``horizon`` steps from ``num_starts`` of their moments, acting by the policy
        lambda-returns of imagined rewards teach the critic, and what exceeds its values the actor
        one step of LaProp down all losses together; a slow critic follows
        put the memory's states of now back into the replay

The replay holds the memory's state before each roll-out, and windows begin at roll-outs, so that a
window in the middle of an episode begins with true context, of a model not much older.
Run it with ``ssmrl train r2i/quickstart`` or ``python -m agents.r2i``.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.flatten_util import ravel_pytree

from agents.experiment import Experiment
from agents.parts import action_head, make_environment
from ssmrl import memory
from ssmrl.errors import UsageError
from ssmrl.rl.descent import clipped_laprop, warm_up
from ssmrl.rl.lambda_returns import lambda_returns
from ssmrl.rl.normalise import PercentileScale, RewardUnit
from ssmrl.train.config import (
    check_above_zero,
    check_not_negative,
    check_shares,
)
from ssmrl.train.metrics import Mean, Metrics
from ssmrl.world_model.actor_critic import CRITIC, ImaginingActorCritic, Look, check_look
from ssmrl.world_model.imagination import imagine
from ssmrl.world_model.latents import Latents
from ssmrl.world_model.model import Carry, Moment, Observed, carries_after
from ssmrl.world_model.parts import pack
from ssmrl.world_model.replay import Replay, Window, check_sizes


@dataclass(frozen=True)
class Config:
    """Settings of Recall to Imagine."""

    num_envs: int = 64  # parallel environments
    num_steps: int = 16  # steps of each in a roll-out; replay keeps a memory state for each roll-out
    train_ratio: float = 64  # replayed steps for each step acted
    batch_size: int = 16  # windows in a gradient step
    window: int = 256  # steps of a window
    replay_steps: int = 1_048_576  # that the replay holds, of all environments together
    prefill: int = 0  # steps before learning begins, of all environments; a window at the least
    num_starts: int = 512  # moments of a batch from which is imagined
    horizon: int = 15  # steps that are imagined
    gamma: float = 0.997  # discount
    lambda_: float = 0.95  # decay of the returns' traces
    learning_rate: float = 1e-4  # step size of LaProp
    warm_up: int = 1000  # gradient steps over which the step size rises
    max_grad_ratio: float = 0.3  # gradients are clipped to this share of their array's norm
    entropy_coefficient: float = 3e-4  # weight of the entropy bonus
    free_nats: float = 0.1  # of latents, a step, that cost nothing; DreamerV3 has 1
    dynamics_coefficient: float = 1.0  # weight of the prior's divergence
    representation_coefficient: float = 0.1  # weight of the posterior's
    replay_value_coefficient: float = 0.3  # weight of the critic's loss on replayed returns
    slow_coefficient: float = 1.0  # weight of staying near the slow critic
    slow_rate: float = 0.02  # how far the slow critic follows in a gradient step
    look: Look = "gated"  # what the policy sees beside the latent: output, hidden, full, gated
    groups: int = 32  # one-hots of a latent
    classes: int = 32  # classes of each
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
        check_shares("r2i.", self, "gamma", "lambda_", "slow_rate")
        weights = ("entropy", "dynamics", "representation", "replay_value", "slow")
        check_not_negative("r2i.", self, *(f"{name}_coefficient" for name in weights))
        check_not_negative("r2i.", self, "free_nats", "warm_up", "prefill")
        if self.classes < 2:
            raise UsageError(f"r2i.classes must be at least 2, not {self.classes}")
        if self.replay_steps % self.num_envs:
            raise UsageError(
                f"r2i.num_envs={self.num_envs} must divide r2i.replay_steps={self.replay_steps}"
            )
        names = ("r2i.num_steps", "r2i.window", "r2i.replay_steps / r2i.num_envs")
        check_sizes(self.num_steps, self.window, self.capacity, names)
        for sizes in ("encoder_sizes", "decoder_sizes", "head_sizes", "policy_sizes"):
            if not all(size > 0 for size in getattr(self, sizes)):
                raise UsageError(f"r2i.{sizes} must be above 0, not {getattr(self, sizes)}")
        self._check_ratio()

    @property
    def capacity(self) -> int:
        """Steps of each environment that the replay holds."""
        return self.replay_steps // self.num_envs

    @property
    def num_descents(self) -> int:
        """Gradient steps in an update."""
        acted, replayed = self.num_envs * self.num_steps, self.batch_size * self.window
        return round(self.train_ratio * acted / replayed)

    @property
    def num_prefilled(self) -> int:
        """Roll-outs before learning begins."""
        wanted = -(-self.prefill // (self.num_envs * self.num_steps))
        return max(wanted, self.window // self.num_steps)

    def _check_ratio(self) -> None:
        acted, replayed = self.num_envs * self.num_steps, self.batch_size * self.window
        nearest = max(self.num_descents, 1) * replayed / acted
        if self.train_ratio != nearest:
            raise UsageError(
                f"r2i.train_ratio={self.train_ratio} makes no whole number of gradient steps of "
                f"{replayed} replayed steps after {acted} acted ones; the nearest is {nearest:g}"
            )


class ActorState(struct.PyTreeNode):
    """Where acting stands; leaves are [B, ...]."""

    env_state: Any
    obs: jax.Array
    start: jax.Array  # obs is the first of an episode
    carry: Carry


class TrainState(struct.PyTreeNode):
    """Everything that is needed to go on."""

    params: Any
    slow: Any  # the slow critic's parameters
    opt_state: Any  # of one vector of all parameters
    unit: RewardUnit
    scale: PercentileScale  # of returns
    replay: Replay
    actor: ActorState
    key: jax.Array
    update: jax.Array


class R2I:
    """The agent: pure functions of a :class:`TrainState`; seeds are ``jax.vmap`` of them."""

    Config = Config

    def __init__(self, experiment: Experiment):
        c: Config = experiment.agent_config
        self.config = c
        self.steps_per_update = c.num_envs * c.num_steps
        self.num_updates = experiment.num_updates(self.steps_per_update)
        self.env = make_environment(experiment.env).with_num(c.num_envs)
        self.parts = self.env.observation_parts
        self.network = make_network(experiment, self.env)
        own = hasattr(self.network.memory, "scan_states")
        self.every = 1 if own else c.num_steps  # steps between the states of a window

    def init(self, key: jax.Array) -> TrainState:
        """Return the state before the first update, the replay prefilled by the first policy."""
        c = self.config
        key, key_params, key_env, key_fill = jax.random.split(key, 4)
        obs, env_state = self.env.reset(key_env)
        start, carry = jnp.ones(c.num_envs, bool), self.initial_memory(c.num_envs)
        packed = pack(self.parts, obs)
        params = self.network.init(key_params, carry, packed, start, key)
        params = jax.tree.map(lambda x: x.astype(jnp.float32), params)
        actor = ActorState(env_state, obs, start, carry)
        rollout = jax.eval_shape(lambda: self.rollout(params, actor, key)[1])
        state = TrainState(
            params=params,
            slow=critic_of(params),
            opt_state=self.optimizer(params).init(ravel_pytree(params)[0]),
            unit=RewardUnit.init(),
            scale=PercentileScale.init(),
            replay=Replay.empty(rollout["kept"], carry, c.capacity),
            actor=actor,
            key=key,
            update=jnp.int32(0),
        )
        keys = jax.random.split(key_fill, c.num_prefilled)
        return jax.lax.scan(lambda s, k: (self._collect(s, k)[0], None), state, keys)[0]

    def initial_memory(self, num_envs: int) -> Carry:
        """Return what environments that have not begun stand at."""
        return self.network.initial_carry((num_envs,))

    def act(
        self, state: Any, carry: Carry, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Carry, jax.Array]:
        """Return what stands after acting, and actions [B]: the likeliest, or drawn with ``key``.

        Latents are drawn in either case.
        """
        return self._act(state.params, carry, pack(self.parts, obs), start, key, greedy, {})

    def collect(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Act, and keep it; return the metrics of episodes that ended."""
        key, key_rollout = jax.random.split(state.key)
        return self._collect(state.replace(key=key), key_rollout)

    def _collect(self, state: TrainState, key: jax.Array) -> tuple[TrainState, Metrics]:
        before = state.actor.carry
        actor, rollout = self.rollout(state.params, state.actor, key)
        replay = state.replay.add(rollout["kept"], before)
        ended = rollout["kept"]["terminated"] | rollout["kept"]["truncated"]
        metrics = {name: Mean.of(x, ended) for name, x in rollout["told"].items()}
        unit = state.unit.update(rollout["kept"]["reward"])
        return state.replace(actor=actor, replay=replay, unit=unit), metrics

    def rollout(
        self, params: Any, actor: ActorState, key: jax.Array
    ) -> tuple[ActorState, dict[str, Any]]:
        """Act ``num_steps`` times; return what replay keeps of it, and what is told of episodes."""
        prepared = self.network.apply(params, method="prepare")

        def step(actor: ActorState, key: jax.Array) -> tuple[ActorState, dict[str, Any]]:
            key_act, key_env = jax.random.split(key)
            packed = pack(self.parts, actor.obs)
            carry, action = self._act(
                params, actor.carry, packed, actor.start, key_act, False, prepared
            )
            obs, env_state, reward, terminated, truncated, info = self.env.step(
                key_env, actor.env_state, action
            )
            kept = {
                "obs": packed,
                "start": actor.start,
                "action": action,
                "reward": reward.astype(jnp.float32),
                "terminated": terminated,
                "truncated": truncated,
            }
            told = {name: info[name] for name in ("episode_return", "episode_length")}
            actor = ActorState(env_state, obs, terminated | truncated, carry)
            return actor, {"kept": kept, "told": told}

        return jax.lax.scan(step, actor, jax.random.split(key, self.config.num_steps))

    def _act(
        self,
        params: Any,
        carry: Carry,
        packed: Any,
        start: jax.Array,
        key: jax.Array,
        greedy: Any,
        prepared: dict[str, Any],
    ) -> tuple[Carry, jax.Array]:
        key_latent, key_action = jax.random.split(key)
        seen = (carry, packed, start, key_latent)
        moment = self.network.apply(params, *seen, method="see", **prepared)
        policy = self.network.apply(params, moment, method="policy")
        action = jnp.where(greedy, policy.mode(), policy.sample(seed=key_action))
        latent = self.network.latents.compact(moment.latent)
        encoded = self.env.encode_actions(action)
        return Carry(moment.memory_state, latent, encoded, start), action

    def learn(self, state: TrainState, metrics: Metrics) -> tuple[TrainState, Metrics]:
        """Take the update's gradient steps, each on windows of its own."""
        key, key_descents = jax.random.split(state.key)
        keys = jax.random.split(key_descents, self.config.num_descents)
        state, told = jax.lax.scan(self.descend, state.replace(key=key), keys)
        told = {name: Mean(m.total.sum(), m.count.sum()) for name, m in told.items()}
        return state.replace(update=state.update + 1), metrics | told

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Act, keep it, learn; return the new state and metrics' sums."""
        return self.learn(*self.collect(state))

    def descend(self, state: TrainState, key: jax.Array) -> tuple[TrainState, Metrics]:
        """Take one gradient step on one batch of windows."""
        c, optimizer = self.config, self.optimizer(state.params)
        key_sample, key_loss = jax.random.split(key)
        window = state.replay.sample(key_sample, c.batch_size, c.window)
        vector, unravel = ravel_pytree(state.params)
        loss = lambda p: self.loss(unravel(p), state, window, key_loss)  # noqa: E731
        (_, (observed, scale, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(vector)
        metrics["grad_norm"] = Mean.of(optax.global_norm(grads))
        metrics["replay_age"] = Mean.of(state.replay.age(window))

        updates, opt_state = optimizer.update(grads, state.opt_state, vector)
        rate = c.learning_rate * warm_up(opt_state[-1].count, c.warm_up)
        params = unravel(vector - rate * updates)
        slow = optax.incremental_update(critic_of(params), state.slow, c.slow_rate)
        action = self.env.encode_actions(window.data["action"])
        carries = carries_after(
            self.network.latents, observed, action, window.data["start"], c.num_steps
        )
        state = state.replace(params=params, slow=slow, opt_state=opt_state, scale=scale)
        return state.replace(replay=state.replay.refresh(window, carries)), metrics

    def loss(
        self, params: Any, state: TrainState, window: Window, key: jax.Array
    ) -> tuple[jax.Array, tuple[Observed, PercentileScale, Metrics]]:
        """Return the loss of a batch of windows, what was observed, and what went into it."""
        c, d, apply = self.config, window.data, self.network.apply
        key_observe, key_starts, key_imagine = jax.random.split(key, 3)
        action = self.env.encode_actions(d["action"])
        seen = (window.carry, d["obs"], action, d["start"], key_observe, self.every)
        _, observed = apply(params, *seen, method="observe")
        ends = state.unit(d["reward"]), d["terminated"]
        model = apply(
            params, observed, d["obs"], action, *ends, c.free_nats, method="losses"
        )
        first = starts(observed, d["start"], self.every, c.num_starts, key_starts)
        scale, behaviour = self.behaviour_losses(params, state, first, key_imagine)
        replay_value = self.replay_value_loss(params, state, observed, d)
        loss = (
            model["observation"].mean()
            + c.dynamics_coefficient * model["dynamics"].mean()
            + c.representation_coefficient * model["representation"].mean()
            + model["reward"].mean()
            + model["continuation"].mean()
            + behaviour["policy_loss"].mean()
            + behaviour["value_loss"].mean()
            + c.replay_value_coefficient * replay_value.mean()
        )
        parts = {f"model_{name}_loss": part for name, part in model.items()}
        parts |= {"loss": loss, "replay_value_loss": replay_value, **behaviour}
        metrics = {name: Mean.of(part) for name, part in parts.items()}
        return loss, (observed, scale, metrics)

    def behaviour_losses(
        self, params: Any, state: TrainState, first: Moment, key: jax.Array
    ) -> tuple[PercentileScale, dict[str, jax.Array]]:
        """Imagine from moments [K], and return what actor and critic lose there, [H, K]."""
        c, apply = self.config, self.network.apply
        frozen = jax.lax.stop_gradient(params)
        moments, actions, encoded = self.imagine(frozen, first, jax.random.split(key, c.horizon))
        before = jax.tree.map(lambda x: x[:-1], moments)
        reward, goes_on = apply(frozen, before, encoded, method="expect")
        discount = c.gamma * goes_on
        logits = apply(params, moments, method="value")
        values = jax.lax.stop_gradient(self.network.bins.mean(logits))
        returns = lambda_returns(reward, discount, values[1:], c.lambda_)
        scale = state.scale.update(returns)
        # How likely it is that the dream goes on to here.
        weight = jnp.cumprod(jnp.concatenate([jnp.ones_like(discount[:1]), discount[:-1]]), axis=0)

        policy = apply(params, before, method="policy")
        advantage, entropy = scale(returns - values[:-1]), policy.entropy()
        gain = advantage * policy.log_prob(actions) + c.entropy_coefficient * entropy
        value_loss = self.value_loss(state, before, logits[:-1], returns)
        return scale, {
            "policy_loss": -weight * gain,
            "value_loss": weight * value_loss,
            "entropy": entropy,
            "imagined_return": returns[0],
            "imagined_reward": reward,
        }

    def imagine(
        self, params: Any, first: Moment, keys: jax.Array
    ) -> tuple[Moment, jax.Array, jax.Array]:
        """Return moments [H + 1, K], and actions [H, K] as drawn and encoded."""
        apply = self.network.apply
        prepared = apply(params, method="prepare")

        def act(moment: Moment, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            action = apply(params, moment, method="policy").sample(seed=key)
            return action, self.env.encode_actions(action)

        def lead(moment: Moment, action: jax.Array, key: jax.Array) -> Moment:
            return apply(params, moment, action, key, method="imagine", **prepared)

        return imagine(lead, act, first, keys)

    def value_loss(
        self, state: TrainState, moments: Moment, logits: jax.Array, target: jax.Array
    ) -> jax.Array:
        """Return the critic's loss, and that of straying from the slow critic, [...]."""
        bins = self.network.bins
        slow = self.network.apply(with_critic(state.params, state.slow), moments, method="value")
        strays = bins.loss(logits, bins.mean(slow))
        return bins.loss(logits, target) + self.config.slow_coefficient * strays

    def replay_value_loss(
        self, params: Any, state: TrainState, observed: Observed, d: dict[str, Any]
    ) -> jax.Array:
        """Return the critic's loss on the returns of the windows themselves, [T - 1, B].

        Nothing is learnt of the values where a time limit cut an episode off: what would have come
        is not known.
        """
        c, bins = self.config, self.network.bins
        if self.every > 1 and c.look != "output":  # there are no states in between
            return jnp.zeros(())
        states = observed.states if self.every == 1 else ()
        moments = Moment(states, observed.y, observed.latent, d["start"])
        logits = self.network.apply(params, moments, method="value")
        value = jax.lax.stop_gradient(bins.mean(logits))
        cut = d["truncated"][:-1]
        reward = jnp.where(cut, value[:-1], state.unit(d["reward"][:-1]))
        discount = jnp.where(cut | d["terminated"][:-1], 0.0, c.gamma)
        returns = lambda_returns(reward, discount, value[1:], c.lambda_)
        before = jax.tree.map(lambda x: x[:-1], moments)
        loss = self.value_loss(state, before, logits[:-1], returns)
        return jnp.where(cut, 0.0, loss)

    def optimizer(self, params: Any) -> optax.GradientTransformation:
        """Return LaProp on the vector of all parameters; step sizes are applied apart."""
        return clipped_laprop(ravel_pytree(params)[1], self.config.max_grad_ratio)

    def learnt(self, state: TrainState) -> Any:
        """Return what has to stay finite."""
        return state.params, state.slow, state.scale

    def describe_minibatches(self) -> str:
        """Return what a gradient step sees, in words."""
        c = self.config
        seen = f"{c.batch_size} windows of {c.window} steps, {c.num_starts} dreams of {c.horizon}"
        return f"{seen}, {c.num_descents} of them in an update"


def make_network(experiment: Experiment, env: Any) -> ImaginingActorCritic:
    """Return world model, actor and critic by the section r2i; only spaces of ``env`` are needed."""
    c: Config = experiment.agent_config
    remembering = memory.make(**vars(experiment.memory))
    check_look(remembering, c.look)
    return ImaginingActorCritic(
        memory=remembering,
        parts=env.observation_parts,
        action_size=env.encoded_action_size,
        action_head=action_head(env.action_space),
        latents=Latents(c.groups, c.classes),
        look=c.look,
        units=c.units,
        encoder_sizes=c.encoder_sizes,
        decoder_sizes=c.decoder_sizes,
        head_sizes=c.head_sizes,
        policy_sizes=c.policy_sizes,
        dtype=jnp.dtype(c.compute_dtype),
    )


def starts(
    observed: Observed, start_TxB: jax.Array, every: int, count: int, key: jax.Array
) -> Moment:
    """Return ``count`` of the moments observed, without a gradient, drawn with replacement."""
    num_rows, batch = len(observed.y) // every, observed.y.shape[1]
    row, column = jnp.divmod(jax.random.randint(key, (count,), 0, num_rows * batch), batch)
    step = (row + 1) * every - 1
    moment = Moment(
        jax.tree.map(lambda x: x[row, column], observed.states),
        observed.y[step, column],
        observed.latent[step, column],
        start_TxB[step, column],
    )
    return jax.lax.stop_gradient(moment)


def critic_of(params: Any) -> Any:
    """Return the critic's parameters among those of the network."""
    return {name: params["params"][name] for name in CRITIC}


def with_critic(params: Any, critic: Any) -> Any:
    """Return the network's parameters with another critic's."""
    return {"params": {**params["params"], **critic}}


if __name__ == "__main__":
    import sys

    from agents.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
