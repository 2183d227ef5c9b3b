"""Hold the returns of a random policy against those in the popgym package, id by id.

    python -m benchmarks.random_policy --popgym   # walks popgym itself, an hour of one core
    python -m benchmarks.random_policy            # ours, and the comparison

Writes popgym-random.json (what popgym gave), random-policy.json and random-policy.md.
"""

import argparse
import importlib.metadata
import json
import math
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import envs
from benchmarks.report import RESULTS, Row, arguments, device_facts, new_table, write
from envs.vector import VectorEnv
from envs.wrappers import EpisodeStatistics
from ssmrl.report.evaluation import Episodes, run_episodes

EPISODES = 10_000
THEIRS = "popgym-random"


def main(argv: Sequence[str] | None = None) -> int:
    """Write popgym's figures, or compare with them."""
    parser = arguments("Compare random policies with popgym's.")
    parser.add_argument("--popgym", action="store_true", help="walk popgym, and write its figures")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="of each id")
    parser.add_argument("--only", nargs="+", metavar="ID", help="such as RepeatFirstEasy")
    options = parser.parse_args(argv)
    options.out = folder = options.out or RESULTS  # the same on every device
    if options.popgym:
        walk_popgym(folder, options)
        return 0
    theirs = {row["id"]: row for row in read(folder / f"{THEIRS}.json")}
    names = options.only or list(theirs)
    settings = {"episodes": options.episodes}
    table = new_table(options, device_facts(), "random-policy", settings)
    for name in names:
        table.add(compare(name, ours(name, options.episodes), theirs[name]))
    return 0


def read(path: Path) -> list[Row]:
    """Return the rows of a table that was written, or none where there is no such file."""
    return json.loads(path.read_text())["rows"] if path.exists() else []


def walk_popgym(folder: Path, options: argparse.Namespace) -> None:
    """Play each id that is not in the file yet, one on each core; the file grows id by id."""
    from popgym import envs as popgym_envs

    known = {row["id"]: row for row in read(folder / f"{THEIRS}.json")}
    levels = ("Easy", "Medium", "Hard")
    names = options.only or [n for n in dir(popgym_envs) if n.endswith(levels)]
    jobs = [(name, options.episodes) for name in names if name not in known]
    facts = {"popgym": importlib.metadata.version("popgym")}
    with multiprocessing.get_context("spawn").Pool() as pool:
        for row in pool.imap_unordered(popgym_row, jobs):
            known[row["id"]] = row
            print(row, flush=True)
            rows = [known[name] for name in sorted(known)]
            write(folder, THEIRS, facts, {"episodes": options.episodes, "seed": 0}, rows)


def popgym_row(job: tuple[str, int]) -> Row:
    """Return the statistics of one of popgym's ids."""
    from popgym import envs as popgym_envs

    name, episodes = job
    return {"id": name, **statistics(*popgym_episodes(getattr(popgym_envs, name)(), episodes))}


def popgym_episodes(env: Any, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the returns and lengths of random episodes of one of popgym's environments."""
    returns, lengths = np.zeros(episodes), np.zeros(episodes)
    actions = draw_actions(env.action_space, np.random.default_rng(0))
    env.reset(seed=0)
    for i in range(episodes):
        env.reset()
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(next(actions))
            ended = terminated or truncated
            returns[i] += reward
            lengths[i] += 1
    return returns, lengths


def draw_actions(space: Any, drawn: np.random.Generator) -> Iterator[Any]:
    """Yield uniform actions for ever; drawn in blocks, since ``space.sample`` is slow."""
    while True:
        if hasattr(space, "nvec"):
            yield from drawn.integers(space.nvec, size=(4096, len(space.nvec)))
        elif hasattr(space, "n"):
            yield from drawn.integers(space.n, size=4096).tolist()
        else:
            block = drawn.uniform(space.low, space.high, (4096, *space.shape))
            yield from block.astype(space.dtype)


def ours(name: str, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the returns and lengths of random episodes of our environment of that id."""
    env, params = envs.make(f"popgym/{name}")
    vector = VectorEnv(EpisodeStatistics(env), params, episodes)

    def act(memory_state: Any, obs: Any, start: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        return memory_state, jax.vmap(vector.action_space.sample)(jax.random.split(key, episodes))

    def reset(key: jax.Array) -> tuple[jax.Array, Any]:
        obs, state = vector.reset(key)
        return jax.tree.leaves(obs)[0], state

    def step(key: jax.Array, state: Any, action: jax.Array) -> tuple:
        obs, *rest = vector.step(key, state, action)
        return jax.tree.leaves(obs)[0], *rest

    play = jax.jit(lambda key: run_episodes(reset, step, act, jnp.zeros(()), key, 20_000))
    played: Episodes = jax.device_get(play(jax.random.key(0)))
    assert played.finished.all()
    return np.asarray(played.returns), np.asarray(played.lengths)


def statistics(returns: np.ndarray, lengths: np.ndarray) -> Row:
    """Return means with the standard errors of the means."""
    root = math.sqrt(len(returns))
    return {
        "episodes": len(returns),
        "return": float(returns.mean()),
        "return s.e.": float(returns.std(ddof=1)) / root,
        "length": float(lengths.mean()),
        "length s.e.": float(lengths.std(ddof=1)) / root,
    }


def compare(name: str, played: tuple[np.ndarray, np.ndarray], theirs: Row) -> Row:
    """Return both means, and how many standard errors of their difference lie between them."""
    row: Row = {"id": name}
    here = statistics(*played)
    for what in ("return", "length"):
        error = math.hypot(here[f"{what} s.e."], theirs[f"{what} s.e."])
        gap = here[what] - theirs[what]
        row |= {what: here[what], f"popgym's {what}": theirs[what]}
        # A figure that never varies must be the same but for rounding.
        row[f"{what}s apart (s.e.)"] = gap / error if error > 1e-7 else 1e7 * round(gap, 5)
    return row


if __name__ == "__main__":
    sys.exit(main())
