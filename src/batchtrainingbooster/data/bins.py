"""Quantile bins of a regression target, and whether a number is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from pyspark.sql import functions as F

from batchtrainingbooster.core.cells import N_CELLS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_CLASSES_OF_A_NUMBER = 20
N_BINS = 10
_SAMPLED_LABELS = 50_000

OTHER_LABEL = 127  # of any integer type
_LARGEST_SMALL_LABEL = 100


def cell_of(row_hash: Column) -> Column:
    """The cell of a row; Spark puts it into shuffle partition ``cell % n`` of any n = 2**i."""
    return F.pmod(F.hash(row_hash), F.lit(N_CELLS))


@attrs.frozen
class Bins:
    """Quantile bins of a regression target.

    Attributes
    ----------
    edges : tuple of float
        Upper edges, included, of all bins but the last.
    percentiles : tuple of float
        The 101 from the smallest to the largest value, of a sample.
    """

    edges: tuple[float, ...]
    percentiles: tuple[float, ...]


def stratum_bin(label: Column, edges: Sequence[float]) -> Column:
    """Number of the quantile bin of a regression target."""
    number = F.lit(0)
    for edge in edges:
        number = number + F.when(label > F.lit(edge), 1).otherwise(0)
    return number.cast("int")


def small_label(label: Column) -> Column:
    """A label that is a small whole number as it is; any other as ``OTHER_LABEL``."""
    number = label.cast("double")
    is_small = (number % 1 == 0) & (F.abs(number) <= _LARGEST_SMALL_LABEL)
    return F.when(is_small, label).when(label.isNotNull(), F.lit(OTHER_LABEL))


def has_few_whole_labels(frame: DataFrame) -> bool:
    """Whether the labels are few, and whole numbers, so that they are taken for classes."""
    number = F.col("label").cast("double")
    if frame.where(number % 1 != 0).limit(1).count():
        return False
    few = MAX_CLASSES_OF_A_NUMBER + 1
    return bool(frame.select("label").distinct().limit(few).count() < few)


def quantile_bins(frame: DataFrame, rows_by_cell: np.ndarray) -> Bins:
    """Quantiles of the target over a sample of rows that is drawn by their hashes.

    Spark's own approximate quantiles depend on the partitioning; this sample does not.

    Parameters
    ----------
    frame : DataFrame
        With columns ``label`` and ``row_hash``.
    rows_by_cell : ndarray of shape (N_CELLS,)
    """
    n_cells = int(np.searchsorted(np.cumsum(rows_by_cell), _SAMPLED_LABELS)) + 1
    rows = (
        frame.where(cell_of(F.col("row_hash")) < n_cells)
        .groupBy(F.col("label").cast("float").cast("double").alias("label"))
        .agg(F.count(F.lit(1)).alias("n"))
        .collect()
    )
    rows = sorted((row["label"], row["n"]) for row in rows)
    values = np.array([value for value, _ in rows])
    cumulative = np.cumsum([n for _, n in rows])

    def quantile(q: float) -> float:
        return float(values[np.searchsorted(cumulative, q * cumulative[-1])])

    edges = sorted({quantile(i / N_BINS) for i in range(1, N_BINS)} - {float(values[-1])})
    return Bins(tuple(edges), tuple(quantile(i / 100) for i in range(101)))
