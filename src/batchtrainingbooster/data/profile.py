"""One look at a DataFrame: counts by class and cell, dictionaries, and whether it can be used.

Counts by stratum and cell (``core.cells``) are all that the assignment of rows to batches needs to
know.

The DataFrame is evaluated once. Where the target may be one of regression, several questions are
asked of it, so the few columns that they need are kept by Spark meanwhile, and released. An integer
is taken for a class until it is found not to be one, which costs a second look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.core.cells import N_CELLS
from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.grouping import N_BUCKETS
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.bins import (
    MAX_CLASSES_OF_A_NUMBER,
    OTHER_LABEL,
    Bins,
    cell_of,
    has_few_whole_labels,
    quantile_bins,
    small_label,
    stratum_bin,
)
from batchtrainingbooster.data.columns import label_is_numeric
from batchtrainingbooster.data.dictionaries import dictionaries, refuse_bytes_that_are_no_text
from batchtrainingbooster.data.faults import fault_bits, refuse_faults
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_PROFILE_ROWS = 5_000_000
# Each takes a tree a round, and 8 kB of counts by cell, which Spark's planner holds several times.
MAX_CLASSES = 5_000


@attrs.frozen(eq=False)
class Profile:
    """What one look has found.

    Attributes
    ----------
    classes : tuple of Label
        Sorted labels; empty where the target is a regression target.
    bins : Bins, optional
        For regression.
    counts : ndarray of shape (n_strata, N_CELLS), int64
        Rows by class, or bin, and cell; for ranking, of shape (1, N_BUCKETS), by bucket.
    weight_sums : ndarray of shape (n_strata,), float64
    label_sums : ndarray of shape (n_strata,), float64
        Of weight times target; zeros unless regression.
    checksum : int
        Sum of the row hashes modulo 2**64.
    categories : dict of int to tuple
        Sorted categories by position of the feature.
    widths : dict of int to int
        Lengths by position of the array features.
    """

    classes: tuple[Label, ...]
    bins: Bins | None
    counts: np.ndarray
    weight_sums: np.ndarray
    label_sums: np.ndarray
    checksum: int
    categories: dict[int, tuple[Label, ...]]
    widths: dict[int, int]

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.counts.sum())


def bucket_of(group_hash: Column) -> Column:
    """The bucket of a query."""
    return F.pmod(F.hash(group_hash), F.lit(N_BUCKETS))


def profile(
    source: Source,
    where: str,
    *,
    regression: bool | None,
    bins: Bins | None = None,
    allow_precision_loss: bool,
) -> Profile:
    """Look at a DataFrame once.

    Parameters
    ----------
    source : Source
    where : str
        Its name in messages.
    regression : bool, optional
        Whether the target is one of regression; None decides from its values.
    bins : Bins, optional
        Those of the training rows, when validation rows are looked at.
    allow_precision_loss : bool
        Accept integers that float32 cannot hold.

    Raises
    ------
    DataError
        If the rows cannot be trained on.
    """
    is_number = label_is_numeric(source.types[len(source.columns.features)])
    if regression and not is_number:
        name = source.columns.target
        msg = f"{where}: target {name!r} is no number, so it cannot be a regression target"
        raise DataError(msg)
    narrow = _narrow(source, allow_precision_loss=allow_precision_loss)
    with spark_failures(f"profiling {where}"):
        return _profile(narrow, source, where, regression, bins)


def _profile(
    narrow: DataFrame, source: Source, where: str, regression: bool | None, bins: Bins | None
) -> Profile:
    is_number = label_is_numeric(source.types[len(source.columns.features)])
    is_ranking = source.columns.group is not None
    if not is_number or is_ranking or bins is not None or regression is False:
        return _collect(_aggregate(narrow, source, bins), source, where, bins)
    whole = isinstance(source.types[len(source.columns.features)], T.IntegralType)
    if whole and regression is None:
        rows = _aggregate(narrow, source, None, small_labels=True)
        if _are_classes(rows):
            return _collect(rows, source, where, None)
    with _kept(narrow) as frame:
        rows = _aggregate(frame, source, None, small_labels=True)
        cells = [row for row in rows if row["feature"] == -1]
        n_null = sum(row["n"] for row in cells if row["stratum"] is None)
        _check_counts(sum(row["n"] for row in cells), n_null, source, where)
        if regression is None and _are_classes(rows):
            return _collect(rows, source, where, None)
        if regression or not has_few_whole_labels(frame):
            by_cell = np.bincount(
                [row["cell"] for row in cells], [row["n"] for row in cells], minlength=N_CELLS
            )
            bins = quantile_bins(frame, by_cell)
        return _collect(_aggregate(frame, source, bins), source, where, bins)


def _are_classes(rows: list[Any]) -> bool:
    """Whether a look for small labels has found few, and no other."""
    labels = {row["stratum"] for row in rows if row["feature"] == -1}
    return OTHER_LABEL not in labels and len(labels - {None}) <= MAX_CLASSES_OF_A_NUMBER


def _narrow(source: Source, *, allow_precision_loss: bool) -> DataFrame:
    """Only what the questions need: label, hash, weight, faults, sizes, categories."""
    columns = source.columns
    faults = fault_bits(source, allow_precision_loss=allow_precision_loss)
    return source.frame.selectExpr(
        f"{source.label} AS label",
        f"{source.row_hash} AS row_hash",
        *([f"{source.weight} AS weight"] if columns.weight else []),
        *([f"{source.group_hash} AS group_hash"] if columns.group else []),
        f"{faults} AS faults",
        *[f"{source.array_size(i)} AS s{i}" for i in columns.of_kind(FeatureKind.ARRAY)],
        *[f"{source.category(i)} AS k{i}" for i in columns.of_kind(FeatureKind.CATEGORICAL)],
    )


@contextmanager
def _kept(frame: DataFrame) -> Iterator[DataFrame]:
    kept = frame.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


def _aggregate(
    frame: DataFrame, source: Source, bins: Bins | None, *, small_labels: bool = False
) -> list[Any]:
    """Rows by stratum and cell, and rows by category, in one query.

    ``feature`` is -1 in the former, and the number of the categorical feature in the latter. With
    ``small_labels``, labels that are no small whole numbers count as one, so that the answer is
    never a long one.
    """
    categorical = source.columns.of_kind(FeatureKind.CATEGORICAL)
    label = F.col("label")
    if bins is not None:
        # Binned as it will be staged, in float32.
        label = label.cast("float").cast("double")
    stratum = label if bins is None else stratum_bin(label, bins.edges)
    if small_labels:
        stratum = small_label(label)
    cell = cell_of(F.col("row_hash"))
    if source.columns.group is not None:
        stratum, cell = F.lit(0), bucket_of(F.col("group_hash"))
    stratum = F.when(F.col("label").isNotNull(), stratum)
    keyed = frame.withColumn("cell", cell).withColumn("stratum", stratum)
    if categorical:
        # Without a case for each feature: thousands of them, one in the other, overflow the stack.
        values = ", ".join(["CAST(NULL AS string)", *[f"k{i}" for i in categorical]])
        keyed = keyed.selectExpr("*", f"posexplode(array({values})) AS (place, category)")
        of_row = F.col("place") == 0
        keyed = keyed.withColumns(
            {
                "feature": F.col("place") - 1,
                "stratum": F.when(of_row, F.col("stratum")),
                "cell": F.when(of_row, F.col("cell")),
            }
        )
    else:
        keyed = keyed.withColumns({"feature": F.lit(-1), "category": F.lit(None).cast("string")})
    weight = F.col("weight") if source.columns.weight else F.lit(1.0)
    weighted = weight * label.cast("double") if bins is not None else F.lit(0.0)
    arrays = source.columns.of_kind(FeatureKind.ARRAY)
    rows: list[Any] = (
        keyed.groupBy("feature", "category", "stratum", "cell")
        .agg(
            F.count(F.lit(1)).alias("n"),
            *hash_sums("row_hash"),
            F.sum(weight).alias("weight"),
            F.sum(weighted).alias("label_sum"),
            F.bit_or("faults").alias("faults"),
            *[F.min(f"s{i}").alias(f"min{i}") for i in arrays],
            *[F.max(f"s{i}").alias(f"max{i}") for i in arrays],
        )
        .limit(MAX_PROFILE_ROWS + 1)
        .collect()
    )
    return rows


def hash_sums(column: str) -> list[Column]:
    """Two sums that make a checksum; halves, as the sum of whole hashes would overflow."""
    return [
        F.sum(F.col(column).bitwiseAND(F.lit(0xFFFFFFFF))).alias("low"),
        F.sum(F.shiftrightunsigned(column, 32)).alias("high"),
    ]


def checksum(low: int, high: int) -> int:
    """The sum of row hashes modulo 2**64, from the sums of their halves."""
    return (low + (high << 32)) % 2**64


def _collect(rows: list[Any], source: Source, where: str, bins: Bins | None) -> Profile:
    if len(rows) > MAX_PROFILE_ROWS:
        msg = (
            f"{where}: target {source.columns.target!r} and the categorical columns have more than "
            f"{MAX_PROFILE_ROWS:,} distinct values; leave out columns that are identifiers"
        )
        raise DataError(msg)
    cells = [row for row in rows if row["feature"] == -1]
    n_null = sum(row["n"] for row in cells if row["stratum"] is None)
    _check_counts(sum(row["n"] for row in cells), n_null, source, where)
    has_classes = bins is None and source.columns.group is None
    refuse_faults((row["faults"] for row in cells), source, where, has_classes=has_classes)
    categories = dictionaries(rows, source)
    refuse_bytes_that_are_no_text([row["stratum"] for row in cells], categories, source, where)
    classes: tuple[Label, ...] = ()
    index: dict[Label, int]
    n_cells = N_CELLS
    if source.columns.group is not None:
        index, n_cells = {0: 0}, N_BUCKETS
    elif bins is None:
        classes = tuple(sorted({row["stratum"] for row in cells}))
        _refuse_too_many_classes(classes, source, where)
        index = {label: i for i, label in enumerate(classes)}
    else:
        index = {i: i for i in range(len(bins.edges) + 1)}
    counts = np.zeros((len(index), n_cells), np.int64)
    weight_sums, label_sums = np.zeros(len(index)), np.zeros(len(index))
    # In a fixed order, as sums of floats depend on it.
    for row in sorted(cells, key=lambda row: (row["stratum"], row["cell"])):
        i = index[row["stratum"]]
        counts[i, row["cell"]] = row["n"]
        weight_sums[i] += row["weight"]
        label_sums[i] += row["label_sum"]
    if not weight_sums.sum() > 0:
        msg = f"{where}: weight_column {source.columns.weight!r} is 0 in every row"
        raise DataError(msg)
    return Profile(
        classes=classes,
        bins=bins,
        counts=counts,
        weight_sums=weight_sums,
        label_sums=label_sums,
        checksum=checksum(sum(row["low"] for row in cells), sum(row["high"] for row in cells)),
        categories=categories,
        widths=_widths(cells, source, where),
    )


def _widths(cells: list[Any], source: Source, where: str) -> dict[int, int]:
    widths = {}
    for i in source.columns.of_kind(FeatureKind.ARRAY):
        name = source.columns.features[i].name
        low = min((row[f"min{i}"] for row in cells if row[f"min{i}"] is not None), default=0)
        high = max((row[f"max{i}"] for row in cells if row[f"max{i}"] is not None), default=0)
        if low != high or high == 0:
            msg = f"{where}: {name!r} holds arrays of {low} to {high} numbers; need one length > 0"
            raise DataError(msg)
        widths[i] = high
    return widths


def _check_counts(n: int, n_null: int, source: Source, where: str) -> None:
    if n == 0:
        msg = f"{where}: the DataFrame has no rows"
        raise DataError(msg)
    if n_null:
        msg = (
            f"{where}: target {source.columns.target!r} is null or NaN in {n_null:,} of {n:,} rows;"
            " drop or fill them"
        )
        raise DataError(msg)


def _refuse_too_many_classes(classes: tuple[Label, ...], source: Source, where: str) -> None:
    if len(classes) > MAX_CLASSES:
        msg = (
            f"{where}: target {source.columns.target!r} has {len(classes):,} distinct labels "
            f"({classes[0]!r}, {classes[1]!r}, ...), and {MAX_CLASSES:,} classes are the most; it "
            "may be an identifier, or a number that is stored as text"
        )
        raise DataError(msg)


def weighted_mean(found: Profile) -> float:
    """Mean of a regression target."""
    return math.fsum(found.label_sums) / math.fsum(found.weight_sums)
