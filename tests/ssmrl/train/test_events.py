"""TensorBoard's own reader finds what was added, step by step."""

import time

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from ssmrl.train.events import Events


def read(path) -> list[Event]:
    """Read records: length, its checksum, the event, its checksum."""
    content, events = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


def test_events(tmp_path):
    events = Events(tmp_path, purge_step=7)
    events.add_scalar("loss", 0.5, 10)
    events.flush()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    version, session, loss = read(path)
    assert version.file_version == "brain.Event:2"
    assert (session.step, session.session_log.status) == (7, SessionLog.START)
    assert (loss.step, loss.summary.value[0].tag) == (10, "loss")
    assert loss.summary.value[0].simple_value == 0.5
    assert loss.wall_time > 1e9
    events.add_scalar("loss", 0.25, 20)
    events.close()
    assert read(path)[-1].step == 20


def test_a_full_disk_is_met_where_it_is_written_to(tmp_path, monkeypatch):
    """No thread swallows it, or dies of it and leaves a queue that waits for ever."""
    events = Events(tmp_path, purge_step=0)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(events._writer._py_recordio_writer, "write", full)
    with pytest.raises(OSError, match="No space left"):
        events.add_scalar("loss", 0.5, 10)
    monkeypatch.undo()
    events.close()


def test_a_run_resumed_within_a_second_keeps_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    for step in (0, 5):
        events = Events(tmp_path, purge_step=step)
        events.add_scalar("loss", 1.0, step)
        events.close()
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2
