"""Time popjaxrl, the code of Lu et al. 2023, in a process of its own.

    python -m benchmarks.peer CHECKOUT s5|gru [--small]

Its modules are run as they are; what is put in their place is what they expect of libraries of
2023: gymnax with five values of ``step``, names that ``gymnax.wrappers.purerl`` used to import,
``jax.numpy.DeviceArray``, flax's GRU without its size, and wandb, imported and not needed.
"""

import argparse
import json
import os
import subprocess
import sys
import types
import typing
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

ENV = "RepeatPreviousEasy"
PUBLISHED: dict[str, Any] = {
    "LR": 5e-5, "NUM_ENVS": 64, "NUM_STEPS": 1024, "UPDATE_EPOCHS": 30, "NUM_MINIBATCHES": 8,
    "GAMMA": 0.99, "GAE_LAMBDA": 1.0, "CLIP_EPS": 0.2, "ENT_COEF": 0.0, "VF_COEF": 1.0,
    "MAX_GRAD_NORM": 0.5, "ANNEAL_LR": False, "DEBUG": False, "S5_D_MODEL": 256,
    "S5_SSM_SIZE": 256, "S5_N_LAYERS": 4, "S5_BLOCKS": 1, "S5_ACTIVATION": "full_glu",
    "S5_DO_NORM": False, "S5_PRENORM": False, "S5_DO_GTRXL_NORM": False,
}  # fmt: skip
SMALL: dict[str, Any] = {
    "NUM_ENVS": 8, "NUM_STEPS": 16, "UPDATE_EPOCHS": 2, "NUM_MINIBATCHES": 2, "S5_D_MODEL": 256,
    "S5_SSM_SIZE": 16, "S5_N_LAYERS": 1,
}  # fmt: skip
RUNS = {"s5": (2, 5), "gru": (1, 3)}  # updates timed at once, and how often


@dataclass(frozen=True)
class Peer:
    """Seconds of an update, its sizes, and seconds of compiling."""

    median: float
    low: float
    high: float
    compile_seconds: float
    steps: int  # of an update
    num_envs: int
    num_steps: int
    num_epochs: int
    num_minibatches: int


def run_peer(checkout: Path, memory: str, small: bool) -> Peer:
    """Time the peer in a fresh process; this one has to leave the device idle meanwhile."""
    command = [sys.executable, "-m", "benchmarks.peer", str(checkout), memory]
    command += ["--small"] * small
    # This process holds most of a GPU's memory: take what is needed of the rest.
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    return Peer(**json.loads(output.splitlines()[-1]))


def time_peer(checkout: Path, memory: str, small: bool) -> Peer:
    """Time none and several updates; the difference is free of what comes before the first."""
    stand_in_for_2023()
    sys.path.insert(0, str(checkout))
    config = {**PUBLISHED, **(SMALL if small else {})}
    updates, repeats = RUNS[memory]
    before, _ = _timed(memory, config, 0, repeats)
    whole, compile_seconds = _timed(memory, config, updates, repeats)
    start = sorted(before)[repeats // 2]
    times = sorted((seconds - start) / updates for seconds in whole)
    return Peer(
        median=times[repeats // 2],
        low=times[0],
        high=times[-1],
        compile_seconds=compile_seconds,
        steps=config["NUM_ENVS"] * config["NUM_STEPS"],
        num_envs=config["NUM_ENVS"],
        num_steps=config["NUM_STEPS"],
        num_epochs=config["UPDATE_EPOCHS"],
        num_minibatches=config["NUM_MINIBATCHES"],
    )


def _timed(
    memory: str, config: dict[str, Any], updates: int, repeats: int
) -> tuple[list[float], float]:
    """Return the seconds of training runs of some updates, and of compiling them."""
    import jax

    from benchmarks.timing import seconds_of

    env, params = import_module("envs").make(ENV)  # the peer's, which stands first on the path
    env = import_module("envs.wrappers").AliasPrevActionV2(env)
    make_train = import_module(f"algorithms.ppo_{memory}").make_train
    steps = updates * config["NUM_ENVS"] * config["NUM_STEPS"]
    own = {"ENV": env, "ENV_PARAMS": params, "TOTAL_TIMESTEPS": steps}
    lowered = jax.jit(make_train({**config, **own}))
    compiled: list[Any] = []
    key = jax.random.PRNGKey(0)
    compile_seconds = seconds_of(lambda: compiled.append(lowered.lower(key).compile()))
    seconds_of(compiled[0], key)
    return [seconds_of(compiled[0], key) for _ in range(repeats)], compile_seconds


def stand_in_for_2023() -> None:
    """Give the libraries what the peer expects of them."""
    import chex
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    from gymnax.environments import environment, spaces
    from gymnax.wrappers import purerl

    def step(self: Any, key: jax.Array, state: Any, action: Any, params: Any = None) -> tuple:
        params = self.default_params if params is None else params
        key_step, key_reset = jax.random.split(key)
        obs, state, reward, ended, info = self.step_env(key_step, state, action, params)
        fresh = self.reset_env(key_reset, params)
        obs, state = jax.tree.map(partial(jnp.where, ended), fresh, (obs, state))
        return obs, state, reward, ended, info

    environment.Environment.step = step
    names = {"environment": environment, "spaces": spaces, "chex": chex, "partial": partial}
    names |= {name: getattr(typing, name) for name in ("Optional", "Tuple", "Union")}
    for name, value in names.items():
        setattr(purerl, name, value)
    jnp.DeviceArray = jax.Array  # type: ignore[attr-defined]
    cell = nn.GRUCell

    class GRUCell(nn.Module):
        @nn.compact
        def __call__(self, carry: Any, inputs: Any) -> Any:
            return cell(features=carry.shape[-1])(carry, inputs)

        @staticmethod
        def initialize_carry(key: Any, batch: tuple[int, ...], size: int) -> Any:
            return jnp.zeros((*batch, size))

    nn.GRUCell = GRUCell  # type: ignore[misc, assignment]
    sys.modules["wandb"] = types.ModuleType("wandb")


def main() -> int:
    """Print the timing as the last line."""
    parser = argparse.ArgumentParser(description="Time popjaxrl.")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("memory", choices=RUNS)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    print(json.dumps(asdict(time_peer(options.checkout, options.memory, options.small))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
