"""How many batches, and how many rows of each class in each: arithmetic on plain numbers.

The rows of a stratum (a class, or a quantile bin of a regression target) have a rank from 0, in
the order of their hashes. They are dealt to the batches in turn, or laid out, batch after batch, to
the same numbers. Each stratum starts where the one before it ended, so that the batches are equal
in size to within one row too.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from batchtrainingbooster.errors import ConfigError

DEFAULT_NUM_BATCHES = 10
MAX_NUM_BATCHES = 99_999  # names of five digits
HELD_OUT = -1

# The reference sample: so many rows, but of wide data no more than a batch or so many bytes.
_REFERENCE_ROWS = 100_000
_REFERENCE_BYTES = 64 * 2**20

# With fewer rows in a batch, trees fit its noise: measured in docs/strategies.md.
FEW_ROWS = 100_000

# What a run takes whatever its data: libraries at work, the reference sample (measured: 120 MB).
OVERHEAD_BYTES = 128 * 10**6


@attrs.frozen
class Stratum:
    """Where the rows of one class or bin go.

    Attributes
    ----------
    rows : int
        All its rows.
    held_out : int
        Those for validation.
    first_batch : int
        Batch of its first training row.
    """

    rows: int
    held_out: int
    first_batch: int

    def batch_counts(self, num_batches: int) -> list[int]:
        """Its training rows in each batch."""
        each, extra = divmod(self.rows - self.held_out, num_batches)
        return [each + ((b - self.first_batch) % num_batches < extra) for b in range(num_batches)]


def plan_strata(
    counts: Sequence[int], num_batches: int, validation_fraction: float | None = None
) -> list[Stratum]:
    """Where the rows of each stratum go.

    Parameters
    ----------
    counts : sequence of int
        Rows by stratum.
    num_batches : int, >= 1
    validation_fraction : float, optional
        Share of each stratum that is held out.

    Raises
    ------
    ConfigError
        If there are more batches than training rows, or nothing would be held out.

    Examples
    --------
    >>> [stratum.batch_counts(2) for stratum in plan_strata([5, 3], 2)]
    [[3, 2], [1, 2]]
    """
    held_out = [round(n * validation_fraction) if validation_fraction else 0 for n in counts]
    # A stratum is never held out whole: a class must be trained on to be predicted.
    held_out = [min(v, max(0, n - 1)) for v, n in zip(held_out, counts, strict=True)]
    training = sum(counts) - sum(held_out)
    if num_batches > training:
        msg = f"config_training: num_batches: got {num_batches}, but there are {training} rows"
        raise ConfigError(msg)
    if validation_fraction and not sum(held_out):
        msg = (
            f"config_training: validation_fraction: {validation_fraction} of {sum(counts)} rows "
            "is less than one row of any class; give valid_dataframe or a larger fraction"
        )
        raise ConfigError(msg)
    strata, first_batch = [], 0
    for n, v in zip(counts, held_out, strict=True):
        strata.append(Stratum(rows=n, held_out=v, first_batch=first_batch))
        first_batch = (first_batch + n - v) % num_batches
    return strata


def deal(rank: np.ndarray, stratum: Stratum, num_batches: int) -> np.ndarray:
    """Batch of the row with each rank in a stratum whose rows are dealt.

    Systematically spaced ranks are held out; the others, renumbered, go to the batches in turn.
    The definition in numpy; ``data.assign`` is the same in Spark.
    """
    before = rank * stratum.held_out // stratum.rows
    is_held_out = (rank + 1) * stratum.held_out // stratum.rows > before
    batch = (rank - before + stratum.first_batch) % num_batches
    return np.where(is_held_out, HELD_OUT, batch)


def lay(
    rank: np.ndarray, stratum: Stratum, num_batches: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch of the row with each rank in a stratum whose rows are laid out.

    The first ranks are held out; the next go to the first batch, and so on. The definition in
    numpy; ``data.assign`` is the same in Spark.

    Returns
    -------
    batch, offset, size : ndarray of int64
        The batch, the rank within it, and how many of the stratum's rows it has.
    """
    each, extra = divmod(stratum.rows - stratum.held_out, num_batches)
    rank = rank - stratum.held_out
    # The first `extra` batches have a row more.
    longer = extra * (each + 1)
    in_longer = rank < longer
    turn = np.where(in_longer, rank // (each + 1), extra + (rank - longer) // max(each, 1))
    offset = rank - turn * each - np.minimum(turn, extra)
    batch = (stratum.first_batch + turn) % num_batches
    return np.where(rank < 0, HELD_OUT, batch), offset, np.where(in_longer, each + 1, each)


def reference_rows(n_columns: int, batch_rows: Sequence[int]) -> int:
    """Rows of the sample that fixes the quantile cuts."""
    affordable = _REFERENCE_BYTES // (4 * n_columns)
    return min(_REFERENCE_ROWS, max(affordable, *batch_rows), sum(batch_rows))


@attrs.frozen
class RowMemory:
    """Bytes that a row of a batch needs while it is trained on.

    The float32 matrix with label, weight and place; the booster's quantised copies, of this batch
    and of the one before, a byte a value; gradients and margins, for each output.

    Attributes
    ----------
    n_columns : int
    n_outputs : int
        Margins for each row.
    bytes_per_output : int
        What the booster takes for each.
    """

    n_columns: int
    n_outputs: int
    bytes_per_output: int = 12

    @property
    def resident_bytes(self) -> int:
        """Bytes for each row of all batches, where they make one dataset on disk.

        Label, weight, node, gradients and margins stay in memory.
        """
        return 4 + 4 + 4 + 12 * self.n_outputs

    @property
    def bytes(self) -> int:
        """Bytes for each row."""
        matrix, fields, quantised = 4 * self.n_columns, 4 + 4 + 8 + 8, 2 * self.n_columns
        return matrix + fields + quantised + self.bytes_per_output * self.n_outputs


def num_batches_for(
    memory_budget: int,
    rows: int,
    validation_rows: int,
    row: RowMemory,
    *,
    external_memory: bool = False,
) -> tuple[int, str]:
    """Fewest batches of which each fits into the budget beside the validation rows.

    With external memory, what stays in memory of all rows is beside them too.

    Returns
    -------
    int, str
        The number, and the arithmetic in words for the log.

    Raises
    ------
    ConfigError
        If the budget does not even hold the overhead, the validation rows and one training row,
        or the batches would be too many.

    Examples
    --------
    >>> num_batches_for(10**9, 10_000_000, 0, RowMemory(n_columns=28, n_outputs=1))[0]
    3
    """
    resident = row.resident_bytes if external_memory else 0
    free = memory_budget - OVERHEAD_BYTES - validation_rows * row.bytes - rows * resident
    if free < row.bytes:
        stays = f"{rows:,} rows of which {resident} bytes each stay in memory, " * (resident > 0)
        msg = (
            f"config_training: memory_budget: {memory_budget:,} bytes do not hold "
            f"{OVERHEAD_BYTES:,} of overhead, {validation_rows:,} validation rows of {row.bytes} "
            f"bytes each, {stays}and a batch; raise the budget or validate on fewer rows"
        )
        raise ConfigError(msg)
    num_batches = -(-rows // (free // row.bytes))
    if num_batches > MAX_NUM_BATCHES:
        msg = (
            f"config_training: memory_budget: {memory_budget:,} bytes would take {num_batches:,} "
            f"batches, and {MAX_NUM_BATCHES:,} are the most; raise the budget or validate on fewer "
            "rows"
        )
        raise ConfigError(msg)
    words = (
        f"{rows:,} rows x {row.bytes} bytes in ({memory_budget:,} bytes "
        f"- {OVERHEAD_BYTES:,} overhead - {validation_rows:,} validation rows x {row.bytes} bytes"
        f"{f' - {rows:,} rows x {resident} bytes' * (resident > 0)}) -> {num_batches} batches"
    )
    return max(1, num_batches), words
