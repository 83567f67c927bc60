"""A trained XGBoost model, for prediction; and XGBoost's errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import xgboost as xgb

from batchtrainingbooster.errors import BackendError, ConfigError


class Predictor:
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

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Raw scores.

        Parameters
        ----------
        features : ndarray of shape (n_rows, n_columns), float32

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), float32
        """
        if not len(features):
            return self.margins(np.zeros((1, self.booster.num_features()), np.float32))[:0]
        with translated("while predicting"):
            scores = self.booster.inplace_predict(
                features, predict_type="margin", validate_features=False
            )
        return np.asarray(scores, np.float32).reshape(len(features), -1)

    def importance(self, kind: str) -> dict[str, float]:
        """Importance by native feature name; features in no split are left out.

        Raises
        ------
        ConfigError
            If XGBoost has no such kind.
        """
        if kind not in self.importance_kinds:
            names = ", ".join(self.importance_kinds)
            msg = f"importance kind: got {kind!r}, need one of {names}"
            raise ConfigError(msg)
        return dict(self.booster.get_score(importance_type=kind))


@contextmanager
def translated(when: str) -> Iterator[None]:
    """Errors of XGBoost as a BackendError that says when."""
    try:
        yield
    except xgb.core.XGBoostError as error:
        msg = f"XGBoost failed {when}: {first_lines(error)}"
        raise BackendError(msg) from error


def first_lines(error: Exception) -> str:
    """XGBoost's message without its time stamp, source line and stack trace."""
    text = str(error).partition("Stack trace")[0].strip()
    return re.sub(r"^\[[\d:]+\] \S+: ", "", text).replace("\n", "; ")
