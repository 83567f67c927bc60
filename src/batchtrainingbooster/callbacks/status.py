"""What a run is doing, in three lines, for terminals and notebooks."""

from __future__ import annotations

import math
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from batchtrainingbooster.core import pace
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import StopReason

_ENDED = {
    StopReason.COMPLETED: "completed",
    StopReason.PATIENCE: "stopped early",
    StopReason.CALLBACK: "stopped by a callback",
    StopReason.INTERRUPTED: "interrupted",
    StopReason.FAILED: "failed",
}
_SEPARATOR = "   "


def status(record: RunRecord) -> RenderableType:
    """The run as it stands."""
    if record.start is None:
        return Text("")
    details = [_place(record), _metrics(record)]
    lines = [Text(line, overflow="ellipsis", no_wrap=True) for line in details if line]
    return Group(_bar(record), *lines)


def _bar(record: RunRecord) -> Table:
    phase, done, total = _phase(record)
    row = Table.grid(*[Column(no_wrap=True) for _ in range(4)], padding=(0, 1))
    bar = ProgressBar(total=total, completed=done, width=30, pulse=total is None)
    left = pace.seconds_left(record)
    row.add_row(
        Text(phase, style="bold"),
        bar,
        Text(f"{100 * done / total:3.0f}%" if total else ""),
        Text("" if left is None else f"at most {_clock(left)} left", style="dim"),
    )
    return row


def _phase(record: RunRecord) -> tuple[str, float, float | None]:
    """What goes on, how much of it is done, and of how much."""
    booster = record.start.booster if record.start else ""
    if record.end is not None:
        took = _clock(record.end.seconds)
        return f"{booster}: {_ENDED[record.end.stop_reason]} after {took}", 1, 1
    # Read once: the lines are drawn by another thread.
    progress = record.progress
    if record.data is None:
        if progress is None:
            return "Spark looks at the data", 0, None
        tasks = f"{progress.tasks_done:,} of {progress.tasks_total:,} tasks"
        return f"Spark stages the data, {tasks}", progress.tasks_done, progress.tasks_total
    return f"{booster}: training", pace.share_done(record), 1


def _place(record: RunRecord) -> str:
    """Where the run is."""
    training, visit = record.training, record.visit
    if training is None:
        return ""
    number = record.visits_made + (1 if visit else 0)
    parts = [f"visit {number} of {training.num_visits}"]
    if visit is not None:
        parts.append(f"epoch {visit.epoch + 1}")
        parts.append("all batches" if visit.batch is None else f"batch {visit.batch + 1}")
        rounds = pace.rounds_of_this_visit(record)
        parts.append(f"round {len(rounds)} of {training.rounds_per_visit}")
        parts.append(f"learning rate {visit.learning_rate:.4g}")
    speed = pace.rows_per_second(record)
    if speed is not None:
        parts.append(f"{_amount(speed)} rows/s")
    return _SEPARATOR.join(parts)


def _metrics(record: RunRecord) -> str:
    """How well it does, by the metric that decides."""
    if not record.rows:
        return ""
    last = record.rows[-1]
    parts = [
        f"{part} {name} {value:.6g}"
        for part, values in (("train", last.train), ("valid", last.valid))
        for name, value in list(values.items())[-1:]
    ]
    if record.best is not None:
        visit = record.best.visit
        where = "of the earlier model" if visit is None else f"at visit {visit + 1}"
        parts.append(f"best {record.best.value:.6g} {where}")
    left, training = pace.patience_left(record), record.training
    if record.end is None and last.valid and training is not None:
        parts.append(f"patience {left} of {training.max_patience}")
    return _SEPARATOR.join(parts)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    Examples
    --------
    >>> _clock(3671.2)
    '1:01:12'
    """
    return str(timedelta(seconds=math.ceil(seconds)))


def _amount(number: float) -> str:
    """A large number in short.

    Examples
    --------
    >>> _amount(12_345_678), _amount(8_100), _amount(312)
    ('12.3 M', '8.1 k', '312')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"
