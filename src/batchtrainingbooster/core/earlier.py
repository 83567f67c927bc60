"""What an earlier model counts for in a run that goes on from it."""

from __future__ import annotations

import logging
import math

import attrs

from batchtrainingbooster.core.ports import Backend
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Best, Patience

logger = logging.getLogger(__name__)


@attrs.frozen
class Earlier:
    """What an earlier model counts for.

    Attributes
    ----------
    competes : bool
        Whether it is the one to beat; else the best model that has learned from the run's rows is
        returned, however bad.
    value : float, optional
        Its validation metric; None lets the booster find it.
    """

    competes: bool = True
    value: float | None = None

    def first_state(
        self, backend: Backend, patience: Patience, *, has_validation: bool
    ) -> RunState:
        """The state of a run that has not made a visit yet."""
        state = RunState(initial_rounds=backend.n_rounds)
        if not has_validation or not backend.n_rounds:
            return state
        value = self.value
        if value is None:
            value = list(backend.validate().values())[-1]
        logger.info("The earlier model's validation metric: %.6g", value)
        if not math.isnan(value):
            state = attrs.evolve(state, earlier_value=value)
        if self.competes and patience.improves(value, None):
            state = attrs.evolve(state, best=Best(value, None, None, backend.n_rounds))
        return state
