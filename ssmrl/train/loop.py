"""The host loop: calls compiled updates, and does all input and output between them."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from ssmrl.errors import TrainingError
from ssmrl.train.checkpoint import Checkpoints
from ssmrl.train.chunk import Agent, Chunk
from ssmrl.train.lean import saved
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
    members: Sequence[str],
    fragile: bool,
    console: Console,
    open_trackers: Callable[[int], AbstractContextManager[list[Tracker]]],
) -> tuple[Any, bool]:
    """Update to the end, an interruption or the deadline; return the state and if it is the end.

    ``state`` is donated to ``chunk``; ``open_trackers`` is told how many steps are done already.
    ``members`` are the names of those that train side by side. Raises ``TrainingError`` at a loss
    that is not finite, and checkpoints keep the last good state; unless the run is ``fragile``, it
    goes on as long as one of the members does, with a warning for each that does not.
    """
    checkpoints = Checkpoints(folder.checkpoints)
    update = int(np.max(state.update))
    rows = folder.drop_rows_after(update)
    seconds = rows[-1]["seconds"] if rows else 0.0
    steps_so_far = update * agent.steps_per_update
    watch = _Watch(members, fragile)
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
            for warning in watch.newly_broken(broken, checkpoints):
                console.print(f"warning: {warning}")
            update += count
            seconds += elapsed
            row: dict[str, Any] = {
                "update": update,
                "env_steps": update * agent.steps_per_update,
                "seconds": round(seconds, 4),
                "steps_per_second": count * agent.steps_per_update * len(members) / elapsed,
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
                checkpoints.save(update, saved(agent, state))
            if schedule.is_over:  # looked at last, so that each call comes some way
                break
        if checkpoints.newest() != update:
            checkpoints.save(update, saved(agent, state))
    return state, update >= agent.num_updates


class _Watch:
    """Looks out for members whose numbers are not finite."""

    def __init__(self, members: Sequence[str], fragile: bool):
        self._members, self._fragile = members, fragile
        self._known: set[int] = set()

    def newly_broken(self, broken: np.ndarray, checkpoints: Checkpoints) -> list[str]:
        """Return a warning per member that broke now; raise ``TrainingError`` at the run's end."""
        found = {
            i: f"update {update}{self._which(i)} gave a loss, gradient or statistic that is not "
            "finite"
            for i, update in enumerate(np.ravel(broken))
            if update
        }
        if found and (self._fragile or len(found) == len(self._members)):
            raise TrainingError(
                f"{next(iter(found.values()))}; {checkpoints.what_is_left()}; start anew with a "
                "smaller learning rate, or look for faulty rewards with ssmrl check"
            )
        new = [words for i, words in found.items() if i not in self._known]
        self._known |= found.keys()
        return [f"{words}; the other members go on" for words in new]

    def _which(self, member: int) -> str:
        return f" ({self._members[member]})" if len(self._members) > 1 else ""


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
