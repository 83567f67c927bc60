"""Figures of a run by round and visit. They are never shown here, so no display is needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import Best
from batchtrainingbooster.report.bars import class_balance, feature_importance, time_by_stage
from batchtrainingbooster.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    TEXT,
    VERMILION,
    drawn,
    is_drawable,
    new_figure,
    plain_axes,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More would be a grey wash, or take long to draw.
MAX_LINES, MAX_POINTS, MAX_MARKERS = 150, 4000, 60


def learning_curve_of(record: RunRecord) -> Figure | None:
    """``learning_curve`` of the metric that decides; None without a round."""
    if not record.rows:
        return None
    row = record.rows[0]
    names = list(row.valid or row.train)
    known = record.data.metric if record.data else None
    return learning_curve(record.history, known if known in names else names[-1], record.best)


def learning_curve(history: History, metric: str, best: Best | None) -> Figure:
    """Metric by round with the batch boundaries, and the learning rate below.

    Parameters
    ----------
    history : History
    metric : str
        The one to draw.
    best : Best, optional
        The point to mark.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figure = new_figure(9, 6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = list(history)
    lines = _boundaries((upper, lower), rows)
    _name_batches(upper, rows)
    thinned = _thinned(rows)
    for part, color, label in (("train", BLUE, "train (batch)"),
                               ("valid", VERMILION, "validation")):  # fmt: skip
        if rows and metric in getattr(rows[0], part):
            _curve(upper, thinned, [getattr(row, part)[metric] for row in thinned], color, label)
    for number, (first, last) in enumerate(_dropped(rows)):
        upper.axvspan(
            first + 0.5, last + 1.5, color=LIGHT, linewidth=0, zorder=0,
            label="dropped rounds" if number == 0 else None,
        )  # fmt: skip
    if best is not None and best.round is not None and is_drawable(best.value):
        upper.plot(
            best.round + 1, best.value, "o", color=GREEN, zorder=3,
            label=f"best: {best.value:.5g} at round {best.round + 1}",
        )  # fmt: skip
    plain_axes(upper, f"Learning curve{lines}", pad=18)
    upper.set_ylabel(drawn(metric))
    if upper.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    rates = [row.learning_rate for row in thinned]
    _stepped(lower, [row.round + 1 for row in thinned], rates, "mid")
    lower.spines[["top", "right"]].set_visible(False)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("round")
    if rows:
        lower.set_xlim(rows[0].round + 0.5, rows[-1].round + 1.5)
    whole_numbers(lower.xaxis)
    return figure


def learning_rate(record: RunRecord) -> Figure | None:
    """Learning rate by visit, within a visit by round; None without a round."""
    if not record.rows:
        return None
    figure = new_figure(9, 4)
    axes = figure.subplots()
    at: list[float] = []
    rates: list[float] = []
    visits = [list(rows) for _, rows in itertools.groupby(record.rows, lambda row: row.visit)]
    for rows in visits:
        for i, row in enumerate(rows):
            # A rate that stays is one step.
            if i == 0 or row.learning_rate != rates[-1]:
                at.append(row.visit + 0.5 + i / len(rows))
                rates.append(row.learning_rate)
    _stepped(axes, [*at, visits[-1][0].visit + 1.5], [*rates, rates[-1]], "post")
    dropped = [rows[0].visit for rows in visits if not any(row.kept for row in rows)]
    for number, visit in enumerate(dropped):
        axes.axvspan(
            visit + 0.5, visit + 1.5, color=LIGHT, linewidth=0, zorder=0,
            label="all rounds dropped" if number == 0 else None,
        )  # fmt: skip
    if dropped:
        figure.legend(loc="outside lower center", fontsize=9, frameon=False)
    plain_axes(axes, "Learning rate by visit")
    axes.set_ylabel("learning rate")
    axes.set_xlabel("visit")
    axes.set_xlim(visits[0][0].visit + 0.5, visits[-1][0].visit + 1.5)
    whole_numbers(axes.xaxis)
    return figure


PLOTS: dict[str, Callable[[RunRecord], Figure | None]] = {
    "learning_curve": learning_curve_of,
    "learning_rate": learning_rate,
    "class_balance": class_balance,
    "time_by_stage": time_by_stage,
    "feature_importance": feature_importance,
}


def all_plots(record: RunRecord) -> dict[str, Figure]:
    """Those that there is something to draw for, by name."""
    made = {name: plot(record) for name, plot in PLOTS.items()}
    return {name: figure for name, figure in made.items() if figure is not None}


def _thinned(rows: Sequence[Row]) -> list[Row]:
    """At most some thousand of them, evenly, the last one included."""
    step = math.ceil(len(rows) / MAX_POINTS) or 1
    kept = list(rows[::step])
    return kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]


def _curve(axes: Any, rows: Sequence[Row], values: Sequence[float], color: str, label: str) -> None:
    marker = "." if len(rows) <= MAX_MARKERS else ""
    shown = [value if is_drawable(value) else math.nan for value in values]
    axes.plot([row.round + 1 for row in rows], shown, marker=marker, color=color, label=label)


def _stepped(axes: Any, at: Sequence[float], rates: Sequence[float], where: str) -> None:
    """A rate; on a logarithmic scale where it falls far."""
    axes.step(at, rates, where=where, color=BLUE)
    if len(at) == 1:
        axes.plot(at, rates, ".", color=BLUE)
    if min(rates) > 0 and max(rates) / min(rates) > 20:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, max(rates) * 1.08 or 1)


def _starts(rows: Sequence[Row], part: str) -> list[Row]:
    """The first round of each visit, or epoch."""
    return [next(group) for _, group in itertools.groupby(rows, lambda row: getattr(row, part))]


def _boundaries(both: Sequence[Any], rows: Sequence[Row]) -> str:
    """Dotted lines between visits, or else between epochs; what they are, for the title."""
    for part, words in (("visit", "batch boundaries"), ("epoch", "boundaries of epochs")):
        starts = _starts(rows, part)
        if len(starts) <= MAX_LINES:
            for axes in both:
                for row in starts[1:]:
                    axes.axvline(row.round + 0.5, color=GREY, linewidth=0.7, linestyle=":")
            return f"; dotted lines are {words}" if starts[1:] else ""
    return ""


def _name_batches(axes: Any, rows: Sequence[Row]) -> None:
    """Which batch was visited, at the upper edge; where there is no room for it, nothing."""
    starts = _starts(rows, "visit")
    if not starts or len(starts) > MAX_LINES:
        return
    ends = [*(row.round for row in starts[1:]), rows[-1].round + 1]
    room = min(end - row.round for row, end in zip(starts, ends, strict=True)) / (
        rows[-1].round + 1 - starts[0].round
    )
    if room < 0.025:
        return
    for row in starts:
        if row.batch is not None:
            text = f"batch {row.batch + 1}" if room >= 0.09 else f"{row.batch + 1}"
            note = axes.annotate(
                text, (row.round + 0.5, 1), (3, 0), fontsize=8, color=TEXT, va="bottom",
                xycoords=("data", "axes fraction"), textcoords="offset points",
            )  # fmt: skip
            # It lies in the room that the title leaves.
            note.set_in_layout(False)


def _dropped(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """First and last round of each stretch that was dropped."""
    stretches: list[tuple[int, int]] = []
    for is_kept, group in itertools.groupby(rows, lambda row: row.kept):
        if not is_kept:
            found = list(group)
            stretches.append((found[0].round, found[-1].round))
    return stretches
