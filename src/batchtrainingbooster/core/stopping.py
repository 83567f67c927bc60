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


@attrs.define
class VisitWatch:
    """Whether the rounds of a visit still help; it can be sent to where they are trained.

    Attributes
    ----------
    patience : Patience
        Any gain counts within a visit, however small.
    early_stopping_rounds : int, optional
        Rounds without a better metric after which the visit ends.
    n_rounds : int
        Rounds in the model before the visit, or at its best round.
    value : float, optional
        Validation metric there; None before the first round that has a usable one.
    """

    patience: Patience
    early_stopping_rounds: int | None
    n_rounds: int
    value: float | None = None

    def improves(self, value: float, n_rounds: int) -> bool:
        """Note a round; whether it is the best of the visit so far."""
        better = is_improvement(value, self.value, maximize=self.patience.maximize, min_delta=0.0)
        if better:
            self.value, self.n_rounds = value, n_rounds
        return better

    def is_hopeless(self, n_rounds: int) -> bool:
        """Whether the visit should end with this round."""
        limit = self.early_stopping_rounds
        return limit is not None and n_rounds - self.n_rounds >= limit
