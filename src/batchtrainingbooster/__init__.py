"""Train gradient-boosted trees batch by batch from Spark DataFrames of any size.

Names are loaded when they are first used, so that importing the package imports neither Spark nor
a booster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchtrainingbooster.callbacks.base import Callback
    from batchtrainingbooster.callbacks.mlflow import MLflowCallback
    from batchtrainingbooster.callbacks.tensorboard import TensorBoardCallback
    from batchtrainingbooster.comparison.strategies import compare_strategies
    from batchtrainingbooster.core.config import TrainingConfig
    from batchtrainingbooster.core.events import StopRequest
    from batchtrainingbooster.errors import BatchTrainingError
    from batchtrainingbooster.logger.logger import setup_logger
    from batchtrainingbooster.model.boosted_model import BoostedModel
    from batchtrainingbooster.trainers.catboost_trainer import CatBoostTrainer
    from batchtrainingbooster.trainers.lightgbm_trainer import LightGBMTrainer
    from batchtrainingbooster.trainers.xgboost_trainer import XGBoostTrainer

__all__ = [
    "BatchTrainingError",
    "BoostedModel",
    "Callback",
    "CatBoostTrainer",
    "LightGBMTrainer",
    "MLflowCallback",
    "StopRequest",
    "TensorBoardCallback",
    "TrainingConfig",
    "XGBoostTrainer",
    "compare_strategies",
    "setup_logger",
]
__version__ = "0.1.0"

_MODULES = {
    "BatchTrainingError": "errors",
    "BoostedModel": "model.boosted_model",
    "Callback": "callbacks.base",
    "CatBoostTrainer": "trainers.catboost_trainer",
    "LightGBMTrainer": "trainers.lightgbm_trainer",
    "MLflowCallback": "callbacks.mlflow",
    "StopRequest": "core.events",
    "TensorBoardCallback": "callbacks.tensorboard",
    "TrainingConfig": "core.config",
    "XGBoostTrainer": "trainers.xgboost_trainer",
    "compare_strategies": "comparison.strategies",
    "setup_logger": "logger.logger",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyspark":
            raise
        from batchtrainingbooster.errors import MissingDependencyError

        raise MissingDependencyError.of("pyspark", "spark", name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
