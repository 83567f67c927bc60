"""A trained LightGBM model, for prediction; and LightGBM's errors as ours."""

from __future__ import annotations

from functools import partial

import lightgbm as lgb
import numpy as np

from batchtrainingbooster.backends.prediction import BasePredictor, translating


class Predictor(BasePredictor):
    """A trained model, for prediction.

    Parameters
    ----------
    native : bytes
        LightGBM's text format.
    """

    importance_kinds = ("gain", "split")

    def __init__(self, native: bytes) -> None:
        with translated("while loading the model"):
            self.booster = loaded(native)

    @property
    def _n_columns(self) -> int:
        return int(self.booster.num_feature())

    def _scores(self, features: np.ndarray) -> np.ndarray:
        with translated("while predicting"):
            return np.asarray(self.booster.predict(features, raw_score=True))

    def _importance(self, kind: str) -> dict[str, float]:
        values = self.booster.feature_importance(kind).tolist()
        return dict(zip(self.booster.feature_name(), map(float, values), strict=True))


def loaded(native: bytes) -> lgb.Booster:
    """A booster from LightGBM's text format."""
    return lgb.Booster(model_str=native.decode())


def native(booster: lgb.Booster, n_rounds: int) -> bytes:
    """The first rounds of a booster in LightGBM's text format; -1 for all."""
    return str(booster.model_to_string(num_iteration=n_rounds)).encode()


translated = partial(translating, "LightGBM", lgb.basic.LightGBMError, str)
