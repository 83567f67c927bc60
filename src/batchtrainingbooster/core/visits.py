"""Which batch is visited when: a pure function of (seed, epoch), so there is nothing to save."""

from __future__ import annotations

import attrs
import numpy as np

from batchtrainingbooster.core.config import Strategy


def batch_order(seed: int, epoch: int, num_batches: int) -> list[int]:
    """Order in which the batches are visited in an epoch.

    Examples
    --------
    >>> sorted(batch_order(seed=42, epoch=0, num_batches=4))
    [0, 1, 2, 3]
    """
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(num_batches)]


@attrs.frozen
class Visit:
    """One training on one batch, or on all of them at once; all numbers from 0."""

    number: int
    epoch: int
    batch: int | None

    def __str__(self) -> str:
        """In words, from 1."""
        batch = "all batches" if self.batch is None else f"batch {self.batch + 1}"
        return f"Visit {self.number + 1} (epoch {self.epoch + 1}, {batch})"


def visits_per_epoch(strategy: Strategy, num_batches: int) -> int:
    """How many visits see every row once."""
    return num_batches if strategy == "incremental" else 1


def visit_at(number: int, seed: int, num_batches: int) -> Visit:
    """The visit with this number in the run."""
    epoch, position = divmod(number, num_batches)
    return Visit(number, epoch, batch_order(seed, epoch, num_batches)[position])
