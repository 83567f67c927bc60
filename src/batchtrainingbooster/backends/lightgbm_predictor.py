"""A trained LightGBM model, for prediction; and LightGBM's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import lightgbm as lgb
import numpy as np

from batchtrainingbooster.errors import BackendError, ConfigError


class Predictor:
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

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Raw scores.

        Parameters
        ----------
        features : ndarray of shape (n_rows, n_columns), float32

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), float64
        """
        if not len(features):
            return self.margins(np.zeros((1, self.booster.num_feature()), np.float32))[:0]
        with translated("while predicting"):
            scores = self.booster.predict(features, raw_score=True)
        return np.asarray(scores).reshape(len(features), -1)

    def importance(self, kind: str) -> dict[str, float]:
        """Importance by native feature name.

        Raises
        ------
        ConfigError
            If LightGBM has no such kind.
        """
        if kind not in self.importance_kinds:
            names = ", ".join(self.importance_kinds)
            msg = f"importance kind: got {kind!r}, need one of {names}"
            raise ConfigError(msg)
        values = self.booster.feature_importance(kind).tolist()
        return dict(zip(self.booster.feature_name(), map(float, values), strict=True))


def loaded(native: bytes) -> lgb.Booster:
    """A booster from LightGBM's text format."""
    return lgb.Booster(model_str=native.decode())


def native(booster: lgb.Booster, n_rounds: int) -> bytes:
    """The first rounds of a booster in LightGBM's text format; -1 for all."""
    return str(booster.model_to_string(num_iteration=n_rounds)).encode()


@contextmanager
def translated(when: str) -> Iterator[None]:
    """Errors of LightGBM as a BackendError that says when."""
    try:
        yield
    except lgb.basic.LightGBMError as error:
        msg = f"LightGBM failed {when}: {error}"
        raise BackendError(msg) from error
