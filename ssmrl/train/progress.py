"""What a person sees while a run goes on: one live line, or plain lines where nobody watches."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ssmrl.train.chunk import Chunk
from ssmrl.train.metrics import mean


class ProgressBar:
    """Shows steps, their rate and what the time went into, return and time left.

    A context manager.
    """

    def __init__(self, console: Console, total_steps: int, done_steps: int):
        self._console = console
        self._total = total_steps
        self._next_line = 0.0
        self._bar = Progress(
            TaskProgressColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total_steps, completed=done_steps)

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, row: Mapping[str, Any]) -> None:
        """Show a row of metrics; without a terminal, at most one line in five seconds."""
        steps, episode_return = row["env_steps"], mean(row["episode_return_mean"])
        shown = "no episode yet" if episode_return is None else f"return {episode_return:.3f}"
        words = f"{steps:,} / {self._total:,} steps  {row['steps_per_second']:,.0f} steps/s"
        words = f"{words} ({in_words(row)})  {shown}"
        self._bar.update(self._task, completed=steps, description=words)
        now = time.monotonic()
        if not self._console.is_terminal and (now >= self._next_line or steps >= self._total):
            self._next_line = now + 5
            self._console.print(words)


class Shares:
    """What of the time went into acting, into learning, and into all that the host does between."""

    def __init__(self, chunk: Chunk):
        self._chunk = chunk
        self._last = self._now()

    def since_last(self) -> dict[str, float]:
        """Return the shares, 0 to 1, of the time since this was called before."""
        now = self._now()
        passed = {name: now[name] - self._last[name] for name in now}
        self._last, whole = now, passed.pop("wall")
        passed["host"] = whole - sum(passed.values())
        return {f"share_{name}": round(seconds / whole, 4) for name, seconds in passed.items()}

    def _now(self) -> dict[str, float]:
        seconds = self._chunk.seconds
        if not self._chunk.tells_acting:
            seconds = {"update": sum(seconds.values())}
        return {"wall": time.monotonic(), **seconds}


def in_words(row: Mapping[str, Any]) -> str:
    """Return the shares of a row, such as "acting 20 %, learning 79 %, host 1 %"."""
    shares = {name: row[name] for name in row if name.startswith("share_")}
    return ", ".join(f"{name[6:]} {100 * share:.0f} %" for name, share in shares.items())
