"""Figures from a history. They are never shown here, so no display is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.stopping import Best
from batchtrainingbooster.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart.
_TRAIN, _VALID, _BEST, _DROPPED = "#0072B2", "#D55E00", "#009E73", "#BBBBBB"


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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.of("matplotlib", "plots", "Learning curves") from error
    figure = Figure(figsize=(9, 6), layout="constrained", dpi=120)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = list(history)
    rounds = [row.round + 1 for row in rows]
    upper.plot(rounds, [row.train[metric] for row in rows], color=_TRAIN, label="train (batch)")
    if rows and rows[0].valid:
        values = [row.valid[metric] for row in rows]
        upper.plot(rounds, values, color=_VALID, label="validation")
    dropped = [(row.round + 1, row.n_rounds) for row in rows if not row.kept]
    for number, (round_, _) in enumerate(dropped):
        upper.axvspan(
            round_ - 0.5, round_ + 0.5, color=_DROPPED, alpha=0.4, linewidth=0,
            label="dropped rounds" if number == 0 else None,
        )  # fmt: skip
    starts = [row for before, row in zip([None, *rows], rows, strict=False)
              if before is None or before.visit != row.visit]  # fmt: skip
    for row in starts:
        for axes in (upper, lower):
            axes.axvline(row.round + 0.5, color="#888888", linewidth=0.6, linestyle=":")
        if len(starts) <= 30 and row.batch is not None:
            upper.annotate(
                f"batch {row.batch + 1}", (row.round + 0.5, 1), (2, -2), fontsize=7,
                color="#666666",
                xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
            )  # fmt: skip
    if best is not None and best.round is not None:
        upper.plot(
            best.round + 1, best.value, "o", color=_BEST,
            label=f"best: {best.value:.5g} at round {best.round + 1}",
        )  # fmt: skip
    upper.set_ylabel(metric)
    upper.legend(loc="best", fontsize=8)
    upper.set_title("Learning curves; dotted lines are batch boundaries", fontsize=10)
    lower.step(rounds, [row.learning_rate for row in rows], where="mid", color=_TRAIN)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("round")
    return figure
