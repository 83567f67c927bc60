"""Quantile bins of a regression target, and whether a number is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_CLASSES_OF_A_NUMBER = 20
N_BINS = 10
_SAMPLED_LABELS = 50_000


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


def overview_of(frame: DataFrame) -> dict[str, Any]:
    """Size and shape of a numeric target."""
    number = F.col("label").cast("double")
    row = frame.agg(
        F.count(F.lit(1)).alias("n"),
        F.count_if(F.col("label").isNull()).alias("n_null"),
        F.approx_count_distinct("label", 0.01).alias("n_labels"),
        F.approx_count_distinct("row_hash", 0.01).alias("n_distinct"),
        F.min(number % 1 == 0).alias("whole"),
    ).collect()[0]
    whole = bool(row["whole"])
    return {
        "n": row["n"],
        "n_null": row["n_null"],
        "n_distinct": row["n_distinct"],
        "looks_like_classes": whole and row["n_labels"] <= MAX_CLASSES_OF_A_NUMBER,
    }


def quantile_bins(frame: DataFrame, n_distinct: int) -> Bins:
    """Quantiles of the target over a sample of rows that is drawn by their hashes.

    Spark's own approximate quantiles depend on the partitioning; this sample does not.
    """
    every = max(1, n_distinct // _SAMPLED_LABELS)
    rows = (
        frame.where(F.pmod("row_hash", F.lit(every)) == 0)
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
