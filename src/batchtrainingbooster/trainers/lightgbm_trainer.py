"""LightGBM, batch by batch."""

from __future__ import annotations

from typing import ClassVar

from batchtrainingbooster.core.base_trainer import BaseTrainer


class LightGBMTrainer(BaseTrainer):
    """Trains LightGBM models batch by batch from Spark DataFrames.

    ``config_model`` takes LightGBM's parameters, in native or scikit-learn spelling:
    https://lightgbm.readthedocs.io/en/stable/Parameters.html
    """

    backend: ClassVar[str] = "lightgbm"
