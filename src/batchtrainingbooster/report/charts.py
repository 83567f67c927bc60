"""The charts of data and model: class balance, validation, importance, time by stage."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from batchtrainingbooster.core.evaluation import Evaluation
from batchtrainingbooster.core.events import StagingEnd
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.report.chart import Chart, axis, escaped, finite, labelled
from batchtrainingbooster.report.curves import learning_curves, time_by_visit
from batchtrainingbooster.report.tables import labels_of
from batchtrainingbooster.report.wording import counted, duration, measured, share, short

MAX_STACKED, MAX_CLASSES, MAX_BATCHES, MAX_FEATURES, MAX_WRITTEN = 8, 30, 60, 20, 10
_HEAT = [[0, "@heat-low"], [1, "@heat-high"]]


def all_charts(record: RunRecord) -> dict[str, Chart]:
    """Those for which there is something to show, by id."""
    found = [
        learning_curves(record),
        balance(record.data) if record.data else None,
        *(_of_evaluation(record) if record.evaluation else []),
        importance(record.importance),
        time_by_stage(record),
        time_by_visit(record),
    ]
    return {chart.id: chart for chart in found if chart is not None}


def balance(data: StagingEnd) -> Chart | None:
    """Share of each stratum in each batch; None of a single stratum, as it is all there is."""
    if len(data.strata) < 2 or not data.batches:
        return None
    counts = np.array(data.batches, np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    word = "class" if data.classes else "target range"
    widest = float((shares.max(axis=0) - shares.min(axis=0)).max())
    fact = f"Share of each {word} in each batch: "
    fact += (
        f"the same in all, to within {max(100 * widest, 0.01):.2g} percentage points."
        if len(counts) > 1
        else "there is one batch."
    )
    chosen = np.unique(np.linspace(0, len(counts) - 1, MAX_BATCHES).astype(int))
    names = [f"{i + 1:,}" for i in chosen]
    table = shares[chosen]
    if any(data.validation or ()):
        validation = np.array(data.validation, np.int64)
        names.append("valid.")
        table = np.vstack([table, validation / validation.sum()])
    draw = _stacked if len(data.strata) <= MAX_STACKED else _heat_of_shares
    figure, height, note = draw(data, table, names)
    if len(chosen) < len(counts):
        note = f"{note} {len(chosen)} of {len(counts):,} batches are drawn.".strip()
    return Chart(id="balance", figures=[figure], fact=fact, height=height, note=note)


def _stacked(data: StagingEnd, table: np.ndarray, names: list[str]) -> tuple[Any, int, str]:
    traces = [
        {
            "type": "bar", "x": list(range(len(names))), "y": table[:, i].tolist(),
            "name": escaped(label), "marker": {"color": f"@c{i}"},
            "hovertemplate": "%{y:.1%}",
        }
        for i, label in enumerate(data.strata)
    ]  # fmt: skip
    layout = {
        "barmode": "stack", "bargap": 0.12, "hovermode": "x unified",
        "xaxis": labelled(names, title="batch"),
        "yaxis": axis("share of rows", tickformat=".0%", range=[0, 1], fixedrange=True),
        "legend": {
            "traceorder": "normal", "orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom",
        },
    }  # fmt: skip
    return {"data": traces, "layout": layout}, 250 + 14 * len(traces), ""


def _heat_of_shares(data: StagingEnd, table: np.ndarray, names: list[str]) -> tuple[Any, int, str]:
    largest = np.argsort(-table.mean(axis=0), kind="stable")[:MAX_CLASSES]
    labels = [data.strata[i] for i in largest]
    figure = _heat_map(
        table[:, largest].T, names, labels,
        hover="%{y}<br>batch %{x}: %{z:.2%} of its rows<extra></extra>", x="batch", y="",
    )  # fmt: skip
    left_out = len(data.strata) > len(largest)
    note = f"The {len(largest)} largest of {len(data.strata):,} are drawn." if left_out else ""
    return figure, 110 + 20 * len(largest), note


def _heat_map(
    values: np.ndarray, names: list[str], labels: list[str], *, hover: str, x: str, y: str
) -> dict[str, Any]:
    trace = {
        "type": "heatmap", "z": np.round(values, 6).tolist(), "zmin": 0, "colorscale": _HEAT,
        "xgap": 1, "ygap": 1, "hovertemplate": hover,
        "colorbar": {"tickformat": ".0%", "thickness": 10, "outlinewidth": 0, "len": 0.9},
    }  # fmt: skip
    layout = {
        "xaxis": labelled(names, title=x),
        "yaxis": labelled(labels, title=y, autorange="reversed"),
    }
    return {"data": [trace], "layout": layout}


def _of_evaluation(record: RunRecord) -> list[Chart | None]:
    found = record.evaluation
    if found is None:
        return []
    return [confusion(found, labels_of(record)) if found.confusion else residuals(found)]


def confusion(found: Evaluation, classes: list[str]) -> Chart:
    """Rows by true and by predicted class, as shares of the true one."""
    counts = np.array(found.confusion, np.int64)
    support = counts.sum(axis=1)
    largest = np.sort(np.argsort(-support, kind="stable")[:MAX_CLASSES])
    inner = counts[np.ix_(largest, largest)]
    shares = inner / np.maximum(support[largest], 1)[:, None]
    labels = [short(classes[i], 20) for i in largest]
    figure = _heat_map(
        shares, labels, labels, x="predicted", y="true",
        hover=(
            "true %{y}<br>predicted %{x}<br>%{customdata:,d} rows, %{z:.1%} of the true class"
            "<extra></extra>"
        ),
    )  # fmt: skip
    trace = figure["data"][0]
    trace |= {"customdata": inner.tolist(), "zmax": 1, "showscale": False}
    if len(largest) <= MAX_WRITTEN:
        trace |= {"text": [[f"{n:,}" for n in row] for row in inner], "texttemplate": "%{text}"}
        trace["textfont"] = {"color": "@ink"}
    axis_below = figure["layout"]["xaxis"]
    axis_below |= {"tickangle": -40 if len(largest) > 3 else 0}
    axis_below |= {"showticklabels": len(largest) <= MAX_WRITTEN}
    right = int(np.trace(counts))
    fact = (
        f"{share(right / max(found.rows, 1))} of {found.rows:,} validation rows are on the "
        "diagonal: their class is right."
    )
    left_out = len(largest) < len(counts)
    note = "Colour is the share of the true class."
    if len(largest) > MAX_WRITTEN:
        note += " Columns are in the order of the rows."
    if left_out:
        note += f" The {len(largest)} classes with most rows, of {len(counts):,}, are drawn."
    height = min(640, 190 + 34 * len(largest))
    return Chart(id="confusion", figures=[figure], fact=fact, height=height, note=note)


def residuals(found: Evaluation) -> Chart | None:
    """How far off predictions are; None where none was a number."""
    if not found.residual_counts:
        return None
    edges = np.array(found.residual_edges)
    middle = found.residual_quantiles[3]
    ranges = [f"{measured(a)} to {measured(b)}" for a, b in pairwise(edges)]
    trace = {
        "type": "bar", "x": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "y": list(found.residual_counts), "width": np.diff(edges).tolist(),
        "customdata": ranges, "marker": {"color": "@train", "line": {"color": "@page", "width": 1}},
        "hovertemplate": "%{customdata}: %{y:,d} rows<extra></extra>",
    }  # fmt: skip
    layout = {
        "bargap": 0,
        "xaxis": axis("target minus prediction", zeroline=True, zerolinecolor="@muted"),
        "yaxis": axis("rows", fixedrange=True),
    }
    low, high = found.residual_quantiles[1], found.residual_quantiles[5]
    fact = (
        f"Target minus prediction: 90\u202f% of rows are between {measured(low)} and "
        f"{measured(high)}, the middle one at {measured(middle)}."
    )
    return Chart(
        id="residuals", figures=[{"data": [trace], "layout": layout}], fact=fact, height=340,
        note="Drawn between the 1\u202f% and 99\u202f% quantiles.",
    )  # fmt: skip


def importance(found: dict[str, float]) -> Chart | None:
    """The most important columns."""
    top = list(found.items())[:MAX_FEATURES]
    if not top:
        return None
    name, value = top[0]
    total = sum(found.values())
    part = f", {share(value / total)} of the sum," if total > 0 else ""
    fact = f"“{short(name, 60)}” matters most{part} of {counted(len(found), 'column')}."
    more = len(found) - len(top)
    note = f"The first {len(top)}; {counted(more, 'column')} below them." if more else ""
    return _bars("importance", top, [f"{v:.3g}" for _, v in top], fact, note)


def time_by_stage(record: RunRecord) -> Chart | None:
    """Where the time went."""
    if record.end is None or not record.end.seconds_by_stage:
        return None
    stages = sorted(record.end.seconds_by_stage.items(), key=lambda item: -item[1])
    name, seconds = stages[0]
    total = record.end.seconds
    part = f", {share(seconds / total)} of {duration(total)}" if total > 0 else ""
    fact = f"Most of the time went into {name}: {duration(seconds)}{part}."
    return _bars("stages", stages, [duration(s) for _, s in stages], fact, "")


def _bars(
    name: str, items: list[tuple[str, float]], texts: list[str], fact: str, note: str
) -> Chart:
    trace = {
        "type": "bar", "orientation": "h", "y": list(range(len(items))),
        "x": [finite(value) for _, value in items], "text": texts, "textposition": "outside",
        "cliponaxis": False, "marker": {"color": "@train"},
        "textfont": {"color": "@ink"}, "hoverinfo": "none",
    }  # fmt: skip
    largest = max((value for _, value in items if math.isfinite(value)), default=0.0)
    layout = {
        # Room for the number behind the longest bar.
        "xaxis": axis(visible=False, fixedrange=True, range=[0, 1.3 * largest or 1]),
        "yaxis": labelled([label for label, _ in items], autorange="reversed"),
        "bargap": 0.35,
    }
    figure = {"data": [trace], "layout": layout}
    return Chart(id=name, figures=[figure], fact=fact, height=30 + 24 * len(items), note=note)
