"""The event log: a line of JSON for each event, written as it happens, and read while it grows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, cast

import attrs

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.events import EVENTS, Event, RunEnd, StopRequest, name_of
from batchtrainingbooster.core.serialization import converter

FILE = "events.jsonl"


class EventLog(Callback):
    """Appends every event to a file.

    Parameters
    ----------
    file : Path
        One of an earlier run is gone on with.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: FileIO | None = None

    def on_event(self, event: Event) -> StopRequest | None:
        """Write a line, and let others see it."""
        if self._stream is None:
            self._stream = self._opened()
        line = to_line(event, datetime.now(UTC))
        try:
            _write_whole(self._stream, line)
        except OSError:
            # Half of it may be there: the next event begins anew.
            self._close()
            raise
        if isinstance(event, RunEnd):
            self._close()
        return None

    def _opened(self) -> FileIO:
        """The file, at the begin of a line: a process that was killed may have left half of one."""
        stream = FileIO(self._file, "a+")
        try:
            if stream.tell():
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":
                    _write_whole(stream, b"\n")
        except OSError:
            stream.close()
            raise
        return stream

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None


def _write_whole(stream: FileIO, data: bytes) -> None:
    """A disk that is nearly full takes the first part, and says so at the second."""
    while data:
        data = data[stream.write(data) :]


def to_line(event: Event, time: datetime) -> bytes:
    r"""An event as the log holds it.

    Examples
    --------
    >>> from batchtrainingbooster.core.events import EpochStart
    >>> to_line(EpochStart(epoch=2), datetime(2026, 1, 31, tzinfo=UTC))
    b'{"time": "2026-01-31T00:00:00.000+00:00", "event": "epoch_start", "epoch": 2}\n'
    """
    kind = type(event)
    left_out = [
        field.name for field in attrs.fields(kind) if not field.metadata.get("logged", True)
    ]
    if left_out:
        event = attrs.evolve(cast("Any", event), **dict.fromkeys(left_out))
    fields = cast("dict[str, Any]", converter.unstructure(event))
    stamp = time.isoformat(timespec="milliseconds")
    text = json.dumps({"time": stamp, "event": name_of(kind), **fields}, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"


class EventReader:
    """Reads an event log from where it was read last.

    Parameters
    ----------
    file : Path
        It need not exist yet.
    without : collection of str
        Names of events that are passed over, which is quick.
    """

    def __init__(self, file: Path, without: Collection[str] = ()) -> None:
        self._file = file
        self._without = [f'"event": "{name}"'.encode() for name in without]
        self._position = 0

    def new(self) -> Iterator[tuple[datetime, Event]]:
        """The events since the last call, and when they happened.

        A line that is not complete yet is left for the next call; one that is no event of this
        version is passed over.
        """
        try:
            with self._file.open("rb") as stream:
                stream.seek(self._position)
                for line in stream:
                    if not line.endswith(b"\n"):
                        return
                    self._position += len(line)
                    # Where ``to_line`` puts the name.
                    if any(name in line[:100] for name in self._without):
                        continue
                    found = _event_in(line)
                    if found is not None:
                        yield found
        except FileNotFoundError:
            return


def read_events(file: Path, without: Collection[str] = ()) -> list[tuple[datetime, Event]]:
    """All events of a log, but for those with these names, and when they happened."""
    return list(EventReader(file, without).new())


def _event_in(line: bytes) -> tuple[datetime, Event] | None:
    try:
        fields = json.loads(line)
        time = datetime.fromisoformat(fields.pop("time")).astimezone(UTC)
        kind = EVENTS[fields.pop("event")]
        return time, converter.structure(fields, kind)
    except Exception:  # noqa: BLE001 - cattrs raises groups of whatever its fields raise
        return None
