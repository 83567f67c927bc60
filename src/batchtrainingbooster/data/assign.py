"""The assignment of rows to batches, as Spark columns.

The definition is ``core.batching.assign``: a row's batch follows from its rank in its stratum, in
the order (cell, row hash). Here the rank is found without a window and without a task that holds a
whole stratum: rows are shuffled by hash, so that every partition holds whole cells; each partition
is sorted by (stratum, hash); and a row's rank is its position in the partition plus a shift that
follows from the counts by stratum and cell. What Spark wrote is counted afterwards and compared
with the plan, so an engine that broke these assumptions would be found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from batchtrainingbooster.core.batching import Stratum
from batchtrainingbooster.core.grouping import HELD_OUT
from batchtrainingbooster.data.profile import N_CELLS, bucket_of, cell_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

VALIDATION = "valid"


def num_partitions(rows: int, row_bytes: int, target_bytes: int = 64 * 2**20) -> int:
    """Shuffle partitions for this much data: a power of 2, at most ``N_CELLS``.

    Examples
    --------
    >>> num_partitions(4_000_000, 116)
    8
    """
    wanted = rows * row_bytes / target_bytes
    return min(N_CELLS, 1 << max(0, int(np.ceil(np.log2(max(wanted, 1))))))


def rank_shifts(counts: np.ndarray, partitions: int) -> np.ndarray:
    """Rank minus position in the partition, by partition and stratum.

    Parameters
    ----------
    counts : ndarray of shape (n_strata, N_CELLS), int64
    partitions : int
        A power of 2, at most ``N_CELLS``.

    Returns
    -------
    ndarray of shape (partitions, n_strata), int64
    """
    # (n_strata, N_CELLS) -> (n_strata, partitions): cell c lies in partition c % partitions
    by_partition = counts.reshape(len(counts), -1, partitions).sum(axis=1).T
    start = np.cumsum(by_partition, axis=1) - by_partition
    first_rank = np.cumsum(by_partition, axis=0) - by_partition
    return np.asarray(first_rank - start)


def with_batches(
    frame: DataFrame,
    counts: np.ndarray,
    strata: Sequence[Stratum],
    num_batches: int,
    partitions: int,
) -> DataFrame:
    """Shuffle, sort, and add the column ``batch``: ``"00000"``, ... or ``"valid"``.

    Parameters
    ----------
    frame : DataFrame
        With columns ``stratum`` (int) and ``row_hash`` (long).
    counts : ndarray of shape (n_strata, N_CELLS)
    strata : sequence of Stratum
    num_batches : int
    partitions : int
    """
    partition = F.pmod(cell_of(F.col("row_hash")), F.lit(partitions))
    shifts = rank_shifts(counts, partitions).ravel().tolist()
    position = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << 33) - 1))
    rank = position + _lookup(shifts, partition * len(strata) + F.col("stratum"))
    return (
        frame.repartition(partitions, "row_hash")
        .sortWithinPartitions("stratum", "row_hash")
        .withColumn("rank", rank)
        .withColumn("batch", _batch(F.col("rank"), strata, num_batches))
        .drop("rank")
    )


def with_batches_of_groups(frame: DataFrame, places: np.ndarray, partitions: int) -> DataFrame:
    """Shuffle and sort by query, and add the column ``batch``.

    Batches come first in the order, as Spark writes one after the other and would sort again.

    Parameters
    ----------
    frame : DataFrame
        With columns ``group_hash`` and ``row_hash`` (long).
    places : ndarray of shape (N_BUCKETS,), int64
        Batch by bucket; -1 for validation.
    partitions : int
    """
    number = _lookup(places.tolist(), bucket_of(F.col("group_hash")))
    return (
        frame.repartition(partitions, "group_hash")
        .withColumn("number", number)
        .withColumn(
            "batch",
            F.when(F.col("number") == HELD_OUT, F.lit(VALIDATION)).otherwise(
                _name(F.col("number"))
            ),
        )
        .drop("number")
        .sortWithinPartitions("batch", "group_hash", "row_hash")
    )


def _batch(rank: Column, strata: Sequence[Stratum], num_batches: int) -> Column:
    """``core.batching.assign`` for Spark, as the name of the folder."""
    stratum = F.col("stratum")
    first_batch = _lookup([s.first_batch for s in strata], stratum)
    if not any(s.held_out for s in strata):
        return _name(F.pmod(rank + first_batch, F.lit(num_batches)))
    held_out = _lookup([s.held_out for s in strata], stratum)
    rows = _lookup([s.rows for s in strata], stratum)
    before = _floor_divide(rank * held_out, rows)
    is_held_out = _floor_divide((rank + 1) * held_out, rows) > before
    name = _name(F.pmod(rank - before + first_batch, F.lit(num_batches)))
    return F.when(is_held_out, F.lit(VALIDATION)).otherwise(name)


def _floor_divide(a: Column, b: Column) -> Column:
    """Integer division; the operator ``/`` would go through doubles."""
    return F.call_function("div", a, b)


def _name(batch: Column) -> Column:
    return F.lpad(batch.cast("string"), 5, "0")


def _lookup(values: Sequence[int], index: Column) -> Column:
    """``values[index]``; one literal, however many values."""
    array = F.split(F.lit(",".join(map(str, values))), ",").cast("array<bigint>")
    return F.element_at(array, (index + 1).cast("int"))
