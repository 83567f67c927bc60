"""A trained XGBoost model, for prediction; and XGBoost's errors as ours."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import xgboost as xgb

from batchtrainingbooster.backends.prediction import BasePredictor, translating


class Predictor(BasePredictor):
    """A trained model, for prediction.

    Parameters
    ----------
    native : bytes
        XGBoost's UBJSON or JSON format.
    """

    importance_kinds = ("gain", "total_gain", "cover", "total_cover", "weight")

    def __init__(self, native: bytes) -> None:
        with translated("while loading the model"):
            self.booster = xgb.Booster(model_file=bytearray(native))

    @property
    def _n_columns(self) -> int:
        return int(self.booster.num_features())

    def _scores(self, features: np.ndarray) -> np.ndarray:
        with translated("while predicting"):
            scores = self.booster.inplace_predict(
                features, predict_type="margin", validate_features=False
            )
        return np.asarray(scores, np.float32)

    def _importance(self, kind: str) -> dict[str, float]:
        return dict(self.booster.get_score(importance_type=kind))


def first_lines(error: Exception) -> str:
    """XGBoost's message without its time stamp, source line and stack trace."""
    text = str(error).partition("Stack trace")[0].strip()
    return re.sub(r"^\[[\d:]+\] \S+: ", "", text).replace("\n", "; ")


translated = partial(translating, "XGBoost", xgb.core.XGBoostError, first_lines)
