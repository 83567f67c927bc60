"""Rows that their cells do not place, ranked in memory where they are few.

A job of Spark's, which does the same in ``data.assign``, takes a second however few they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtrainingbooster.core.batching import deal, lay
from batchtrainingbooster.core.cells import CellPlan, cells_of
from batchtrainingbooster.data.assign import rank_shifts
from batchtrainingbooster.data.filesystem import Folder

# They are in memory twice, within what a run takes whatever its data.
MAX_BYTES = 32 * 2**20


def batch_by_rank(
    stratum: np.ndarray,
    row_hash: np.ndarray,
    counts: np.ndarray,
    plan: CellPlan,
    num_batches: int,
) -> np.ndarray:
    """Batch of each row of the undecided cells.

    Parameters
    ----------
    stratum : ndarray of shape (n_rows,), int64
    row_hash : ndarray of shape (n_rows,), int64
    counts : ndarray of shape (n_strata, N_CELLS), int64
        All rows, also those of cells that are decided.
    plan : CellPlan
    num_batches : int
    """
    cell = cells_of(row_hash)
    order = np.lexsort((row_hash, cell, stratum))
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    rank = position + rank_shifts(counts, plan, 1)[stratum, cell]
    is_dealt = plan.is_dealt[stratum, cell]
    batch = np.empty(len(order), np.int64)
    for i in np.unique(stratum).tolist():
        own = (stratum == i) & is_dealt
        batch[own] = deal(rank[own], plan.dealt[i], num_batches)
        own = (stratum == i) & ~is_dealt
        batch[own] = lay(rank[own], plan.laid[i], num_batches)[0]
    return batch


def spread(
    folder: Folder,
    name: str,
    files: Sequence[str],
    batch_of: Callable[[pa.Table], np.ndarray],
    dictionaries: Sequence[str],
) -> None:
    """Write the rows of these files to their batches.

    Parameters
    ----------
    folder : Folder
    name : str
        Of the folder within it that has the batches.
    files : sequence of str
    batch_of : callable
        The batch of each row of a table.
    dictionaries : sequence of str
        Columns that are written with a dictionary.
    """
    tables = []
    for file in files:
        with folder.open(file) as stream:
            tables.append(pq.ParquetFile(stream).read())
    table = pa.concat_tables(tables)
    batches = batch_of(table)
    for batch in np.unique(batches).tolist():
        with folder.create(f"{name}/batch={batch}/ranked.parquet") as stream:
            own = table.filter(pa.array(batches == batch))
            pq.write_table(own, stream, use_dictionary=list(dictionaries))
