"""What CatBoost calls: the loop after each round, and the user's own objective and metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from batchtrainingbooster.backends.custom import CustomMetric, CustomObjective, predictions
from batchtrainingbooster.core.ports import RoundMetrics
from batchtrainingbooster.errors import BackendError


class Observer:
    """CatBoost's callback: hands each round's metrics to the loop."""

    def __init__(
        self,
        own: Callable[[dict[str, float]], dict[str, float]],
        after_round: Callable[[RoundMetrics], bool],
    ) -> None:
        self._own = own
        self._after_round = after_round
        self.goes_on = True
        self.seen: list[RoundMetrics] = []

    def after_iteration(self, info: Any) -> bool:
        """Hand the round to the loop; whether to go on."""
        parts = {
            part: self._own({name: values[-1] for name, values in metrics.items()})
            for part, metrics in info.metrics.items()
        }
        found = RoundMetrics(parts["learn"], parts.get("validation", {}))
        self.seen.append(found)
        self.goes_on = self._after_round(found)
        return self.goes_on


class _Function:
    """A function of the user's own; CatBoost copies what it is given, but this is one object."""

    error: BackendError | None = None

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep an error, of which CatBoost passes on the words alone."""
        try:
            yield
        except BackendError as error:
            self.error = error
            raise


class Loss(_Function):
    """An objective of the user's own as CatBoost calls it: derivatives of the negative loss."""

    def __init__(self, objective: CustomObjective) -> None:
        self._objective = objective

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, ...]]:
        """First and second derivative of the negative loss, by row."""
        weight = None if weights is None else np.asarray(weights, np.float32)
        label, margins = np.asarray(targets, np.float32), np.asarray(approxes)
        with self._kept():
            gradient, hessian = self._objective.derivatives(label, margins, weight)
        return list(zip((-gradient).tolist(), (-hessian).tolist(), strict=True))


class Metric(_Function):
    """A metric of the user's own as CatBoost calls it."""

    def __init__(self, metric: CustomMetric, link: str) -> None:
        self._metric = metric
        self._link = link

    def is_max_optimal(self) -> bool:
        """Without effect: the loop decides, and CatBoost keeps every round."""
        return False

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """The metric, and 1."""
        margins = np.column_stack([np.asarray(values) for values in approxes])
        label = np.asarray(target, np.float32)
        weights = None if weight is None or not len(weight) else np.asarray(weight, np.float32)
        with self._kept():
            return self._metric.value(label, predictions(margins, self._link), weights), 1.0

    def get_final_error(self, error: float, weight: float) -> float:
        """The metric."""
        return error
