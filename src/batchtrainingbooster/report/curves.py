"""The charts of how a run went: learning curves with the learning rate, and the time of visits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.report.chart import Chart, Figure, axis, finite
from batchtrainingbooster.report.wording import counted, duration, measured

# More points than a wide screen has pixels; a curve of them is drawn at once.
MAX_POINTS = 4_000
MAX_BOUNDARIES, MAX_NUMBERED, MAX_BARS = 300, 24, 300
_HIDDEN = {"overlaying": "y", "range": [0, 1], "fixedrange": True, "visible": False}


def learning_curves(record: RunRecord) -> Chart | None:
    """A figure for each metric, that which decides first; None before the first round."""
    rows = record.rows
    names = metrics(record)
    if not names:
        return None
    figures = [_curve(record, name) for name in names]
    shown = len(figures[0]["data"][0]["x"])
    notes = []
    if len(rows) > MAX_POINTS:
        notes.append(
            f"Of {len(rows):,} rounds about {shown:,} are drawn: peaks, dips and the best."
        )
    starts = _starts(rows)
    if len(starts) > MAX_BOUNDARIES:
        notes.append(f"The boundaries of {len(starts):,} visits are left out.")
    elif len(starts) <= MAX_NUMBERED and rows[0].batch is not None:
        notes.append("Dotted lines are where a visit begins; the number above is its batch.")
    else:
        notes.append("Dotted lines are where a visit begins.")
    return Chart(
        id="curves",
        figures=figures,
        names=names,
        fact=_curve_fact(record, names[0]),
        height=470,
        note=" ".join(notes),
    )


def metrics(record: RunRecord) -> list[str]:
    """Names of all metrics, that which decides first."""
    if not record.rows:
        return []
    names = list(dict.fromkeys([*record.rows[0].train, *record.rows[0].valid]))
    first = record.data.metric if record.data else record.history.deciding_metric
    return sorted(names, key=lambda name: name != first)


def thinned(series: Sequence[np.ndarray], keep: Sequence[int] = ()) -> np.ndarray:
    """Which points to draw: all if they are few, else the extremes of each stretch.

    Parameters
    ----------
    series : sequence of ndarray of shape (n,), float
        NaN where there is nothing.
    keep : sequence of int
        Points to draw in any case.

    Returns
    -------
    ndarray of int
        Ascending.

    Examples
    --------
    >>> thinned([np.array([3.0, 1.0, 2.0])]).tolist()
    [0, 1, 2]
    """
    n = len(series[0])
    if n <= MAX_POINTS:
        return np.arange(n)
    edges = np.linspace(0, n, MAX_POINTS // (2 * len(series)) + 1).astype(int)
    found = {0, n - 1, *keep}
    for values in series:
        low, high = np.where(np.isnan(values), [[np.inf], [-np.inf]], values)
        for start, end in pairwise(edges):
            found |= {start + int(low[start:end].argmin()), start + int(high[start:end].argmax())}
    return np.array(sorted(found))


def _curve(record: RunRecord, metric: str) -> Figure:
    rows, best = record.rows, record.best
    train, valid = (
        np.array([part.get(metric, math.nan) for part in parts], float)
        for parts in ([row.train for row in rows], [row.valid for row in rows])
    )
    decides = best is not None and best.round is not None and metric == metrics(record)[0]
    marked = [i for i, row in enumerate(rows) if decides and best and row.round == best.round]
    shown = thinned([train, valid], marked)
    points = [rows[i] for i in shown]
    data = [_line(points, train[shown], "train", "train (batch)", with_gaps=True)]
    if not np.isnan(valid).all():
        data.append(_line(points, valid[shown], "valid", "validation", with_gaps=False))
    data += [*_dropped(rows), *_boundaries(rows)]
    if best is not None and marked:
        data.append(_best(rows[marked[0]], best.value))
    data.append(_learning_rate(points))
    layout = {
        "hovermode": "x unified",
        "xaxis": axis(
            "round",
            anchor="y2",
            hoverformat=",d",
            tickformat=",~r",
            unifiedhovertitle={"text": "round %{x}"},
        ),
        "yaxis": axis(metric, domain=[0.3, 1]),
        "yaxis2": axis("learning rate", domain=[0, 0.2], nticks=4, rangemode="tozero"),
        "yaxis3": _HIDDEN,
        "legend": {"orientation": "h", "x": 0, "y": 1.06, "yanchor": "bottom"},
        "annotations": _batch_numbers(rows),
    }
    return {"data": data, "layout": layout}


def _line(
    points: list[Row], values: np.ndarray, color: str, name: str, *, with_gaps: bool
) -> dict[str, Any]:
    """A line; that of the batches ends with each visit, as the next one has other rows."""
    x: list[int | None] = []
    y: list[float | None] = []
    about: list[list[str]] = []
    visits = len({row.visit for row in points})
    with_gaps = with_gaps and 2 * visits <= len(points)
    for i, row in enumerate(points):
        if with_gaps and i and points[i - 1].visit != row.visit:
            x.append(None)
            y.append(None)
            about.append(["", ""])
        x.append(row.round + 1)
        y.append(finite(values[i]))
        about.append([f"{row.visit + 1:,}", "all" if row.batch is None else f"{row.batch + 1:,}"])
    where = ", visit %{customdata[0]}, batch %{customdata[1]}" if with_gaps else ""
    line = {
        "x": x, "y": y, "mode": "lines", "name": name, "line": {"color": f"@{color}", "width": 2},
        "hovertemplate": f"%{{y:.5g}}<extra>{name}{where}</extra>",
    }  # fmt: skip
    return {**line, "customdata": about} if with_gaps else line


def _learning_rate(points: Sequence[Row]) -> dict[str, Any]:
    return {
        "x": [row.round + 1 for row in points], "y": [finite(row.learning_rate) for row in points],
        "yaxis": "y2", "mode": "lines", "name": "learning rate", "showlegend": False,
        "line": {"color": "@muted", "width": 1.5, "shape": "hv"},
        "hovertemplate": "%{y:.5g}<extra>learning rate</extra>",
    }  # fmt: skip


def _best(row: Row, value: float) -> dict[str, Any]:
    return {
        "x": [row.round + 1], "y": [finite(value)], "mode": "markers", "name": "best",
        "marker": {
            "color": "@best", "size": 11, "symbol": "diamond",
            "line": {"color": "@page", "width": 2},
        },
        "hovertemplate": f"{measured(value)}<extra>best</extra>",
    }  # fmt: skip


def _starts(rows: Sequence[Row]) -> list[Row]:
    return [row for i, row in enumerate(rows) if i == 0 or rows[i - 1].visit != row.visit]


def _boundaries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    starts = _starts(rows)
    if len(starts) > MAX_BOUNDARIES:
        return []
    x = [value for row in starts for value in (row.round + 0.5, row.round + 0.5, None)]
    return [
        {
            "x": x, "y": [0, 1, None] * len(starts), "yaxis": "y3", "mode": "lines",
            "line": {"color": "@muted", "width": 1, "dash": "dot"}, "opacity": 0.6,
            "hoverinfo": "skip", "showlegend": False, "name": "visits",
        }
    ]  # fmt: skip


def _batch_numbers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    starts = _starts(rows)
    if len(starts) > MAX_NUMBERED:
        return []
    return [
        {
            "x": row.round + 0.5, "y": 1, "yref": "paper", "text": f"{row.batch + 1}",
            "showarrow": False, "xanchor": "left", "yanchor": "bottom",
            "font": {"size": 11, "color": "@muted"},
        }
        for row in starts
        if row.batch is not None
    ]  # fmt: skip


def dropped_stretches(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """First and last round of each stretch that was dropped.

    Those of long runs are joined where less than a pixel lies between them.
    """
    found: list[list[int]] = []
    gap = 1 + len(rows) // MAX_POINTS
    for row in rows:
        if row.kept:
            continue
        if found and row.round - found[-1][1] <= gap:
            found[-1][1] = row.round
        else:
            found.append([row.round, row.round])
    return [(start, end) for start, end in found]


def _dropped(rows: Sequence[Row]) -> list[dict[str, Any]]:
    stretches = dropped_stretches(rows)
    if not stretches:
        return []
    x: list[float | None] = []
    for start, end in stretches:
        x += [start + 0.5, start + 0.5, end + 1.5, end + 1.5, None]
    return [
        {
            "x": x, "y": [0, 1, 1, 0, None] * len(stretches), "yaxis": "y3", "mode": "lines",
            "line": {"width": 0}, "fill": "toself", "fillcolor": "@dropped",
            "name": "dropped rounds", "hoverinfo": "skip",
        }
    ]  # fmt: skip


def _curve_fact(record: RunRecord, metric: str) -> str:
    rows, best = record.rows, record.best
    last = rows[-1]
    dropped = sum(not row.kept for row in rows)
    text = f"{metric} over {counted(len(rows), 'round')}"
    if best is not None and best.round is not None:
        text += f": the best on validation is {measured(best.value)}, at round {best.round + 1:,}"
    elif metric in last.train:
        text += f": {measured(last.train[metric])} on the last batch"
    return f"{text}. {counted(dropped, 'round')} dropped." if dropped else f"{text}."


def time_by_visit(record: RunRecord) -> Chart | None:
    """Seconds of each visit; None before the second."""
    visits = record.visits
    if len(visits) < 2:
        return None
    seconds = np.array([visit.seconds for visit in visits], float)
    slowest = int(seconds.argmax())
    common = {"hovertemplate": "visit %{x:,d}: %{y:.3g} s<extra></extra>", "textposition": "none"}
    if len(visits) > MAX_BARS:
        shown = thinned([seconds])
        x, y = [visits[i].visit + 1 for i in shown], seconds[shown].tolist()
        line = {"color": "@train", "width": 1}
        data = [{"x": x, "y": y, "mode": "lines", "line": line, "name": "visits", **common}]
    else:
        data = []
        parts = ((True, "@train", "improved"), (False, "@c7", "no gain"))
        for improved, color, name in parts:
            part = [visit for visit in visits if visit.improved is improved]
            x, y = [visit.visit + 1 for visit in part], [visit.seconds for visit in part]
            marker = {"color": color}
            data.append({"type": "bar", "x": x, "y": y, "name": name, "marker": marker, **common})
    layout = {
        "barmode": "stack",
        "xaxis": axis("visit", tickformat=",~r", hoverformat=",d"),
        "yaxis": axis("seconds", rangemode="tozero"),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    fact = (
        f"{counted(len(visits), 'visit')} took {duration(float(seconds.mean()))} each on average; "
        f"the slowest, visit {visits[slowest].visit + 1:,}, {duration(float(seconds[slowest]))}."
    )
    return Chart(id="visits", figures=[{"data": data, "layout": layout}], fact=fact, height=300)
