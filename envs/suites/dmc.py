"""The DeepMind Control Suite as in MuJoCo Playground: ``dmc/CartpoleSwingup``."""

from typing import Any

from envs.suites.base import check_id, load, refusals
from envs.suites.physics import PhysicsEnvironment
from ssmrl.errors import UsageError

PREFIX = "dmc/"
PACKAGE = "mujoco_playground"
IMPLEMENTATIONS = ("jax", "warp")
IDS = (
    "AcrobotSwingup",
    "AcrobotSwingupSparse",
    "BallInCup",
    "CartpoleBalance",
    "CartpoleBalanceSparse",
    "CartpoleSwingup",
    "CartpoleSwingupSparse",
    "CheetahRun",
    "FingerSpin",
    "FingerTurnEasy",
    "FingerTurnHard",
    "FishSwim",
    "HopperHop",
    "HopperStand",
    "HumanoidRun",
    "HumanoidStand",
    "HumanoidWalk",
    "PendulumSwingup",
    "PointMass",
    "ReacherEasy",
    "ReacherHard",
    "SwimmerSwimmer6",
    "WalkerRun",
    "WalkerStand",
    "WalkerWalk",
)


class ControlSuite(PhysicsEnvironment):
    """One task of the suite; ``PhysicsEnvironment`` says what is observed and paid.

    Rewards lie between 0 and 1, and nothing terminates but a simulation that diverged.

    Args:
        env_id: MuJoCo Playground's name, "CartpoleSwingup".
        impl: what simulates: "jax" runs anywhere; "warp", the package's own default, on NVIDIA.
        episode_length: frames until truncation, the default of the parameter.
        action_repeat: frames per step.
        **config: entries of the task's configuration, such as ``ctrl_dt``.

    Raises ``UsageError`` where the package is missing, and for unknown names and entries.
    """

    def __init__(
        self,
        env_id: str,
        /,
        *,
        impl: str = "jax",
        episode_length: int = 1000,
        action_repeat: int = 1,
        **config: Any,
    ):
        name = f"{PREFIX}{env_id}"
        if impl not in IMPLEMENTATIONS:
            known = " or ".join(IMPLEMENTATIONS)
            raise UsageError(f"environment {name!r}: impl must be {known}, not {impl!r}")
        suite = load("mujoco_playground", name, "ssmrl[dmc]").dm_control_suite
        check_id(PREFIX, env_id, suite.ALL_ENVS)
        configuration = suite.get_default_config(env_id)
        with refusals(name):
            configuration.update_from_flattened_dict({**config, "impl": impl})
            env = suite.load(env_id, config=configuration)
        super().__init__(name, env, episode_length, action_repeat)
