"""Estimators and models of Spark ML over the trainers.

The classes are saved under the names that they have here.
"""

from __future__ import annotations

try:
    import pyspark.ml  # noqa: F401 - what all of it is made of
except ModuleNotFoundError as error:
    from batchtrainingbooster.errors import MissingDependencyError

    raise MissingDependencyError.of("pyspark", "spark", __name__) from error

from batchtrainingbooster.spark_ml.estimator import BatchClassifier, BatchRanker, BatchRegressor
from batchtrainingbooster.spark_ml.models import (
    BatchClassificationModel,
    BatchRankingModel,
    BatchRegressionModel,
)
from batchtrainingbooster.trainers.catboost_trainer import CatBoostTrainer
from batchtrainingbooster.trainers.lightgbm_trainer import LightGBMTrainer
from batchtrainingbooster.trainers.xgboost_trainer import XGBoostTrainer

__all__ = [
    "BatchCatBoostClassifier",
    "BatchCatBoostRanker",
    "BatchCatBoostRegressor",
    "BatchClassificationModel",
    "BatchLightGBMClassifier",
    "BatchLightGBMRanker",
    "BatchLightGBMRegressor",
    "BatchRankingModel",
    "BatchRegressionModel",
    "BatchXGBoostClassifier",
    "BatchXGBoostRanker",
    "BatchXGBoostRegressor",
]


class BatchXGBoostClassifier(BatchClassifier):
    """A classifier of XGBoost, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = XGBoostTrainer


class BatchXGBoostRegressor(BatchRegressor):
    """A regressor of XGBoost, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = XGBoostTrainer


class BatchXGBoostRanker(BatchRanker):
    """A ranker of XGBoost, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = XGBoostTrainer


class BatchCatBoostClassifier(BatchClassifier):
    """A classifier of CatBoost, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = CatBoostTrainer


class BatchCatBoostRegressor(BatchRegressor):
    """A regressor of CatBoost, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = CatBoostTrainer


class BatchCatBoostRanker(BatchRanker):
    """A ranker of CatBoost, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = CatBoostTrainer


class BatchLightGBMClassifier(BatchClassifier):
    """A classifier of LightGBM, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = LightGBMTrainer


class BatchLightGBMRegressor(BatchRegressor):
    """A regressor of LightGBM, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = LightGBMTrainer


class BatchLightGBMRanker(BatchRanker):
    """A ranker of LightGBM, trained batch by batch; ``explainParams()`` says what it takes."""

    trainer = LightGBMTrainer


# Saved models and estimators name their class by its module.
for _model in (BatchClassificationModel, BatchRankingModel, BatchRegressionModel):
    _model.__module__ = __name__
