"""Options of the world-model agent that do not fit: after a tiny run's, and what to name."""

import jax.numpy as jnp
from bad.harness import Case
from probes import Continuous
from tiny_agents import TINY_R2I

from envs.spaces import Box

TINY = [
    "train", "--agent", "r2i", "--memory.name", "gru", "--memory.features", "8", *TINY_R2I,
    "--env.name", "probes:Cue", "--total-steps", "640",
]  # fmt: skip

# Sizes there: 4 environments x 4 steps, windows of 8 steps, a ring of 16 steps of each.
REFUSED = {
    "--r2i.window 32": "window=32 is longer than the replay.*16 steps",
    "--r2i.window 6": "window=6 .*num_steps=4.* 4 and 8",
    "--r2i.window 2": "window=2 .*nearest that is: 4",
    "--r2i.window 0": "window.*0",
    "--r2i.window 1 --r2i.num-steps 1": r"r2i\.window must lie in 2\..*not 1",
    "--r2i.num-steps 3": r"replay_steps=64 .*num_envs x r2i\.num_steps=12.* 60 and 72",
    "--r2i.num-steps 0": "num_steps.*0",
    "--r2i.num-envs 0": "num_envs.*0",
    "--r2i.replay-steps 65": r"replay_steps=65 .*num_envs x r2i\.num_steps=16.* 64 and 80",
    "--r2i.replay-steps 72": "replay_steps=72 .*=16.* 64 and 80",
    "--r2i.replay-steps 3": "replay_steps=3 .*nearest that is: 16",
    "--r2i.replay-steps 16": "window=8 is longer.*4 steps",
    "--r2i.replay-steps 0": "replay_steps.*0",
    "--r2i.replay-steps 1e13": "replay_steps.*'1e13'",
    "--r2i.replay-steps 160_000_000_0": r"\d GiB of memory \(replay alone.*lower.*r2i.replay_steps",
    "--r2i.replay-steps 1_600_000 --num-seeds 10_000": r"replay alone.*num_seeds, r2i.replay_steps",
    "--r2i.train-ratio 1.3": r"train_ratio=1\.3 makes 1\.3 .*nearest is 1$",
    "--r2i.train-ratio 1.6": r"train_ratio=1\.6 .*nearest is 2$",
    "--r2i.train-ratio 0.1": r"train_ratio=0\.1 makes 0\.1 .*nearest is 1$",
    "--r2i.train-ratio 0.9999": r"train_ratio=0\.9999 .*nearest is 1$",
    "--r2i.train-ratio 1e-30": "train_ratio=1e-30 .*nearest is 1$",
    "--r2i.train-ratio 1e30": r"train_ratio=1e\+30 .*at most 1000000; the nearest is 1e\+06",
    "--r2i.train-ratio 0": "train_ratio.*0",
    "--r2i.train-ratio nan": "train_ratio.*'nan'",
    "--r2i.num-envs 3 --r2i.replay-steps 60": r"train_ratio=1 makes 0\.75 .*nearest is 1\.33333$",
    "--r2i.num-envs 20 --r2i.replay-steps 1600 --r2i.train-ratio 0.1": r"=0\.1 .*is 0\.2$",
    "--r2i.batch-size 0": "batch_size.*0",
    "--r2i.batch-size 2e9 --r2i.train-ratio 1e9": "batch_size x r2i.window .*16000000000",
    "--r2i.prefill -1": "prefill.*-1",
    "--r2i.prefill 80": "prefill=80 .*replay_steps=64",
    "--r2i.prefill 64 --total-steps 64": "total_steps=64 .*after 64 steps .*prefill.* 80 or more",
    "--total-steps 40": "total_steps=40 .*after 32 steps .*window.* 48 or more",
    "--r2i.checkpoint-replay maybe": "checkpoint_replay.*'maybe'",
    "--r2i.num-starts 0": "num_starts.*0",
    "--r2i.horizon 0": "horizon.*0",
    "--r2i.horizon 2147483647 --r2i.num-starts 2147483647": "num_starts x r2i.horizon .*46116860",
    "--r2i.classes 1": "classes.*1",
    "--r2i.groups 0": "groups.*0",
    "--r2i.groups 1e6 --r2i.classes 1e6": "r2i.groups x r2i.classes .*1000000000000",
    "--r2i.groups 1e4 --r2i.classes 1e4": "GiB of memory",
    "--r2i.free-nats -0.1": r"free_nats.*-0\.1",
    "--r2i.free-nats inf": "free_nats.*'inf'",
    "--r2i.free-nats nan": "free_nats.*'nan'",
    "--r2i.units 0": "units.*0",
    "--r2i.encoder-sizes 0": "encoder_sizes.*0",
    "--r2i.decoder-sizes 8,0": "decoder_sizes.*8, 0",
    "--r2i.head-sizes 0": "head_sizes.*0",
    "--r2i.head-sizes []": "head_sizes.*empty",
    "--r2i.policy-sizes -8": "policy_sizes.*-8",
    "--r2i.policy-sizes []": "policy_sizes.*empty",
    "--r2i.gamma 1.5": r"gamma.*1\.5",
    "--r2i.slow-rate 2": "slow_rate.*2",
    "--r2i.unimix -0.1": "unimix.*-0.1",
    "--r2i.unimix 1": "unimix.*below 1",
    "--r2i.entropy-coefficient -1": "entropy_coefficient.*-1",
    "--r2i.warm-up -1": "warm_up.*-1",
    "--r2i.look state": "look.*'state'",
    "--memory.name transformer": "'transformer' has no state.*r2i.look=output",
    "--memory.name transformer --r2i.look full": "'transformer' has no state.*r2i.look=output",
    "--memory.name mlp --r2i.look hidden": "'mlp' has no state.*r2i.look=output",
    "--memory.name bad.memories:No_scan": "has no scan",
    "--memory.name bad.memories:No_step": "has no step",
    "--memory.name bad.memories:No_initial_state": "has no initial_state",
    "--memory.name bad.memories:SetupRaises": r"ValueError: my setup.*memories\.py:\d+",
    "--memory.name bad.memories:ReturnsOutputAlone": r"must return \(state, y\)",
    "--memory.name bad.memories:OutputWide": r"\[\d+,16\].*must be float\[\d+,8\]",
    "--memory.name bad.memories:StateGrows": r"float32\[\d+,16\]",
    "--sweep r2i.horizon=2,3": "'r2i' has no hyperparameters",
}
CASES = {options: Case([*TINY, *options.split()], words) for options, words in REFUSED.items()}


class Unbounded(Continuous):
    """Takes any two numbers."""

    def action_space(self, params=None):
        return Box(-jnp.inf, jnp.inf, (2,))


class HalfBounded(Continuous):
    """Takes two numbers of which one has a lower bound."""

    def action_space(self, params=None):
        return Box(jnp.array([-jnp.inf, -1.0]), jnp.array([jnp.inf, jnp.inf]), (2,))


# What looks odd and fits.
SOUND = (
    "--env.name bad.world_models:Unbounded --r2i.window 16 --r2i.train-ratio 2 --r2i.prefill 48 "
    "--total-steps 80",
    "--env.name bad.world_models:HalfBounded --memory.name bad.sound:SoundMemory --r2i.groups 1 "
    "--r2i.classes 2 --r2i.free-nats 0",
    "--memory.name transformer --r2i.look output --r2i.encoder-sizes [] --r2i.decoder-sizes [] "
    "--r2i.num-envs 3 --r2i.replay-steps 60 --r2i.train-ratio 1.33333",
)
