"""The validation rows, and the metrics of a CatBoost model on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import catboost
import numpy as np
from catboost.utils import eval_metric

from batchtrainingbooster.backends.catboost_data import group_ids
from batchtrainingbooster.backends.custom import CustomMetric, predictions
from batchtrainingbooster.core.ports import Batch


@attrs.frozen(eq=False)
class Validation:
    """Rows, and how a model is judged on them.

    Attributes
    ----------
    pool : catboost.Pool
    rows : Batch
        The same.
    metrics : sequence of str or CustomMetric
        The last one decides.
    link : str
    """

    pool: catboost.Pool
    rows: Batch
    metrics: Sequence[str | CustomMetric]
    link: str
    _groups: np.ndarray | None = attrs.field(init=False)

    @_groups.default
    def _number_groups(self) -> np.ndarray | None:
        return group_ids(self.rows)

    def of_model(self, model: catboost.CatBoost) -> dict[str, float]:
        """The metrics of a model."""
        return self._of_margins(model.predict(self.pool, prediction_type="RawFormulaVal"))

    def by_round(self, model: catboost.CatBoost, first: int) -> Iterator[dict[str, float]]:
        """The metrics after each round from ``first`` on."""
        options: dict[str, Any] = {"prediction_type": "RawFormulaVal"}
        before = model.predict(self.pool, ntree_end=first, **options) if first else 0.0
        for margins in model.staged_predict(self.pool, ntree_start=first, **options):
            yield self._of_margins(before + margins)

    def _of_margins(self, margins: np.ndarray) -> dict[str, float]:
        rows, values = self.rows, {}
        for metric in self.metrics:
            if isinstance(metric, CustomMetric):
                predicted = predictions(margins, self.link)
                values[metric.name] = metric.value(rows.label, predicted, rows.weight)
            else:
                found = eval_metric(
                    rows.label, margins, metric, weight=rows.weight, group_id=self._groups
                )
                values[metric] = float(found[0])
        return values
