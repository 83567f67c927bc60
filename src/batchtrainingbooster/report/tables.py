"""The tables of the page, as texts."""

from __future__ import annotations

import attrs
import numpy as np

from batchtrainingbooster.core.evaluation import QUANTILES, Evaluation
from batchtrainingbooster.core.events import VisitEnd
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.record import RunRecord, settings_of
from batchtrainingbooster.report.curves import metrics
from batchtrainingbooster.report.wording import (
    counted,
    duration,
    measured,
    setting,
    share,
    short,
)

MAX_CLASSES, MAX_VISITS, MAX_MISTAKES, MAX_SETTINGS = 50, 200, 10, 200


@attrs.frozen(kw_only=True)
class Table:
    """Rows of texts under column names; the first of each names the row.

    Attributes
    ----------
    id, caption : str
    columns : list of str
    rows : list of list of str
    numbers : bool
        Whether the other columns are numbers.
    note : str
        What was left out.
    """

    id: str
    caption: str
    columns: list[str]
    rows: list[list[str]]
    numbers: bool = True
    note: str = ""


def labels_of(record: RunRecord) -> list[str]:
    """The classes, by number where their labels are not known."""
    if record.data is not None:
        return [str(label) for label in record.data.classes]
    n_classes = len(record.evaluation.class_counts) if record.evaluation else 0
    return [f"{i + 1}" for i in range(n_classes)]


def by_class(found: Evaluation, classes: list[str]) -> Table:
    """Precision, recall and F1 of the classes, those with most rows if they are many."""
    scores = found.by_class()
    largest = sorted(range(len(scores)), key=lambda i: -scores[i].support)[:MAX_CLASSES]
    rows = [
        [short(classes[i], 80), share(s.precision), share(s.recall), share(s.f1), f"{s.support:,}"]
        for i, s in ((i, scores[i]) for i in sorted(largest))
    ]
    more = len(scores) - len(largest)
    note = f"{counted(more, 'class', 'classes')} with fewer rows left out." if more else ""
    columns = ["class", "precision", "recall", "F1", "rows"]
    return Table(id="by-class", caption="By class", columns=columns, rows=rows, note=note)


def mistakes(found: Evaluation, classes: list[str]) -> Table | None:
    """The pairs of classes that are mixed up most often; None if there are but two, or none."""
    counts = np.array(found.confusion, np.int64)
    if len(counts) < 3:
        return None
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MAX_MISTAKES]
    pairs = [divmod(int(i), len(counts)) for i in order if counts.flat[i]]
    if not pairs:
        return None
    rows = [
        [f"{short(classes[true], 60)} → {short(classes[taken], 60)}", f"{counts[true, taken]:,}"]
        for true, taken in pairs
    ]
    columns = ["true → predicted", "rows"]
    return Table(id="mistakes", caption="Most frequent mistakes", columns=columns, rows=rows)


def errors(found: Evaluation) -> Table | None:
    """The measures of a regression and the quantiles of its residuals."""
    if not found.residual_quantiles:
        return None
    rows = [
        ["mean absolute error", measured(found.mean_absolute_error)],
        ["root mean squared error", measured(found.root_mean_squared_error)],
        ["R²", measured(found.r2)],
        *(
            [f"{100 * q:g}\u202f% quantile of target minus prediction", measured(value)]
            for q, value in zip(QUANTILES, found.residual_quantiles, strict=True)
        ),
    ]
    return Table(id="errors", caption="Errors", columns=["measure", "value"], rows=rows)


def visits(record: RunRecord) -> Table | None:
    """Each visit with its last round, the last ones of many; None before the first."""
    if not record.visits:
        return None
    last = {row.visit: row for row in record.rows}
    names = metrics(record)[:1]
    shown = record.visits[-MAX_VISITS:]
    more = len(record.visits) - len(shown)
    return Table(
        id="by-visit",
        caption="Visits",
        columns=[
            "visit", "epoch", "batch", "learning rate", *(f"train {n}" for n in names),
            *(f"valid. {n}" for n in names), "rounds in model", "gain", "time",
        ],
        rows=[_visit(visit, last.get(visit.visit), names) for visit in shown],
        note=f"{counted(more, 'earlier visit')} left out." if more else "",
    )  # fmt: skip


def _visit(visit: VisitEnd, row: Row | None, names: list[str]) -> list[str]:
    found = [
        f"{visit.visit + 1:,}",
        f"{visit.epoch + 1:,}",
        "all" if visit.batch is None else f"{visit.batch + 1:,}",
        measured(row.learning_rate if row else None),
    ]
    for part in (row.train if row else {}, row.valid if row else {}):
        found += [measured(part.get(name)) for name in names]
    gain = "yes" if visit.improved else "no"
    return [*found, f"{visit.n_rounds:,}", gain, duration(visit.seconds)]


def data(record: RunRecord) -> Table | None:
    """What was found out about the data; None before."""
    found = record.data
    if found is None:
        return None
    kinds = list(found.features.values())
    better = "larger" if found.maximize else "smaller"
    sizes = [sum(batch) for batch in found.batches]
    rows = [
        ["Target", record.start.target_column if record.start else ""],
        ["Kind", found.kind],
        ["Objective", found.objective],
        ["Deciding metric", f"{found.metric}, {better} is better"],
        ["Features", ", ".join(f"{kinds.count(k):,} {k}" for k in dict.fromkeys(kinds))],
        ["Batches", f"{len(sizes):,}, of {min(sizes):,} to {max(sizes):,} rows" if sizes else "0"],
        ["Validation rows", f"{sum(found.validation):,}" if found.validation else "none"],
        ["Staging", duration(found.seconds)],
        ["Place", found.place],
    ]  # fmt: skip
    if found.classes:
        rows.insert(2, ["Classes", f"{len(found.classes):,}"])
    return Table(
        id="data-table", caption="Data", columns=["what", "value"], rows=rows, numbers=False
    )


def settings(record: RunRecord) -> Table | None:
    """As they were given; None if none were."""
    given = list(settings_of(record).items())
    if not given:
        return None
    rows = [[short(name, 120), setting(value)] for name, value in given[:MAX_SETTINGS]]
    more = len(given) - len(rows)
    return Table(
        id="settings-table", caption="Settings as given", columns=["setting", "value"], rows=rows,
        numbers=False, note=f"{counted(more, 'setting')} left out." if more else "",
    )  # fmt: skip


def versions(record: RunRecord) -> Table | None:
    """Of the libraries; None if they are not known."""
    if record.start is None or not record.start.versions:
        return None
    rows = [[name, str(version)] for name, version in record.start.versions.items()]
    return Table(
        id="versions-table", caption="Versions", columns=["what", "version"], rows=rows,
        numbers=False,
    )  # fmt: skip
