"""A trained CatBoost model, for prediction; and CatBoost's errors as ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import catboost
import numpy as np
from catboost import CatBoostError

from batchtrainingbooster.backends.catboost_data import table_of
from batchtrainingbooster.errors import BackendError, ConfigError

# Of CatBoost's notes on how a model came to be, those that differ from run to run, or pile up.
_VOLATILE = ("model_guid", "train_finish_time", "training")


class Predictor:
    """A trained model, for prediction.

    Parameters
    ----------
    native : bytes
        CatBoost's binary format.
    """

    importance_kinds = ("PredictionValuesChange", "InternalFeatureImportance")

    def __init__(self, native: bytes) -> None:
        with translated("while loading the model"):
            self.booster = loaded(native)
        categorical = set(self.booster.get_cat_feature_indices())
        self._names = self.booster.feature_names_
        self._is_categorical = [i in categorical for i in range(len(self._names))]

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
            return self.margins(np.zeros((1, len(self._names)), np.float32))[:0]
        cardinalities = [
            _power_of_two(features[:, i]) if categorical else 0
            for i, categorical in enumerate(self._is_categorical)
        ]
        with translated("while predicting"):
            scores = self.booster.predict(
                table_of(features, self._names, cardinalities), prediction_type="RawFormulaVal"
            )
        return np.asarray(scores).reshape(len(features), -1)

    def importance(self, kind: str) -> dict[str, float]:
        """Importance by native feature name.

        Raises
        ------
        ConfigError
            If CatBoost has no such kind, or needs data for it.
        """
        if kind not in self.importance_kinds:
            names = ", ".join(self.importance_kinds)
            msg = f"importance kind: got {kind!r}, need one of {names}"
            raise ConfigError(msg)
        values = self.booster.get_feature_importance(type=kind)
        return dict(zip(self._names, map(float, values), strict=True))


def loaded(native: bytes) -> catboost.CatBoost:
    """A model from CatBoost's binary format."""
    return catboost.CatBoost().load_model(blob=native)


def drop_notes(model: catboost.CatBoost) -> None:
    """Drop what CatBoost notes of the time, and of all models that this one continues."""
    metadata = model.get_metadata()
    for key in list(metadata):
        if key.startswith("initModel:") or key in _VOLATILE:
            del metadata[key]


def _power_of_two(codes: np.ndarray) -> int:
    """A number of categories that holds these codes, one of few, as dictionaries are kept."""
    largest = np.nanmax(codes, initial=0)
    return 1 << int(largest).bit_length()


@contextmanager
def quiet() -> Iterator[None]:
    """Without CatBoost's advice to install numba, at each call, for functions of the user's own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to import numba")
        yield


@contextmanager
def translated(when: str) -> Iterator[None]:
    """Errors of CatBoost as a BackendError that says when."""
    try:
        yield
    except CatBoostError as error:
        # without the line of its source
        text = re.sub(r"^\S+\.(cpp|h|pyx):\d+: ", "", str(error))
        msg = f"CatBoost failed {when}: {text}"
        raise BackendError(msg) from error
