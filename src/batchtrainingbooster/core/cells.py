"""Which rows get their batch from their hash alone, and which must be ranked first.

A cell is one of ``N_CELLS`` parts of a stratum's rows, by their hashes. How many rows lie in each
is known before anything is written. So most cells can be *laid* out: they follow one another, and a
cell that lies within one batch as a whole goes there without a look at its rows. Ranked are the
rows of cells that lie across two batches, and those of the reference sample, which must lie
together on storage.

Equal rows have equal hashes, and would come to lie in one batch. Where many rows repeat, cells are
therefore not laid but *dealt*: their rows are ranked, and go to the batches in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from batchtrainingbooster.core.batching import HELD_OUT, Stratum, lay

N_CELLS = 1024
UNDECIDED = -2

# A cell of distinct rows is that far above the others once in 10**14 times.
_OUTLIER_SIGMAS = 8
# The spread over all cells of distinct rows is that far above its mean once in 10**9 times.
_SPREAD_SIGMAS = 6


@attrs.frozen(eq=False)
class CellPlan:
    """What becomes of each cell of each stratum.

    Attributes
    ----------
    place : ndarray of shape (n_strata, N_CELLS), int64
        Batch of all its rows; ``HELD_OUT`` or ``UNDECIDED``.
    is_dealt : ndarray of shape (n_strata, N_CELLS), bool
    dealt, laid : list of Stratum
        The rows of each stratum in dealt and in laid cells.
    """

    place: np.ndarray
    is_dealt: np.ndarray
    dealt: list[Stratum]
    laid: list[Stratum]


def cells_of(hashes: np.ndarray, n_cells: int = N_CELLS) -> np.ndarray:
    """The cell of each row, by its hash: Spark's ``pmod(hash(x), n_cells)``.

    That is MurmurHash3 of 32 bits, as in https://github.com/aappleby/smhasher, of the low half of a
    long and then of the high one, with seed 42.

    Parameters
    ----------
    hashes : ndarray of int64
    n_cells : int
        A power of 2.

    Examples
    --------
    >>> cells_of(np.array([0, 1, -1])).tolist()
    [93, 157, 297]
    """
    bits = hashes.view(np.uint64)
    mixed: np.ndarray = np.full(len(hashes), 42, np.uint32)
    for half in ((bits & 0xFFFFFFFF).astype(np.uint32), (bits >> 32).astype(np.uint32)):
        mixed ^= _rotated(half * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
        mixed = _rotated(mixed, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    mixed ^= np.uint32(8)  # bytes of a long
    mixed = (mixed ^ (mixed >> 16)) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 13)) * np.uint32(0xC2B2AE35)
    mixed ^= mixed >> 16
    return np.asarray(mixed & np.uint32(n_cells - 1), np.int64)


def _rotated(values: np.ndarray, bits: int) -> np.ndarray:
    return np.asarray((values << bits) | (values >> (32 - bits)))


def plan_cells(
    counts: np.ndarray, strata: Sequence[Stratum], num_batches: int, sample_share: float
) -> CellPlan:
    """Lay out as many cells as possible.

    Parameters
    ----------
    counts : ndarray of shape (n_strata, N_CELLS), int64
        Rows by cell.
    strata : sequence of Stratum
    num_batches : int
    sample_share : float
        Share of each stratum and batch that the reference sample takes.
    """
    is_dealt = repeats(counts)
    plan = _plan(counts, strata, num_batches, sample_share, is_dealt)
    undecided = counts[plan.place == UNDECIDED].sum()
    if undecided > counts.sum() / 2:
        # Not worth a second job.
        plan = _plan(counts, strata, num_batches, sample_share, np.ones_like(is_dealt))
    return plan


def _plan(
    counts: np.ndarray,
    strata: Sequence[Stratum],
    num_batches: int,
    sample_share: float,
    is_dealt: np.ndarray,
) -> CellPlan:
    place = np.full(counts.shape, UNDECIDED, np.int64)
    dealt, laid = [], []
    for i, stratum in enumerate(strata):
        own = np.where(is_dealt[i], 0, counts[i])
        first, second = _split(stratum, stratum.rows - int(own.sum()), num_batches)
        dealt.append(first)
        laid.append(second)
        end = np.cumsum(own)
        start = end - own
        cells = np.flatnonzero(own)
        batch, offset, size = lay(start[cells], second, num_batches)
        last, _, _ = lay(end[cells] - 1, second, num_batches)
        is_sampled = (batch != HELD_OUT) & (offset < sample_share * size)
        place[i, cells] = np.where((batch == last) & ~is_sampled, batch, UNDECIDED)
    return CellPlan(place, is_dealt, dealt, laid)


def repeats(counts: np.ndarray) -> np.ndarray:
    """Cells with rows that repeat often: those that stand out, or all.

    Distinct rows fall into the cells at random, so that their numbers spread as Poisson's do. Rows
    that repeat fall together: ``m`` equal rows each spread ``m`` times as much.

    Parameters
    ----------
    counts : ndarray of shape (n_strata, n_cells), int64

    Returns
    -------
    ndarray of shape (n_strata, n_cells), bool

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> int(repeats(rng.poisson(100, (2, 1024))).sum())
    0
    >>> bool(repeats(10 * rng.poisson(10, (2, 1024))).all())
    True
    """
    typical = np.median(counts, axis=1, keepdims=True)
    stands_out = counts > typical + _OUTLIER_SIGMAS * (np.sqrt(typical) + 1)
    n_cells = (~stands_out).sum(axis=1, keepdims=True)
    mean = np.where(stands_out, 0, counts).sum(axis=1, keepdims=True) / np.maximum(n_cells, 1)
    spread = np.where(stands_out, 0, (counts - mean) ** 2).sum()
    # Mean and variance of the squared deviation of a Poisson variable: m, and m + 2 m ** 2.
    expected = (n_cells * mean).sum()
    sigma = np.sqrt((n_cells * (mean + 2 * mean**2)).sum())
    if spread > expected + _SPREAD_SIGMAS * sigma:
        return np.ones_like(stands_out)
    return np.asarray(stands_out)


def _split(stratum: Stratum, n_dealt: int, num_batches: int) -> tuple[Stratum, Stratum]:
    """The dealt rows of a stratum, and the laid ones, which begin at the batch after the last."""
    held_out = stratum.held_out * n_dealt // max(stratum.rows, 1)
    dealt = Stratum(n_dealt, held_out, stratum.first_batch)
    laid = Stratum(
        rows=stratum.rows - n_dealt,
        held_out=stratum.held_out - held_out,
        first_batch=(stratum.first_batch + n_dealt - held_out) % num_batches,
    )
    return dealt, laid
