"""What the rows of a training looked like, in short: what later rows are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from batchtrainingbooster.core.table import TableSchema

# Of a random sample, deciles are off by less than 0.4 % of the rows.
MAX_ROWS = 20_000
N_BINS = 10
MAX_CODES = 100
# The most frequent of many rare categories are so by chance, and would be rarer in any other rows.
MIN_ROWS_OF_CODE = 20


@attrs.frozen(kw_only=True)
class ColumnSummary:
    """One column of the feature matrix, or a target that is a number.

    Attributes
    ----------
    missing : int
        Rows without a value.
    edges : tuple of float
        Of a number: the upper edges, included, of its bins but the last. The first bin ends below
        the smallest value and the last one begins above the largest, so both are empty here; those
        between are deciles, fewer where many values are equal. Empty where every value is missing.
    quartiles : tuple of float
        25 %, 50 %, 75 %; empty as ``edges``.
    n_categories : int
        Of a categorical column: the length of its dictionary; 0 for a number.
    codes : tuple of int
        Its most frequent categories, if frequent at all.
    counts : tuple of int
        Rows by bin, or by these codes.
    """

    missing: int
    edges: tuple[float, ...] = ()
    quartiles: tuple[float, ...] = ()
    n_categories: int = 0
    codes: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class DataSummary:
    """The rows that a model was first trained on.

    Attributes
    ----------
    rows : int
        All training rows.
    sampled : int
        Those that ``columns`` are about, a random sample.
    classes : tuple of int
        Training rows by class; empty unless the target has classes.
    target : ColumnSummary, optional
        Of a target that has none.
    columns : dict of str to ColumnSummary
        By name of the matrix column.
    """

    rows: int
    sampled: int
    classes: tuple[int, ...]
    target: ColumnSummary | None
    columns: dict[str, ColumnSummary]


def summary_of(
    features: np.ndarray, label: np.ndarray, schema: TableSchema, strata: Sequence[int]
) -> DataSummary:
    """What these rows look like.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_columns), float32
        At most ``MAX_ROWS`` of them are looked at. Missing values are NaN.
    label : ndarray of shape (n_rows,), float32
    schema : TableSchema
    strata : sequence of int
        Training rows by class, or by whatever else they are counted by.
    """
    has_classes, places = bool(schema.target.classes), places_to_look_at(len(label))
    columns = {
        name: _of_codes(features[places, i], n) if n else of_numbers(features[places, i])
        for i, (name, n) in enumerate(zip(schema.column_names, schema.cardinalities, strict=True))
    }
    return DataSummary(
        rows=sum(strata),
        sampled=min(len(label), MAX_ROWS),
        classes=tuple(strata) if has_classes else (),
        target=None if has_classes else of_numbers(label[places]),
        columns=columns,
    )


def places_to_look_at(n_rows: int) -> np.ndarray:
    """The places of a random sample, the same ones each time.

    Rows of a batch are sorted by a hash of their values, so equal ones are neighbours, and the
    first ones are no random sample of rows that repeat.
    """
    return np.random.default_rng(0).permutation(n_rows)[:MAX_ROWS]


def of_numbers(column: np.ndarray) -> ColumnSummary:
    """A column of numbers.

    Examples
    --------
    >>> summary = of_numbers(np.array([2, 1, np.nan, 2], np.float32))
    >>> summary.missing, summary.counts, summary.quartiles
    (1, (0, 1, 2, 0), (1.0, 2.0, 2.0))
    """
    values = np.sort(column[~np.isnan(column)])
    n, n_missing = len(values), len(column) - len(values)
    if not n:
        return ColumnSummary(missing=n_missing)
    below = np.nextafter(values[0], np.float32(-np.inf))
    deciles = values[[(n - 1) * i // N_BINS for i in range(N_BINS + 1)]]
    edges = np.unique(np.append(deciles, below))
    return ColumnSummary(
        missing=n_missing,
        edges=tuple(edges.tolist()),
        quartiles=tuple(values[[(n - 1) * i // 4 for i in (1, 2, 3)]].tolist()),
        counts=tuple(counts_in_bins(values, edges.tolist()).tolist()),
    )


def counts_in_bins(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Rows by bin, of shape (n_edges + 1,); ``edges`` as in ``ColumnSummary``."""
    bins = np.searchsorted(np.asarray(edges, np.float32), values)
    return np.bincount(bins, minlength=len(edges) + 1)


def _of_codes(column: np.ndarray, n_categories: int) -> ColumnSummary:
    codes = column[~np.isnan(column)].astype(np.int64)
    counts = np.bincount(codes, minlength=n_categories)
    largest = np.argsort(-counts, kind="stable")[:MAX_CODES]
    largest = largest[counts[largest] >= MIN_ROWS_OF_CODE]
    return ColumnSummary(
        missing=len(column) - len(codes),
        n_categories=n_categories,
        codes=tuple(largest.tolist()),
        counts=tuple(counts[largest].tolist()),
    )
