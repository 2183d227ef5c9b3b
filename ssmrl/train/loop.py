"""The host loop: calls compiled updates, and does all input and output between them."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from ssmrl.errors import TrainingError
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import Agent, Chunk
from ssmrl.train.metrics import to_row
from ssmrl.train.progress import ProgressBar, Shares
from ssmrl.train.run_folder import RunFolder
from ssmrl.train.trackers import Tracker


@dataclass(frozen=True)
class Schedule:
    """When the loop stops to write."""

    log_every: int  # updates per row of metrics
    checkpoint_every: int  # updates per checkpoint, rounded up to whole rows
    deadline: float | None = None  # of time.monotonic(): stop after it, as at an interruption

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def train(
    agent: Agent,
    state: Any,
    chunk: Chunk,
    folder: RunFolder,
    schedule: Schedule,
    num_seeds: int,
    console: Console,
    open_trackers: Callable[[int], AbstractContextManager[list[Tracker]]],
) -> tuple[Any, bool]:
    """Update to the end, an interruption or the deadline; return the state and if it is the end.

    ``state`` is donated to ``chunk``; ``open_trackers`` is told how many steps are done already.
    Raises ``TrainingError`` at a loss that is not finite; checkpoints keep the last good state.
    """
    checkpoints = Checkpoints(folder.checkpoints)
    update = int(np.max(state.update))
    rows = folder.drop_rows_after(update)
    seconds = rows[-1]["seconds"] if rows else 0.0
    steps_so_far = update * agent.steps_per_update
    bar = ProgressBar(console, agent.num_updates * agent.steps_per_update, steps_so_far)
    with open_trackers(steps_so_far) as trackers, bar, _interruptible() as interrupted:
        shares = Shares(chunk)
        while update < agent.num_updates and not interrupted:
            count = min(
                schedule.log_every - update % schedule.log_every, agent.num_updates - update
            )
            began = time.monotonic()
            state, metrics, broken = chunk(state, count)
            elapsed = time.monotonic() - began
            _check_finite(broken, checkpoints.newest(), folder)
            update += count
            seconds += elapsed
            row: dict[str, Any] = {
                "update": update,
                "env_steps": update * agent.steps_per_update,
                "seconds": round(seconds, 4),
                "steps_per_second": count * agent.steps_per_update * num_seeds / elapsed,
                **shares.since_last(),
                **to_row(metrics),
            }
            folder.append_row(row)
            for tracker in trackers:
                tracker.write(row)
            bar.update(row)
            if update % schedule.checkpoint_every < count or update == agent.num_updates:
                for tracker in trackers:
                    tracker.flush()  # a checkpoint must not be ahead of the events before it
                checkpoints.save(update, state)
            if schedule.is_over:  # looked at last, so that each call comes some way
                break
        if checkpoints.newest() != update:
            checkpoints.save(update, state)
    return state, update >= agent.num_updates


def _check_finite(broken: Any, saved: int | None, folder: RunFolder) -> None:
    left = "there is no checkpoint yet"
    if saved is not None:
        left = f"the checkpoint after update {saved} stays in {folder.checkpoints}"
    for seed, update in enumerate(np.atleast_1d(broken)):
        if update:
            which = f" (seed number {seed})" if np.ndim(broken) else ""
            raise TrainingError(
                f"update {update}{which} gave a loss, gradient or statistic that is not finite; "
                f"{left}; start anew with a smaller learning rate, or look for faulty rewards "
                "with ssmrl check"
            )


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C or a termination signal; a second one kills."""
    received: list[int] = []

    def receive(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(number, signal.default_int_handler)

    old = {s: signal.signal(s, receive) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
