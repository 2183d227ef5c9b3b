"""TensorBoard's events, written at once: no thread that dies, or waits, at a full disk."""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar


class Events:
    """Scalars in an event file of the folder.

    What older event files of the folder hold from step ``purge_step`` on is forgotten.
    """

    def __init__(self, folder: Path, purge_step: int):
        number = len(list(folder.glob("events.out.tfevents.*")))  # else one of this second is lost
        self._writer = EventsWriter(str(folder / "events"), f".{number}")
        session = SessionLog(status=SessionLog.START)
        self._write(Event(step=purge_step, session_log=session))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add the value that a quantity has after a number of steps."""
        self._write(Event(step=step, summary=scalar(name, value)))

    def flush(self) -> None:
        """Bring what was added to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Write nothing more."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
