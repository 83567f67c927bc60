"""The event log: a line of JSON for each event, written as it happens, and read while it grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.events import EVENTS, Event, StopRequest, name_of
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
        self._stream: Any = None

    def on_event(self, event: Event) -> StopRequest | None:
        """Write a line, and let others see it."""
        if self._stream is None:
            self._stream = self._opened()
        self._stream.write(to_line(event, datetime.now(UTC)))
        if name_of(type(event)) == "run_end":
            self._stream.close()
            self._stream = None
        return None

    def _opened(self) -> Any:
        """The file, at the begin of a line: a process that was killed may have left half of one."""
        stream = self._file.open("ab+", buffering=0)
        if stream.tell():
            stream.seek(-1, 2)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        return stream


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
    """

    def __init__(self, file: Path) -> None:
        self._file = file
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
                    found = _event_in(line)
                    if found is not None:
                        yield found
        except FileNotFoundError:
            return


def read_events(file: Path) -> list[tuple[datetime, Event]]:
    """All events of a log, and when they happened."""
    return list(EventReader(file).new())


def _event_in(line: bytes) -> tuple[datetime, Event] | None:
    try:
        fields = json.loads(line)
        time = datetime.fromisoformat(fields.pop("time"))
        kind = EVENTS[fields.pop("event")]
        return time, converter.structure(fields, kind)
    except Exception:  # noqa: BLE001 - cattrs raises groups of whatever its fields raise
        return None
