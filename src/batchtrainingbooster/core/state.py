"""All that a run has come to: what a checkpoint holds, beside the model."""

from __future__ import annotations

from typing import Any

import attrs

from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.stopping import Best, StopReason


@attrs.frozen(kw_only=True)
class RunState:
    """All that a run has come to; each visit returns a new one.

    Learning rate, patience, batch order and sampling follow from it and from the settings, so
    that nothing else need be kept.

    Attributes
    ----------
    visit : int
        The next visit.
    initial_rounds : int
        Rounds of the earlier model that the run continues.
    earlier_value : float, optional
        Its validation metric.
    improved : tuple of bool
        Of each finished visit: did it improve the best model?
    best : Best, optional
        None until a visit was validated.
    stop_reason : StopReason, optional
        None while there are visits to make.
    callbacks : dict
        What they keep, by name.
    """

    visit: int = 0
    initial_rounds: int = 0
    earlier_value: float | None = None
    history: History = attrs.field(factory=History)
    improved: tuple[bool, ...] = ()
    best: Best | None = None
    stop_reason: StopReason | None = None
    callbacks: dict[str, Any] = attrs.field(factory=dict)

    @property
    def visits_without_improvement(self) -> int:
        """Since the last visit that helped."""
        count = 0
        for helped in reversed(self.improved):
            if helped:
                break
            count += 1
        return count

    @property
    def least_rounds(self) -> int:
        """The fewest rounds that the model may still be cut to."""
        return self.best.n_rounds if self.best else self.initial_rounds
