"""What a person sees while a run goes on: one live line, or plain lines where nobody watches."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class ProgressBar:
    """Shows steps, steps per second, return and time left; a context manager."""

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

    def update(self, steps: int, steps_per_second: float, episode_return: float | None) -> None:
        """Show where the run stands; without a terminal, at most one line in five seconds."""
        shown = "no episode yet" if episode_return is None else f"return {episode_return:.3f}"
        words = f"{steps:,} / {self._total:,} steps  {steps_per_second:,.0f} steps/s  {shown}"
        self._bar.update(self._task, completed=steps, description=words)
        now = time.monotonic()
        if not self._console.is_terminal and (now >= self._next_line or steps >= self._total):
            self._next_line = now + 5
            self._console.print(words)
