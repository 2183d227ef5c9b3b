"""What classical players get in the bandits of ``meta/``, for agents to be held against.

    python -m benchmarks.bandit_players

Writes bandit-players.json and bandit-players.md.
"""

import math
import sys
from collections.abc import Sequence

import jax
import numpy as np

import envs
from benchmarks.report import RESULTS, arguments, device_facts, new_table
from envs.meta.bandit_players import play, random_player, thompson, ucb1

BANDITS = {
    "BernoulliBandit": {},
    "GaussianBandit": {},
    "FixedArmBandit, 0.5": {"fixed_mean": 0.5},
    "FixedArmBandit, 0": {"fixed_mean": 0.0},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Play every bandit with every player, and write the table as it grows."""
    parser = arguments("Play bandits with Thompson sampling, UCB1 and at random.")
    parser.add_argument("--trials", type=int, default=20_000, help="of each bandit and player")
    options = parser.parse_args(argv)
    options.out = options.out or RESULTS  # the same on every device
    table = new_table(options, device_facts(), "bandit-players", {"trials": options.trials})
    for title, params in BANDITS.items():
        env, _ = envs.make(f"meta/{title.partition(',')[0]}", **params)
        players = {"Thompson": thompson(env), "UCB1": ucb1(1, 1, 0), "random": random_player}
        for name, player in players.items():
            rewards, regrets = play(env, player, jax.random.key(0), options.trials)
            told = {"return": rewards, "regret": regrets}
            row: dict[str, object] = {"bandit": title, "player": name, "pulls": rewards.shape[1]}
            for what, values in told.items():
                totals = np.asarray(values, np.float64).sum(axis=1)
                row[what] = float(totals.mean())
                row[f"{what} s.e."] = float(totals.std(ddof=1)) / math.sqrt(len(totals))
            table.add(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
