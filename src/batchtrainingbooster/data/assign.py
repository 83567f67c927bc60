"""The assignment of rows to batches, as Spark columns.

The definition is in ``core.batching`` and ``core.cells``. Where a cell lies within one batch, its
rows need no more than a look at a table. The others are ranked without a window, and without a task
that holds a whole stratum: they are shuffled by hash, so that every partition holds whole cells;
each partition is sorted by (stratum, cell, hash); and a row's rank is its position in the partition
plus a shift that follows from the counts. What Spark wrote is counted afterwards and compared with
the plan, so an engine that broke these assumptions would be found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from batchtrainingbooster.core.batching import HELD_OUT, Stratum
from batchtrainingbooster.core.cells import N_CELLS, UNDECIDED, CellPlan
from batchtrainingbooster.data.bins import cell_of
from batchtrainingbooster.data.profile import bucket_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def num_partitions(rows: int, row_bytes: int, num_batches: int) -> int:
    """Partitions in which rows are written: a power of 2, at most 256.

    Each of them writes a file for each batch, so that many batches want larger partitions.

    Examples
    --------
    >>> num_partitions(4_000_000, 136, num_batches=10)
    32
    >>> num_partitions(200_000, 136, num_batches=1)
    4
    """
    partition_bytes = 2**20 * min(32, 8 * num_batches)
    wanted = rows * row_bytes / partition_bytes
    return min(256, 1 << max(0, int(np.ceil(np.log2(max(wanted, 1))))))


def batch_of_cell(place: np.ndarray) -> Column:
    """The batch, where the cell decides; columns ``stratum`` and ``row_hash``."""
    index = F.col("stratum") * N_CELLS + cell_of(F.col("row_hash"))
    return _lookup(place.ravel().tolist(), index).cast("int")


def batch_of_bucket(place: np.ndarray) -> Column:
    """The batch of a query, where its bucket decides; column ``group_hash``."""
    return _lookup(place.tolist(), bucket_of(F.col("group_hash"))).cast("int")


def with_ranked_batches(
    frame: DataFrame, counts: np.ndarray, plan: CellPlan, num_batches: int, partitions: int
) -> DataFrame:
    """Shuffle and sort the rows of undecided cells, and add the column ``batch``.

    Parameters
    ----------
    frame : DataFrame
        With columns ``stratum`` (int) and ``row_hash`` (long).
    counts : ndarray of shape (n_strata, N_CELLS)
        All rows, also those of cells that are decided.
    plan : CellPlan
    num_batches : int
    partitions : int
        A power of 2, at most ``N_CELLS``.
    """
    stratum, cell = F.col("stratum"), F.col("cell")
    index = stratum * N_CELLS + cell
    position = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << 33) - 1))
    rank = position + _lookup(rank_shifts(counts, plan, partitions).ravel().tolist(), index)
    dealt = _dealt(F.col("rank"), plan.dealt, num_batches)
    laid = _laid(F.col("rank"), plan.laid, num_batches)
    is_dealt = _lookup(plan.is_dealt.ravel().astype(int).tolist(), index) == 1
    batch = dealt if plan.is_dealt.all() else F.when(is_dealt, dealt).otherwise(laid)
    return (
        frame.withColumn("cell", cell_of(F.col("row_hash")))
        # Spark puts a row into partition `cell % partitions`.
        .repartition(partitions, "row_hash")
        .sortWithinPartitions("stratum", "cell", "row_hash")
        .withColumn("rank", rank)
        .withColumn("batch", batch.cast("int"))
        .drop("rank", "cell")
    )


def rank_shifts(counts: np.ndarray, plan: CellPlan, partitions: int) -> np.ndarray:
    """Rank minus position in the partition, by stratum and cell.

    Parameters
    ----------
    counts : ndarray of shape (n_strata, N_CELLS), int64
    plan : CellPlan
    partitions : int
        A power of 2, at most ``N_CELLS``.

    Returns
    -------
    ndarray of shape (n_strata, N_CELLS), int64
    """
    first_rank = np.zeros_like(counts)
    for own in (plan.is_dealt, ~plan.is_dealt):
        of_kind = np.where(own, counts, 0)
        first_rank += np.where(own, np.cumsum(of_kind, axis=1) - of_kind, 0)
    ranked = np.where(plan.place == UNDECIDED, counts, 0)
    first_position = np.empty_like(counts)
    for partition in range(partitions):
        own_cells = ranked[:, partition::partitions]
        ends = np.cumsum(own_cells.ravel()).reshape(own_cells.shape)
        first_position[:, partition::partitions] = ends - own_cells
    return np.asarray(first_rank - first_position)


def with_batches_of_groups(frame: DataFrame, place: np.ndarray, partitions: int) -> DataFrame:
    """Shuffle and sort by query, and add the column ``batch``.

    Batches come first in the order, as Spark writes one after the other and would sort again.

    Parameters
    ----------
    frame : DataFrame
        With columns ``group_hash`` and ``row_hash`` (long).
    place : ndarray of shape (N_BUCKETS,), int64
        Batch by bucket; -1 for validation.
    partitions : int
    """
    return (
        frame.repartition(partitions, "group_hash")
        .withColumn("batch", batch_of_bucket(place))
        .sortWithinPartitions("batch", "group_hash", "row_hash")
    )


def _dealt(rank: Column, strata: Sequence[Stratum], num_batches: int) -> Column:
    """``core.batching.deal`` for Spark."""
    stratum = F.col("stratum")
    first_batch = _lookup([s.first_batch for s in strata], stratum)
    if not any(s.held_out for s in strata):
        return F.pmod(rank + first_batch, F.lit(num_batches))
    held_out = _lookup([s.held_out for s in strata], stratum)
    rows = _lookup([max(s.rows, 1) for s in strata], stratum)
    before = _floor_divide(rank * held_out, rows)
    is_held_out = _floor_divide((rank + 1) * held_out, rows) > before
    batch = F.pmod(rank - before + first_batch, F.lit(num_batches))
    return F.when(is_held_out, F.lit(HELD_OUT)).otherwise(batch)


def _laid(rank: Column, strata: Sequence[Stratum], num_batches: int) -> Column:
    """``core.batching.lay`` for Spark."""
    stratum = F.col("stratum")
    shares = [divmod(s.rows - s.held_out, num_batches) for s in strata]
    each = _lookup([each for each, _ in shares], stratum)
    extra = _lookup([extra for _, extra in shares], stratum)
    trained = rank - _lookup([s.held_out for s in strata], stratum)
    longer = extra * (each + 1)
    turn = F.when(trained < longer, _floor_divide(trained, each + 1)).otherwise(
        extra + _floor_divide(trained - longer, F.greatest(each, F.lit(1)))
    )
    first_batch = _lookup([s.first_batch for s in strata], stratum)
    batch = F.pmod(first_batch + turn, F.lit(num_batches))
    return F.when(trained < 0, F.lit(HELD_OUT)).otherwise(batch)


def _floor_divide(a: Column, b: Column) -> Column:
    """Integer division; the operator ``/`` would go through doubles."""
    return F.call_function("div", a, b)


def _lookup(values: Sequence[int], index: Column) -> Column:
    """``values[index]``; one literal, however many values."""
    array = F.split(F.lit(",".join(map(str, values))), ",").cast("array<bigint>")
    # A source that changes may hold rows that are in no stratum; what was written is counted later.
    return F.element_at(array, F.greatest(index + 1, F.lit(1)).cast("int"))
