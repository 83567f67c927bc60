"""CatBoost, batch by batch."""

from __future__ import annotations

from typing import ClassVar

from batchtrainingbooster.core.base_trainer import BaseTrainer


class CatBoostTrainer(BaseTrainer):
    """Trains CatBoost models batch by batch from Spark DataFrames.

    ``config_model`` takes CatBoost's parameters, in native or scikit-learn spelling:
    https://catboost.ai/docs/en/references/training-parameters/
    """

    backend: ClassVar[str] = "catboost"
