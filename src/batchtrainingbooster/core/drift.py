"""How new rows differ from those of the first training.

The measure is the population stability index (PSI) over bins of the first training's rows: the sum
of ``(now - then) * log(now / then)`` of the bins' shares. By convention, below 0.1 is no shift, and
above 0.25 a large one (E. Lewis, An Introduction to Credit Scoring, 1994; N. Siddiqi, Credit Risk
Scorecards, 2006). Of few rows it is large by chance alone: it is distributed as chi-square times
``1 / rows_then + 1 / rows_now`` (B. Yurdakul, Statistical Properties of Population Stability Index,
2018), so what chance would give once in a thousand columns is no shift here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import attrs
import numpy as np

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.data_summary import (
    ColumnSummary,
    DataSummary,
    counts_in_bins,
    places_to_look_at,
    summary_of,
)
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TableSchema

SOME_SHIFT, LARGE_SHIFT = 0.1, 0.25
MAX_SHOWN = 10
# The 99.9 % point of the normal distribution.
_Z = 3.09

Shift = Literal["none", "some", "large"]


@attrs.frozen(kw_only=True)
class ColumnDrift:
    """How a column's values have moved.

    Attributes
    ----------
    name : str
    psi : float
        Population stability index, missing values included.
    by_chance : float
        What rows of the same distribution exceed once in a thousand times.
    missing : (float, float)
        Shares of rows without a value, then and now.
    median_shift : float, optional
        Of a number: how far the median has moved, in interquartile ranges of then.
    known_rows : float, optional
        Of a categorical column: share of the values now that the first training had.
    categories_seen : float, optional
        Share of the first training's categories that are there now.
    """

    name: str
    psi: float
    by_chance: float
    missing: tuple[float, float]
    median_shift: float | None = None
    known_rows: float | None = None
    categories_seen: float | None = None

    @property
    def shift(self) -> Shift:
        """How large it is."""
        return _size(self.psi, self.by_chance)

    def __str__(self) -> str:
        size = "no shift" if self.shift == "none" else f"{self.shift} shift"
        parts = [f"PSI {self.psi:.2f} ({size})"]
        if self.median_shift is not None:
            parts.append(f"median {self.median_shift:+.2f} interquartile ranges")
        if self.known_rows is not None and self.known_rows < 1:
            parts.append(f"{1 - self.known_rows:.1%} of values are new categories")
        then, now = (f"{share:.1%}" for share in self.missing)
        if then != now:
            parts.append(f"missing {then} -> {now}")
        return f"{self.name!r}: {', '.join(parts)}"


@attrs.frozen(kw_only=True)
class Drift:
    """How new rows differ from those of the first training.

    Attributes
    ----------
    rows : (int, int)
        Training rows, then and now.
    target : ColumnDrift
        Balance of the classes, or the values of a target that has none.
    classes : dict of label to (float, float)
        Share of each class, then and now; empty where there are none.
    columns : tuple of ColumnDrift
        By matrix column, largest index first.
    """

    rows: tuple[int, int]
    target: ColumnDrift
    classes: dict[Label, tuple[float, float]]
    columns: tuple[ColumnDrift, ...]

    @property
    def moved(self) -> tuple[ColumnDrift, ...]:
        """The columns with a shift."""
        return tuple(column for column in self.columns if column.shift != "none")

    @property
    def shift(self) -> Shift:
        """The largest one, of the target or a column."""
        found = {column.shift for column in (self.target, *self.columns)}
        return "large" if "large" in found else "some" if "some" in found else "none"

    def lines(self) -> Iterator[tuple[Shift, str]]:
        """What has moved, worst first, for the log; and how far."""
        then, now = self.rows
        balance = sorted(self.classes.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
        shown = ", ".join(f"{k!r} {a:.1%} -> {b:.1%}" for k, (a, b) in balance[:MAX_SHOWN])
        yield self.target.shift, f"target {self.target}{f'; {shown}' if shown else ''}"
        moved = self.moved
        yield from ((column.shift, f"feature {column}") for column in moved[:MAX_SHOWN])
        more = f"{len(moved) - MAX_SHOWN:,} more features moved; " * (len(moved) > MAX_SHOWN)
        still = f"{len(self.columns) - len(moved):,} of {len(self.columns):,} features did not move"
        yield "none", f"{more}{still} ({then:,} rows in the first training, {now:,} now)"


@attrs.define(eq=False)
class DataLook:
    """Looks at the sample of rows that a run reads anyway.

    Attributes
    ----------
    schema : TableSchema
    strata : sequence of int
        Training rows by class or bin.
    first : DataSummary, optional
        Of the first training, where there was one.
    summary : DataSummary, optional
        Of these rows, once they were looked at.
    drift : Drift, optional
        From the first training's.
    """

    schema: TableSchema
    strata: Sequence[int]
    first: DataSummary | None = None
    summary: DataSummary | None = None
    drift: Drift | None = None

    @property
    def is_done(self) -> bool:
        """Whether a sample was looked at."""
        return self.summary is not None

    def take(self, sample: Batch) -> None:
        """Look at the sample."""
        features, label = sample.features, sample.label
        if self.first is None:
            self.summary = summary_of(features, label, self.schema, self.strata)
        else:
            # The first one is what every later day is compared with.
            self.summary = self.first
            self.drift = drift_of(self.first, features, label, self.schema, self.strata)


def drift_of(
    first: DataSummary,
    features: np.ndarray,
    label: np.ndarray,
    schema: TableSchema,
    strata: Sequence[int],
) -> Drift:
    """How rows differ from those of the first training; parameters as for ``summary_of``."""
    places = places_to_look_at(len(label))
    columns = [
        column_drift(name, first.columns[name], features[places, i], first.sampled)
        for i, name in enumerate(schema.column_names)
    ]
    columns.sort(key=lambda column: (column.shift == "none", -column.psi, column.name))
    name, classes, nothing = schema.target.name, schema.target.classes, (0.0, 0.0)
    if first.target is not None:
        target = column_drift(name, first.target, label[places], first.sampled)
    else:
        psi, chance = stability_index(first.classes, strata)
        target = ColumnDrift(name=name, psi=psi, by_chance=chance, missing=nothing)
    shares = [[n / max(1, sum(counts)) for n in counts] for counts in (first.classes, strata)]
    return Drift(
        rows=(first.rows, sum(strata)),
        target=target,
        classes=dict(zip(classes, zip(*shares, strict=True), strict=True)) if classes else {},
        columns=tuple(columns),
    )


def column_drift(name: str, first: ColumnSummary, values: np.ndarray, rows: int) -> ColumnDrift:
    """How a column's values have moved.

    Parameters
    ----------
    name : str
    first : ColumnSummary
    values : ndarray of shape (n_rows,), float32
        Missing ones are NaN; categories are codes of a dictionary that begins with the first one.
    rows : int
        How many the first ones were.
    """
    present = values[~np.isnan(values)]
    n_missing = len(values) - len(present)
    missing = first.missing / max(1, rows), n_missing / max(1, len(values))
    known = seen = median = None
    if first.n_categories:
        codes = present.astype(np.int64)
        counts = np.bincount(codes, minlength=first.n_categories)
        n_known = int(counts[: first.n_categories].sum())
        own = counts[list(first.codes)]
        then = [*first.counts, rows - first.missing - sum(first.counts), 0]
        now = [*own.tolist(), n_known - int(own.sum()), len(codes) - n_known]
        known = n_known / len(codes) if len(codes) else 1.0
        seen = float(np.count_nonzero(counts[: first.n_categories]) / first.n_categories)
    else:
        then = list(first.counts) or [0]
        now = counts_in_bins(present, first.edges).tolist()
        median = _median_shift(first.quartiles, present)
    psi, chance = stability_index([*then, first.missing], [*now, n_missing])
    return ColumnDrift(
        name=name,
        psi=psi,
        by_chance=chance,
        missing=missing,
        median_shift=median,
        known_rows=known,
        categories_seen=seen,
    )


def _median_shift(quartiles: Sequence[float], values: np.ndarray) -> float | None:
    if not quartiles or not len(values) or quartiles[2] == quartiles[0]:
        return None
    middle = float(np.partition(values, (len(values) - 1) // 2)[(len(values) - 1) // 2])
    return (middle - quartiles[1]) / (quartiles[2] - quartiles[0])


def stability_index(then: Sequence[int], now: Sequence[int]) -> tuple[float, float]:
    """The population stability index, and what chance alone exceeds once in a thousand times.

    Every bin has half a row more, so that an empty one is no infinite shift.

    Examples
    --------
    >>> stability_index([10, 20], [10, 20])[0]
    0.0
    >>> psi, by_chance = stability_index([500, 500], [900, 100])
    >>> round(psi, 2), round(by_chance, 2)
    (0.88, 0.02)
    """
    counts = np.array([then, now], np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    totals = counts.sum(axis=1)
    if counts.shape[1] < 2 or not totals.all():
        return 0.0, math.inf
    p, q = (counts + 0.5) / (totals + counts.shape[1] / 2)[:, None]
    psi = float(np.sum((q - p) * np.log(q / p)))
    return psi, _chi_square_limit(counts.shape[1] - 1) * float(np.sum(1 / totals))


def _chi_square_limit(degrees: int) -> float:
    """Its 99.9 % point, by Wilson and Hilferty's approximation."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + _Z * math.sqrt(part)) ** 3)


def _size(psi: float, by_chance: float) -> Shift:
    if psi < SOME_SHIFT or psi <= by_chance:
        return "none"
    return "large" if psi >= LARGE_SHIFT else "some"
