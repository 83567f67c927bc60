"""Run folders and what their event logs tell of the last run in each."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import attrs

from batchtrainingbooster.callbacks import event_log
from batchtrainingbooster.callbacks.event_log import read_events
from batchtrainingbooster.core.events import RunStart
from batchtrainingbooster.core.record import RunRecord, settings_of
from batchtrainingbooster.core.stopping import Best
from batchtrainingbooster.data import lock
from batchtrainingbooster.errors import ConfigError

NO_END = "stopped without an end"
RUNNING = "running"
# Most of a log, and nothing that is asked for here.
PASSED_OVER = ("round_end", "staging_progress")


@attrs.frozen(kw_only=True)
class Run:
    """The last run in a run folder.

    Attributes
    ----------
    name : str
        Of the folder.
    state : str
        Why it ended; else whether it goes on.
    began : datetime, optional
    seconds : float, optional
        Until its end, or its last event.
    record : RunRecord
        Without its rounds.
    """

    name: str
    state: str
    began: datetime | None
    seconds: float | None
    record: RunRecord

    @classmethod
    def of(cls, folder: Path) -> Run:
        """Read the log of a folder."""
        try:
            happened = read_events(folder / event_log.FILE, PASSED_OVER)
        except OSError as error:
            state = f"cannot be read: {error.strerror}"
            return cls(name=folder.name, state=state, began=None, seconds=None, record=RunRecord())
        starts = [i for i, (_, event) in enumerate(happened) if isinstance(event, RunStart)]
        happened = happened[starts[-1] if starts else 0 :]
        record = RunRecord.of(event for _, event in happened)
        began, seconds = None, None
        if happened:
            began = happened[0][0]
            seconds = (happened[-1][0] - began).total_seconds()
        if record.end is not None:
            return cls(
                name=folder.name, state=str(record.end.stop_reason), began=began,
                seconds=record.end.seconds, record=record,
            )  # fmt: skip
        state = RUNNING if _is_locked(folder) else NO_END
        return cls(name=folder.name, state=state, began=began, seconds=seconds, record=record)

    @property
    def run_id(self) -> str | None:
        """As logs and trackers have it."""
        return self.record.start.run_id if self.record.start else None

    @property
    def booster(self) -> str | None:
        """Its name."""
        return self.record.start.booster if self.record.start else None

    @property
    def rows(self) -> int | None:
        """In all batches; those of validation are not among them."""
        data = self.record.data
        return sum(map(sum, data.batches)) if data else None

    @property
    def batches(self) -> int | None:
        """How many there are."""
        return len(self.record.data.batches) if self.record.data else None

    @property
    def visits(self) -> int:
        """Those made so far."""
        return self.record.end.visits if self.record.end else self.record.visits_made

    @property
    def rounds(self) -> int | None:
        """In the model."""
        if self.record.end is not None:
            return self.record.end.n_rounds
        return self.record.visits[-1].n_rounds if self.record.visits else None

    @property
    def metric(self) -> str | None:
        """The one that decides."""
        return self.record.data.metric if self.record.data else None

    @property
    def best(self) -> Best | None:
        """So far."""
        return self.record.end.best if self.record.end else self.record.best

    def to_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        best = self.best
        found = {
            "name": self.name,
            "run_id": self.run_id,
            "began": self.began.isoformat() if self.began else None,
            "booster": self.booster,
            "state": self.state,
            "rows": self.rows,
            "batches": self.batches,
            "visits": self.visits,
            "rounds": self.rounds,
            "metric": self.metric,
            "best": best.value if best else None,
            "seconds": self.seconds,
            "settings": settings_of(self.record),
        }
        return cast("dict[str, Any]", as_json(found))


def _is_locked(folder: Path) -> bool:
    """Whether its lock is still renewed."""
    try:
        age = time.time() - (folder / lock.FILE).stat().st_mtime
    except OSError:
        return False
    return age < lock.DEAD_AFTER_SECONDS


def find_runs(directory: Path, names: Sequence[str] = ()) -> list[Run]:
    """The runs in a folder: its own, and those of the folders in it.

    Parameters
    ----------
    directory : Path
    names : sequence of str
        Of folders, if only these are asked for.

    Raises
    ------
    ConfigError
        If there is none, or none of a name.
    """
    directory = directory.absolute()
    folders = [directory, *sorted(each for each in directory.iterdir() if each.is_dir())]
    # A log that is a pipe would be waited for.
    found = {each.name: each for each in folders if (each / event_log.FILE).is_file()}
    missing = [name for name in names if name not in found]
    if missing or not found:
        what = f"no run {missing[0]!r}" if missing else "no run folder"
        there = f"; there are {', '.join(map(repr, list(found)[:20]))}" if found else ""
        msg = f"{directory} has {what} (a folder with {event_log.FILE}){there}"
        raise ConfigError(msg)
    return [Run.of(found[name]) for name in (names or found)]


def as_json(value: Any, levels: int = 20) -> Any:
    """A value as JSON has it, where nan and the infinities are null, and to this depth."""
    if isinstance(value, dict | list) and not levels:
        return "..."
    if isinstance(value, dict):
        return {key: as_json(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item, levels - 1) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
