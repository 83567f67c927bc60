"""XGBoost, batch by batch."""

from __future__ import annotations

from typing import ClassVar

from batchtrainingbooster.core.base_trainer import BaseTrainer


class XGBoostTrainer(BaseTrainer):
    """Trains XGBoost models batch by batch from Spark DataFrames.

    ``config_model`` takes XGBoost's parameters, in native or scikit-learn spelling:
    https://xgboost.readthedocs.io/en/stable/parameter.html
    """

    backend: ClassVar[str] = "xgboost"
