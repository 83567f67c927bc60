"""When a visit has helped, which model is best, and when to stop: pure functions of the state."""

from __future__ import annotations

import math
from enum import StrEnum

import attrs


class StopReason(StrEnum):
    """Why a run ended."""

    COMPLETED = "completed"
    PATIENCE = "patience"
    CALLBACK = "callback"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@attrs.frozen
class Best:
    """The best point of a run so far.

    Attributes
    ----------
    value : float
        Validation metric at that point.
    visit : int, optional
        Visit, from 0; None is the earlier model that the run continues.
    round : int, optional
        Round, numbered over the whole run, from 0; None as for ``visit``.
    n_rounds : int
        Rounds in the model at that point: where to cut it.
    """

    value: float
    visit: int | None
    round: int | None
    n_rounds: int


def is_improvement(value: float, best: float | None, *, maximize: bool, min_delta: float) -> bool:
    """Whether ``value`` is better than ``best`` by at least ``min_delta``.

    Equal is never better, and a value that is not a number never is.

    Examples
    --------
    >>> is_improvement(0.30, 0.31, maximize=False, min_delta=0.0)
    True
    >>> is_improvement(0.30, 0.31, maximize=False, min_delta=0.05)
    False
    """
    if math.isnan(value):
        return False
    if best is None:
        return True
    gain = value - best if maximize else best - value
    return gain > 0 and gain >= min_delta


@attrs.frozen
class Patience:
    """Counts the visits since the last improvement.

    Attributes
    ----------
    max_patience : int
        Visits without improvement before the run stops.
    min_delta : float
        Smallest gain that counts.
    maximize : bool
        Whether a larger metric is better.
    """

    max_patience: int
    min_delta: float
    maximize: bool

    def improves(self, value: float, best: Best | None) -> bool:
        """Whether ``value`` beats the best so far by enough."""
        return is_improvement(
            value, best.value if best else None, maximize=self.maximize, min_delta=self.min_delta
        )

    def is_exhausted(self, visits_without_improvement: int) -> bool:
        """Whether the run should stop now."""
        return visits_without_improvement >= self.max_patience
