"""What XGBoost is handed and hands back, in our forms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xgboost as xgb

from batchtrainingbooster.core.ports import Batch, RoundMetrics


def with_last_categories(reference: Batch, cardinalities: Sequence[int]) -> Batch:
    """One more row, which names each dictionary's last code.

    XGBoost takes the number of categories from the largest code in the reference; a later batch
    may hold a larger one. The row is missing elsewhere, so it moves no numeric cut.
    """
    if not any(cardinalities):
        return reference
    last = np.array([[n - 1 if n else np.nan for n in cardinalities]], np.float32)
    return Batch(
        features=np.asfortranarray(np.vstack([reference.features, last])),
        label=np.append(reference.label, reference.label[:1]),
        weight=None if reference.weight is None else np.append(reference.weight, np.float32(1)),
    )


def label_and_weight(data: xgb.DMatrix) -> tuple[np.ndarray, np.ndarray | None]:
    """Copies; no weight where every row weighs 1."""
    weight = data.get_weight()
    return data.get_label(), weight if weight.size else None


def parse_metrics(text: str) -> RoundMetrics:
    """Metrics out of XGBoost's tab-separated ``[3] train-logloss:0.5 valid-logloss:0.6``."""
    values: dict[str, dict[str, float]] = {"train": {}, "valid": {}}
    for item in text.split("\t")[1:]:
        name, _, value = item.rpartition(":")
        part, _, metric = name.partition("-")
        values[part][metric] = float(value)
    return RoundMetrics(values["train"], values["valid"])
