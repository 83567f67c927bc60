"""Whether what a run loads fits into the memory that is there, and how many batches would fit.

Overhead and validation rows are loaded before the first batch and stay; of the batches, one is in
memory at a time. So a run is judged twice as a whole, before its batches are written and before
anything is read, and then batch by batch, by what a batch adds to what is there already.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from batchtrainingbooster.core.batching import OVERHEAD_BYTES, RowMemory, num_batches_for
from batchtrainingbooster.errors import ConfigError, NotEnoughMemoryError


@attrs.frozen(kw_only=True)
class Load:
    """What a run loads, known from its plan or from its manifest.

    Attributes
    ----------
    batch_rows : tuple of int
        Training rows of each batch.
    validation_rows : int
    row : RowMemory
    external_memory : bool
        Whether all batches make one dataset on disk.
    """

    batch_rows: tuple[int, ...]
    validation_rows: int
    row: RowMemory
    external_memory: bool = False

    @property
    def lasting_bytes(self) -> int:
        """Loaded before the first batch, and kept."""
        return OVERHEAD_BYTES + self.validation_rows * self.row.bytes

    def resident_bytes(self, first_batch: int = 0) -> int:
        """What stays in memory of the rows from this batch on, where batches are on disk."""
        return sum(self.batch_rows[first_batch:]) * self.row.resident_bytes * self.external_memory

    def num_batches(self, budget: int, largest: int) -> int | None:
        """How many batches would fit into so many bytes for the whole run; None if no number does.

        Batches of whole queries are not equal. If this run's largest has more than its share, that
        of another number of batches is taken to have as much more.
        """
        as_if_equal = (largest - 1) * len(self.batch_rows) + 1
        rows = max(sum(self.batch_rows), as_if_equal)
        try:
            found, _ = num_batches_for(
                budget, rows, self.validation_rows, self.row, external_memory=self.external_memory
            )
        except ConfigError:
            return None
        return found


def refuse_run_that_does_not_fit(load: Load, available: int | None) -> None:
    """Judge a run of which nothing is loaded yet, by its largest batch.

    Parameters
    ----------
    load : Load
    available : int, optional
        Bytes; None, where the system does not say, refuses nothing.

    Raises
    ------
    NotEnoughMemoryError
        Saying what is needed, what there is, and how many batches would fit.
    """
    number = load.batch_rows.index(max(load.batch_rows))
    need = load.lasting_bytes + load.resident_bytes() + load.batch_rows[number] * load.row.bytes
    if available is None or need <= available:
        return
    parts = [f"{OVERHEAD_BYTES:,} bytes of overhead"]
    if load.validation_rows:
        parts.append(f"{load.validation_rows:,} validation rows x {load.row.bytes} bytes")
    raise _error(load, number, parts, need, available, budget=available)


def refuse_batch_that_does_not_fit(load: Load, number: int, available: int | None) -> None:
    """Judge one batch, where validation rows and overhead are in memory already.

    Parameters
    ----------
    load : Load
    number : int
        Of the batch, from 0.
    available : int, optional
        Bytes; None, where the system does not say, refuses nothing.

    Raises
    ------
    NotEnoughMemoryError
        Saying what is needed, what there is, and how many batches would fit.
    """
    to_come = load.resident_bytes(number)
    need = to_come + load.batch_rows[number] * load.row.bytes
    if available is None or need <= available:
        return
    # What is loaded already is part of what a run could take.
    budget = available + load.lasting_bytes + load.resident_bytes() - to_come
    raise _error(load, number, [], need, available, budget=budget)


def _error(
    load: Load, number: int, parts: Sequence[str], need: int, available: int, *, budget: int
) -> NotEnoughMemoryError:
    """The arithmetic, and the way out."""
    rows, total = load.batch_rows[number], len(load.batch_rows)
    shown = [f"{rows:,} rows x {load.row.bytes} bytes", *parts]
    if load.external_memory:
        all_rows = sum(load.batch_rows)
        shown.append(f"what stays of {all_rows:,} rows x {load.row.resident_bytes} bytes")
    num_batches = load.num_batches(budget, rows)
    if num_batches is None:
        taken = load.lasting_bytes + load.resident_bytes()
        way_out = (
            f"no number of batches would fit, as {_up(taken)} GB are taken beside them; validate "
            "on fewer rows"
        )
    elif rows > -(-sum(load.batch_rows) // total):
        way_out = f"queries are not split, so that num_batches={num_batches:,} or more would fit"
    else:
        way_out = f"num_batches={num_batches:,} would fit"
    return NotEnoughMemoryError(
        f"batch {number + 1} of {total}: {' + '.join(shown)} need {_up(need)} GB, and "
        f"{_down(available)} GB are available: {way_out}, or give this process more memory"
    )


def _up(n_bytes: int) -> str:
    """In GB, to the next MB above."""
    return f"{-(-n_bytes // 10**6) / 1000:,.3f}"


def _down(n_bytes: int) -> str:
    """In GB, to the next MB below, so that what does not fit never reads as if it did."""
    return f"{n_bytes // 10**6 / 1000:,.3f}"
