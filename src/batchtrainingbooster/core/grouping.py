"""Which batch each query goes to, for ranking: arithmetic on plain numbers.

Queries are spread over buckets by their hashes, so that a query lies whole in one bucket. Buckets
are held out for validation, or go to a batch, as a whole.
"""

from __future__ import annotations

import heapq

import numpy as np

from batchtrainingbooster.core.batching import HELD_OUT
from batchtrainingbooster.errors import ConfigError

N_BUCKETS = 2**14


def assign_buckets(
    rows: np.ndarray, num_batches: int, validation_fraction: float | None = None
) -> np.ndarray:
    """Batch of each bucket.

    The largest bucket is placed first, and each into the batch with the fewest rows so far, so
    that batches are equal in rows to within the largest bucket.

    Parameters
    ----------
    rows : ndarray of shape (n_buckets,), int64
        Rows by bucket.
    num_batches : int, >= 1
    validation_fraction : float, optional
        Share of the rows that is held out.

    Returns
    -------
    ndarray of shape (n_buckets,), int64
        -1 for validation; empty buckets have batch 0.

    Raises
    ------
    ConfigError
        If there are more batches than buckets of training rows, or too few for validation.

    Examples
    --------
    >>> assign_buckets(np.array([4, 1, 3, 0]), 2).tolist()
    [0, 1, 1, 0]
    """
    place = np.zeros(len(rows), np.int64)
    filled = np.flatnonzero(rows)
    if validation_fraction is not None:
        if len(filled) < 2:
            msg = (
                "config_training: validation_fraction: there is a single query, and queries are "
                "never split; give valid_dataframe"
            )
            raise ConfigError(msg)
        # Buckets are in the order of hashes, so the first ones are a random sample.
        share = np.cumsum(rows[filled]) / rows.sum()
        n_held_out = int(np.argmin(np.abs(share[:-1] - validation_fraction))) + 1
        place[filled[:n_held_out]] = HELD_OUT
        filled = filled[n_held_out:]
    if num_batches > len(filled):
        msg = (
            f"config_training: num_batches: got {num_batches}, but the queries make "
            f"{len(filled)} parts that cannot be split"
        )
        raise ConfigError(msg)
    batches = [(0, batch) for batch in range(num_batches)]
    for bucket in filled[np.argsort(-rows[filled], kind="stable")]:
        n_rows, batch = batches[0]
        place[bucket] = batch
        heapq.heapreplace(batches, (n_rows + int(rows[bucket]), batch))
    return place


def sampled_buckets(rows: np.ndarray, places: np.ndarray, sample_share: float) -> np.ndarray:
    """The first buckets of each batch, which make the reference sample.

    Parameters
    ----------
    rows, places : ndarray of shape (n_buckets,), int64
        Rows and batch by bucket.
    sample_share : float
        Share of each batch's rows.

    Returns
    -------
    ndarray of shape (n_buckets,), bool

    Examples
    --------
    >>> sampled_buckets(np.array([4, 1, 3, 4]), np.array([0, 1, 1, 0]), 0.2).tolist()
    [True, True, False, False]
    """
    sampled = np.zeros(len(rows), bool)
    for batch in range(places.max() + 1):
        own = np.flatnonzero(places == batch)
        before = np.cumsum(rows[own]) - rows[own]
        sampled[own] = before < sample_share * rows[own].sum()
    return sampled
