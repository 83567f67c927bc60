"""Figures of a run's batches, time and features, as bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from batchtrainingbooster.core.events import StagingEnd
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    PURPLE,
    SKY,
    TEXT,
    VERMILION,
    YELLOW,
    drawn,
    in_units,
    is_drawable,
    new_figure,
    plain_axes,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FEATURES = 20
_COLORS = (BLUE, ORANGE, GREEN, SKY, VERMILION, PURPLE, YELLOW)


def class_balance(record: RunRecord) -> Figure | None:
    """Share of each class, or bin of the target, in each batch and in the validation set.

    None where it is not known. Of many classes, the largest have a colour each; the rest share one.
    """
    data = record.data
    if data is None or not data.batches or not any(map(sum, data.batches)):
        return None
    if len(data.strata) == 1:
        return _rows_by_batch(data)
    names, colors, groups = _grouped(data)
    n_axes = 2 if data.validation and sum(data.validation) else 1
    figure = new_figure(9, 4.6)
    ratios = (1.0,) if n_axes == 1 else (9.0, 1.3 if len(data.batches) > 4 else 2.0)
    all_axes = figure.subplots(1, n_axes, sharey=True, squeeze=False, width_ratios=ratios)[0]
    _stack(all_axes[0], groups(data.batches), colors)
    plain_axes(all_axes[0], f"{_what(data)} by batch{_evenness(data)}")
    all_axes[0].set_ylabel("share of rows (%)")
    all_axes[0].set_ylim(0, 100)
    all_axes[0].set_xlabel("batch")
    whole_numbers(all_axes[0].xaxis)
    if n_axes == 2:
        _stack(all_axes[1], groups([data.validation]), colors)
        all_axes[1].set_xticks([1], ["validation"])
        all_axes[1].spines[["top", "right"]].set_visible(False)
    handles = all_axes[0].containers
    figure.legend(
        handles[::-1], names[::-1], loc="outside right upper", fontsize=9, frameon=False,
        title="bin of target" if data.kind == "regression" else "class",
    )  # fmt: skip
    return figure


def time_by_stage(record: RunRecord) -> Figure | None:
    """Where the time went, the longest stage first; None before the run has come to its end."""
    if record.end is None or not record.end.seconds_by_stage:
        return None
    total = record.end.seconds
    stages = sorted(record.end.seconds_by_stage.items(), key=lambda item: -item[1])
    rest = total - sum(seconds for _, seconds in stages)
    colors = [BLUE] * len(stages)
    if rest > 0.01 * total:
        stages.append(("all else", rest))
        colors.append(GREY)
    by, unit = in_units(total)
    values = [seconds / by for _, seconds in stages]
    labels = [f"{value:.3g} ({_percent(value * by, total)})" for value in values]
    return _horizontal(
        f"Time by stage; in all {total / by:.4g} {unit}",
        f"time ({unit})",
        [name for name, _ in stages],
        (values, labels),
        colors,
    )


def feature_importance(record: RunRecord) -> Figure | None:
    """The most important features; None where no feature was of any use, or none is known."""
    useful = [
        (name, value)
        for name, value in record.importance.items()
        if value > 0 and is_drawable(value)
    ]
    if not useful:
        return None
    useful.sort(key=lambda item: -item[1])
    shown = useful[:MAX_FEATURES]
    n_features = len(record.importance)
    first = f"; the first {len(shown)} of {n_features} columns" if len(shown) < n_features else ""
    return _horizontal(
        f"Feature importance{first}",
        "importance, as the booster measures it",
        [name for name, _ in shown],
        ([value for _, value in shown], [f"{value:.3g}" for _, value in shown]),
        [BLUE] * len(shown),
    )


def _grouped(data: StagingEnd) -> tuple[list[str], list[Any], Callable[[Any], np.ndarray]]:
    """Names and colours of what is told apart, and what adds rows by stratum up to it."""
    n_strata = len(data.strata)
    if data.kind == "regression":
        # Bins have an order, which a colour map shows.
        from matplotlib import colormaps

        shades = colormaps["cividis"](np.linspace(0.05, 0.95, n_strata))
        shown, colors = np.arange(n_strata), list(shades)
    else:
        totals = np.sum(data.batches, axis=0)
        most = len(_COLORS)
        shown = np.sort(np.argsort(-totals, kind="stable")[:most])
        colors = list(_COLORS[: len(shown)])
    names = [_legend_name(data.strata[i]) for i in shown]
    others = np.setdiff1d(np.arange(n_strata), shown)
    if len(others):
        is_one = len(others) == 1
        names.append(_legend_name(data.strata[others[0]]) if is_one else f"{len(others)} others")
        colors.append(LIGHT)

    def add_up(parts: Any) -> np.ndarray:
        counts = np.array(parts)
        sums = [counts[:, i] for i in shown]
        if len(others):
            sums.append(counts[:, others].sum(axis=1))
        # Shape (n_groups, n_parts).
        return np.stack(sums)

    return names, colors, add_up


def _legend_name(name: str) -> str:
    """Short; an underscore at its beginning would leave it out of the legends of matplotlib 3.8."""
    shown = drawn(name, 24)
    return f" {shown}" if shown.startswith("_") else shown


def _stack(axes: Any, counts: np.ndarray, colors: Sequence[Any]) -> None:
    """Bars of shares; counts of shape (n_groups, n_bars)."""
    totals = counts.sum(axis=0)
    shares = 100 * counts / np.where(totals, totals, 1)
    at, below = np.arange(1, counts.shape[1] + 1), np.zeros(counts.shape[1])
    width = 0.8 if counts.shape[1] <= 40 else 1.0
    for color, share in zip(colors, shares, strict=True):
        axes.bar(at, share, width, bottom=below, color=color)
        below = below + share
    axes.set_xlim(0.4, counts.shape[1] + 0.6)


def _what(data: StagingEnd) -> str:
    return "Bins of the target" if data.kind == "regression" else "Classes"


def _evenness(data: StagingEnd) -> str:
    """How far a batch is from the whole, which the eye cannot see."""
    if len(data.batches) == 1:
        return ""
    counts = np.array(data.batches, np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(totals, totals, 1)
    whole = counts.sum(axis=0) / counts.sum()
    off = 100 * float(np.abs(shares - whole)[totals[:, 0] > 0].max())
    return f"; at most {off:.2g} percentage points from the whole"


def _rows_by_batch(data: StagingEnd) -> Figure:
    figure = new_figure(9, 4)
    axes = figure.subplots()
    rows = [sum(batch) for batch in data.batches]
    axes.bar(range(1, len(rows) + 1), rows, 0.8 if len(rows) <= 40 else 1.0, color=BLUE)
    plain_axes(axes, "Rows by batch")
    axes.set_ylabel("rows")
    axes.set_xlabel("batch")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    whole_numbers(axes.xaxis)
    return figure


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _horizontal(
    title: str,
    unit: str,
    names: Sequence[str],
    values: tuple[Sequence[float], Sequence[str]],
    colors: Sequence[str],
) -> Figure:
    """A bar for each name, from top to bottom, with its value beside it."""
    at, slots = range(len(names)), max(3, len(names))
    figure = new_figure(9, 1.2 + 0.28 * slots)
    axes = figure.subplots()
    bars = axes.barh(at, values[0], color=colors)
    axes.bar_label(bars, values[1], padding=3, fontsize=9, color=TEXT)
    axes.set_yticks(at, [drawn(name) for name in names], fontsize=9)
    axes.set_ylim(slots - 0.4, -0.6)
    # Room for the labels.
    axes.set_xlim(0, max(values[0]) * 1.18 or 1)
    axes.set_xlabel(unit)
    plain_axes(axes, title)
    return figure
