"""Where rows of metrics go beside metrics.jsonl: TensorBoard, Weights & Biases."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from ssmrl.errors import UsageError
from ssmrl.foreign import foreign
from ssmrl.train.metrics import mean
from ssmrl.train.run_folder import RunFolder

_AXES = ("update", "env_steps")  # what others are drawn over
Parts = Mapping[str, Sequence[int]]  # members whose means are shown by themselves, by name


class Tracker(Protocol):
    """What shows a run while it goes on."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Show a row of metrics."""

    def flush(self) -> None:
        """Keep what was written, whatever happens next."""

    def close(self) -> None:
        """Write nothing more."""


class TensorBoard:
    """Events in the run folder; those after ``env_steps`` are to be written again."""

    def __init__(self, folder: RunFolder, env_steps: int, parts: Parts):
        from ssmrl.train.events import Events

        self._parts = parts
        self._writer = Events(folder.path, purge_step=env_steps + 1)
        self.flush, self.close = self._writer.flush, self._writer.close

    def write(self, row: Mapping[str, Any]) -> None:
        """Write every number of the row over its environment steps."""
        for name, number in _numbers(row, self._parts).items():
            self._writer.add_scalar(name, number, row["env_steps"])


class WandB:
    """A run of Weights & Biases named like the run folder, which a resumed run goes on with.

    Its own variables say where it goes to, such as ``WANDB_PROJECT`` and ``WANDB_MODE=offline``.
    """

    def __init__(self, folder: RunFolder, config: Mapping[str, Any], parts: Parts):
        import wandb

        self._parts = parts
        self._run = wandb.init(
            project=None if wandb.Settings().project else "ssmrl",
            id=_own_id(folder),
            name=folder.path.resolve().name,
            config=dict(config),
            dir=str(folder.path),
            resume="allow",
        )
        self._run.define_metric("*", step_metric="env_steps")

    def write(self, row: Mapping[str, Any]) -> None:
        """Send every number of the row, and its environment steps."""
        self._run.log({**_numbers(row, self._parts), "env_steps": row["env_steps"]})

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def _own_id(folder: RunFolder) -> str:
    """Return what tells this run from others of the same name, also when it is resumed."""
    path = folder.path / "wandb" / "id"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.token_hex(8))
    return path.read_text()


def check_track(track: str | None) -> None:
    """Raise ``UsageError`` where what is to be tracked with is not installed."""
    from importlib.util import find_spec

    if track is not None and find_spec(track) is None:
        raise UsageError(
            f"track={track!r} needs the package {track}; install it: "
            f"pip install -e '.[{track}]' -c constraints.txt"
        )


@contextmanager
def open_trackers(
    folder: RunFolder, track: str | None, config: Mapping[str, Any], parts: Parts, env_steps: int
) -> Iterator[list[Tracker]]:
    """Yield TensorBoard, and what ``track`` names; they are closed in the end.

    They show the means over all members; with ``parts``, over those of each part: "loss/NAME".
    """
    with ExitStack() as stack:
        trackers: list[Tracker] = [TensorBoard(folder, env_steps, parts)]
        stack.callback(trackers[0].close)
        if track == "wandb":
            with foreign("track='wandb'", "WANDB_MODE=offline asks for no account"):
                trackers.append(WandB(folder, config, parts))
            stack.callback(trackers[1].close)
        yield trackers


def _numbers(row: Mapping[str, Any], parts: Parts) -> dict[str, float]:
    means: dict[str, float | None] = {}
    for name, value in row.items():
        if isinstance(value, list) and parts:
            means |= {f"{name}/{p}": mean([value[i] for i in parts[p]]) for p in parts}
        elif name not in _AXES:
            means[name] = mean(value)
    return {name: number for name, number in means.items() if number is not None}
