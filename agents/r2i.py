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
window in the middle of an episode begins with true context, of a model not much older (as released,
Recall to Imagine begins from nothing: ``r2i.stored_states=False``).
Run it with ``ssmrl train r2i/quickstart`` or ``python -m agents.r2i``.
"""

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from flax import struct

from agents.experiment import Experiment
from agents.parts import make_environment
from agents.r2i_config import Config, make_policy
from ssmrl.rl.descent import clipped_laprop, warm_up
from ssmrl.rl.normalise import PercentileScale, RewardUnit
from ssmrl.rl.rollout import ActorState
from ssmrl.rl.rows import Rows
from ssmrl.train.metrics import Mean, Metrics
from ssmrl.world_model.behaviour import behaviour_losses, critic_of, replay_value, starts
from ssmrl.world_model.moments import Carry, carry_after, every_nth, with_states
from ssmrl.world_model.replay import Replay, Window


class TrainState(struct.PyTreeNode):
    """Everything that is needed to go on."""

    params: Any
    slow: Any  # the slow critic's
    opt_state: Any  # of all parameters as rows
    unit: RewardUnit
    scale: PercentileScale  # of returns
    replay: Any  # a Replay; None where it is left out
    actor: ActorState  # with a Carry as its memory state
    key: jax.Array
    update: jax.Array


class R2I:
    """The agent: pure functions of a :class:`TrainState`; seeds are ``jax.vmap`` of them."""

    Config = Config
    make_policy = staticmethod(make_policy)
    # With matrix products by Triton an update of r2i/fast took 22 ms instead of 26 on an H200, and
    # 94 s to compile instead of 26 (on six cores), for each of many products is tried in many ways.
    gpu_options: ClassVar = {"xla_gpu_enable_triton_gemm": False}

    def __init__(self, experiment: Experiment):
        c: Config = experiment.agent_config
        self.config = c
        self.steps_per_update = c.steps_per_update
        self.num_updates = experiment.num_updates(self.steps_per_update)
        c.check_total(experiment.total_steps)
        self.saves_all = c.checkpoint_replay
        self.env = make_environment(experiment.env).with_num(c.num_envs)
        self.policy = self.make_policy(experiment, self.env)
        self.network: Any = self.policy.network
        # Steps between the memory's states in a window.
        self.every = 1 if hasattr(self.network.memory, "scan_states") else c.num_steps

    def init(self, key: jax.Array) -> TrainState:
        """Return the state before the first update, the replay prefilled by the first policy."""
        c = self.config
        key, key_params, key_env, key_fill = jax.random.split(key, 4)
        actor = self.policy.begin(self.env, key_env)
        params = self.policy.init(key_params, actor).params
        state = TrainState(
            params=params,
            slow=critic_of(params),
            opt_state=self.optimizer(params).init(Rows.of(params).pack(params)),
            unit=RewardUnit.init(),
            scale=PercentileScale.init(),
            replay=None,
            actor=actor,
            key=key,
            update=jnp.int32(c.num_prefilled),
        )
        return self.fill(state, key_fill)

    def fill(self, state: TrainState, key: jax.Array) -> TrainState:
        """Put into an empty replay what is acted before learning can begin."""
        c = self.config
        keys = jax.random.split(key, (c.num_prefilled, c.num_steps))
        rollout = partial(self.policy.rollout, env=self.env)
        steps = jax.eval_shape(rollout, state.params, actor=state.actor, keys=keys[0])[1]
        state = state.replace(replay=Replay.empty(steps, state.actor.memory_state, c.capacity))
        return jax.lax.scan(lambda s, k: (self.gather(s, k)[0], None), state, keys)[0]

    def lean(self, state: TrainState) -> TrainState:
        """Return the state without its replay."""
        return state.replace(replay=None)

    def refill(self, state: TrainState) -> TrainState:
        """Return the state with a replay of what is acted now, as before the first update."""
        key, key_fill = jax.random.split(state.key)
        return self.fill(state.replace(key=key), key_fill)

    def lost(self, update: int) -> str:
        """Return in words what is lost with a replay after so many updates."""
        c, each = self.config, self.steps_per_update
        steps = f"up to {min(update * each, c.replay_steps):,} steps are lost"
        return f"the replay: {steps}, {c.num_prefilled * each:,} acted anew and counted nowhere"

    def initial_memory(self, num_envs: int) -> Carry:
        """Return what environments that have not begun stand at."""
        return self.policy.initial_memory(num_envs)

    def act(
        self, state: Any, carry: Carry, obs: Any, start: Any, key: Any, greedy: Any
    ) -> tuple[Carry, jax.Array]:
        """Return what stands after acting, and actions [B]; see ``ModelPolicy.act``."""
        return self.policy.act(state, carry, obs, start, key, greedy)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Act, keep it, learn; return the new state and metrics' sums."""
        return self.learn(*self.collect(state))

    def collect(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Act, and keep it; return the metrics of episodes that ended."""
        key, key_rollout = jax.random.split(state.key)
        keys = jax.random.split(key_rollout, self.config.num_steps)
        return self.gather(state.replace(key=key), keys)

    def gather(self, state: TrainState, keys: jax.Array) -> tuple[TrainState, Metrics]:
        """Act once per key; see ``collect``."""
        before = state.actor.memory_state
        actor, steps, totals = self.policy.rollout(state.params, self.env, state.actor, keys)
        metrics = {name: Mean.of(x, steps.ended) for name, x in totals.items()}
        replay, unit = state.replay.add(steps, before), state.unit.update(steps.reward)
        return state.replace(actor=actor, replay=replay, unit=unit), metrics

    def learn(self, state: TrainState, metrics: Metrics) -> tuple[TrainState, Metrics]:
        """Take the update's gradient steps, each on windows of its own."""
        key, key_descents = jax.random.split(state.key)
        keys = jax.random.split(key_descents, self.config.num_descents)
        state, told = jax.lax.scan(self.descend, state.replace(key=key), keys)
        told = {name: Mean(m.total.sum(), m.count.sum()) for name, m in told.items()}
        return state.replace(update=state.update + 1), metrics | told

    def descend(self, state: TrainState, key: jax.Array) -> tuple[TrainState, Metrics]:
        """Take one gradient step on one batch of windows."""
        c, optimizer = self.config, self.optimizer(state.params)
        key_sample, key_loss = jax.random.split(key)
        window = state.replay.sample(key_sample, c.batch_size, c.window)
        rows = Rows.of(state.params)
        packed = rows.pack(state.params)
        loss = lambda p: self.loss(rows.unpack(p), state, window, key_loss)  # noqa: E731
        (_, (carries, scale, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(packed)
        # Made once: XLA would gather the arrays again in each kernel that reads them.
        grads = jax.lax.optimization_barrier(grads)
        metrics["grad_norm"] = Mean.of(optax.global_norm(grads))
        metrics["replay_age"] = Mean.of(state.replay.age(window))

        updates, opt_state = optimizer.update(grads, state.opt_state, packed)
        rate = c.learning_rate * warm_up(state.opt_state[-1].count, c.warm_up)
        if c.anneal_learning_rate:
            rate *= self._left(state)
        params = rows.unpack(packed - rate * updates)
        slow = optax.incremental_update(critic_of(params), state.slow, c.slow_rate)
        state = state.replace(params=params, slow=slow, opt_state=opt_state, scale=scale)
        return state.replace(replay=state.replay.refresh(window, carries)), metrics

    def loss(
        self, params: Any, state: TrainState, window: Window, key: jax.Array
    ) -> tuple[jax.Array, tuple[Carry, PercentileScale, Metrics]]:
        """Return the loss of a batch of windows, carries within them, and what went into it."""
        c, d, network = self.config, window.data, self.network
        key_observe, key_starts, key_imagine = jax.random.split(key, 3)
        action, reward = self.policy.encode(d.action), state.unit(d.reward)
        carry = window.carry if c.stored_states else self.initial_memory(c.batch_size)
        seen = (carry, d.obs, action, d.start, key_observe, self.every)
        _, observed = network.apply(params, *seen, method="observe")
        happened = (d.obs, action, reward, d.return_ends, d.ended)
        model = network.apply(params, observed, *happened, c.free_nats, method="losses")

        moments = with_states(observed.moments, self.every)
        first = starts(moments, c.num_starts, key_starts)
        keys = jax.random.split(key_imagine, c.horizon)
        imagined = self.policy.imagine(jax.lax.stop_gradient(params), first, keys)
        critics, returns = (network, params, state.slow), (c.gamma, c.lambda_)
        # Until the model knows what pays, the actor has to stay undecided.
        bonus = jnp.minimum(2 * self._left(state), 1.0) if c.anneal_entropy else 1.0
        entropy = c.entropy_coefficient * bonus
        scale, behaviour = behaviour_losses(
            *critics, state.scale, imagined, *returns, entropy, c.slow_coefficient
        )
        replay_value_loss = replayed_return = jnp.zeros(())
        if self.every == 1 or network.look == "output":  # else states to look at are not known
            ends = (reward, d.return_ends, d.truncated)
            replay_value_loss, replayed_return = replay_value(
                *critics, observed.moments, *ends, *returns, c.slow_coefficient
            )
        loss = (
            model["observation"].mean()
            + c.dynamics_coefficient * model["dynamics"].mean()
            + c.representation_coefficient * model["representation"].mean()
            + model["reward"].mean()
            + model["continuation"].mean()
            + behaviour["policy_loss"].mean()
            + behaviour["value_loss"].mean()
            + c.replay_value_coefficient * replay_value_loss.mean()
        )
        parts = {f"model_{name}_loss": part for name, part in model.items()}
        parts |= {"loss": loss, "replay_value_loss": replay_value_loss, **behaviour}
        parts |= {"replayed_return": replayed_return, "replayed_reward": d.reward}
        for name in ("imagined_return", "imagined_reward", "replayed_return"):
            parts[name] *= state.unit.size  # as the environment pays
        last = every_nth(moments, c.num_steps // self.every)  # of each piece
        carries = carry_after(network.latents, last, every_nth(action, c.num_steps))
        return loss, (carries, scale, {name: Mean.of(part) for name, part in parts.items()})

    def optimizer(self, params: Any) -> optax.GradientTransformation:
        """Return LaProp on parameters as rows; step sizes are applied apart."""
        return clipped_laprop(Rows.of(params), self.config.max_grad_ratio, eps=1e-15)

    def _left(self, state: TrainState) -> jax.Array:
        """Return the share of the run that is still to come, which what is annealed goes by."""
        return 1.0 - state.update / self.num_updates

    def learnt(self, state: TrainState) -> Any:
        """Return what has to stay finite."""
        newest = () if state.replay is None else state.replay.newest()
        return state.params, state.slow, state.scale, state.unit, newest

    def describe_minibatches(self) -> str:
        """Return what a gradient step sees, in words."""
        c = self.config
        seen = f"{c.batch_size} windows of {c.window} steps, {c.num_starts} dreams of {c.horizon}"
        begin = f"from update {c.num_prefilled + 1} on"
        return f"{seen}, {c.num_descents} of them in an update {begin}"


if __name__ == "__main__":
    import sys

    from agents.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
