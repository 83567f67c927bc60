"""The tables that ``runs`` shows."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchtrainingbooster.cli.run_folders import Run, as_json
from batchtrainingbooster.core.printable import printable
from batchtrainingbooster.core.record import RunRecord, settings_of

MAX_SHOWN = 60


def in_order(found: list[Run], by: str) -> list[Run]:
    """By name, by the metric that decides, or else the newest first."""
    if by == "name":
        return sorted(found, key=lambda run: run.name)
    newest = sorted(found, key=lambda run: run.began.timestamp() if run.began else 0, reverse=True)
    return sorted(newest, key=_rank) if by == "metric" else newest


def _rank(run: Run) -> tuple[bool, str, float]:
    """Values of one metric lie together, the best first; runs without one are last."""
    best, data = run.best, run.record.data
    if best is None or data is None or math.isnan(best.value):
        return True, "", 0.0
    return False, data.metric, -best.value if data.maximize else best.value


def table_of(found: Sequence[Run], without: Collection[str] = ()) -> Table:
    """A line for each run, without these columns."""
    table, names = _table(), [name for name in _COLUMNS if name not in without]
    for name in names:
        table.add_column(name, justify=_COLUMNS[name][0], overflow="fold")
    for run in found:
        table.add_row(*(_cell(_COLUMNS[name][1](run)) for name in names))
    return table


def comparison_of(found: Sequence[Run]) -> Table:
    """A column for each run: the settings in which they differ, then what came of them."""
    table = _table()
    table.add_column("", overflow="fold")
    for run in found:
        table.add_column(_cell(run.name), overflow="fold")
    for name, values in differences(found):
        table.add_row(_cell(name), *map(_cell, values))
    table.add_section()
    for name, values in _outcomes(found):
        if any(values):
            table.add_row(_cell(name), *map(_cell, values))
    return table


def differences(found: Sequence[Run]) -> list[tuple[str, list[str | None]]]:
    """Settings that not all of these runs have in common, and their values."""
    all_settings = [_described(run.record) for run in found]
    keys = dict.fromkeys(key for settings in all_settings for key in settings)
    rows = [(key, [_written(settings, key) for settings in all_settings]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _described(record: RunRecord) -> dict[str, Any]:
    start, settings = record.start, settings_of(record)
    # Another one for each run.
    settings.pop("config_training: run_dir", None)
    if start is None:
        return settings
    versions = {f"version: {name}": value for name, value in start.versions.items()}
    return {"booster": start.booster, "target": start.target_column, **settings, **versions}


def _written(settings: dict[str, Any], key: str) -> str | None:
    if key not in settings:
        return None
    value = settings[key]
    return value if isinstance(value, str) else json.dumps(as_json(value), ensure_ascii=False)


def _outcomes(found: Sequence[Run]) -> list[tuple[str, list[str | None]]]:
    def scores(name: str) -> list[str | None]:
        evaluations = [run.record.evaluation for run in found]
        values = [getattr(each, name) if each else None for each in evaluations]
        return [None if value is None else f"{value:.6g}" for value in values]

    return [
        ("state", [run.state for run in found]),
        ("best", [_best(run) for run in found]),
        ("accuracy", scores("accuracy")),
        ("root mean squared error", scores("root_mean_squared_error")),
        ("R2", scores("r2")),
        ("rows", [_number(run.rows) for run in found]),
        ("batches", [_number(run.batches) for run in found]),
        ("visits", [_number(run.visits) for run in found]),
        ("rounds", [_number(run.rounds) for run in found]),
        ("duration", [_duration(run.seconds) for run in found]),
    ]


def _table() -> Table:
    box = SIMPLE_HEAD if sys.stdout.isatty() else None
    return Table(box=box, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)


def show(*tables: Table) -> None:
    """The first one that the terminal has room for; elsewhere, there is room for all."""
    width = None if sys.stdout.isatty() else 100_000
    console = Console(width=width, highlight=False, file=sys.stdout)
    wide = console.options.update(width=100_000)
    widths = [console.measure(each, options=wide).maximum for each in tables]
    fitting = [each for each, need in zip(tables, widths, strict=True) if need <= console.width]
    with console.capture() as shown:
        console.print((fitting or tables[-1:])[0])
    click.echo("\n".join(line.rstrip() for line in shown.get().splitlines()))


def _cell(text: str | None) -> Text:
    """What a log says, without what it could do to a terminal."""
    shown = "-" if text is None else printable(text)
    return Text(shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…")


def _best(run: Run) -> str | None:
    return f"{run.metric or ''} {run.best.value:.6g}".strip() if run.best else None


def _number(number: int | None) -> str | None:
    # A damaged log may hold any.
    return None if number is None or abs(number) >= 10**15 else f"{number:,}"


def _duration(seconds: float | None) -> str | None:
    """Two units, which is as exact as anybody asks.

    Examples
    --------
    >>> _duration(3.21), _duration(75), _duration(7265)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None or not 0 <= seconds < 10**9:
        return None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


_COLUMNS: dict[str, tuple[Literal["left", "right"], Callable[[Run], str | None]]] = {
    "Run": ("left", lambda run: run.name),
    "Run id (UTC)": ("left", lambda run: run.run_id),
    "Booster": ("left", lambda run: run.booster),
    "State": ("left", lambda run: run.state),
    "Rows": ("right", lambda run: _number(run.rows)),
    "Batches": ("right", lambda run: _number(run.batches)),
    "Visits": ("right", lambda run: _number(run.visits)),
    "Rounds": ("right", lambda run: _number(run.rounds)),
    "Best": ("right", _best),
    "Duration": ("right", lambda run: _duration(run.seconds)),
}
FIRST_TO_GO = ("Run id (UTC)", "Batches", "Visits")
