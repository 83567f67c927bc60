"""A trained CatBoost model, for prediction; and CatBoost's errors as ours."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO

import catboost
import numpy as np
from catboost import CatBoostError

from batchtrainingbooster.backends.catboost_data import table_of, temporary_file
from batchtrainingbooster.backends.prediction import BasePredictor, translating

# Of CatBoost's notes on how a model came to be, those that differ from run to run, or pile up.
_VOLATILE = ("model_guid", "train_finish_time", "training")


class Predictor(BasePredictor):
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

    @property
    def _n_columns(self) -> int:
        return len(self._names)

    def _scores(self, features: np.ndarray) -> np.ndarray:
        cardinalities = [
            _power_of_two(features[:, i]) if categorical else 0
            for i, categorical in enumerate(self._is_categorical)
        ]
        table = table_of(features, self._names, cardinalities)
        with translated("while predicting"):
            return np.asarray(self.booster.predict(table, prediction_type="RawFormulaVal"))

    def _importance(self, kind: str) -> dict[str, float]:
        values = self.booster.get_feature_importance(type=kind)
        return dict(zip(self._names, map(float, values), strict=True))


def loaded(native: bytes) -> catboost.CatBoost:
    """A model from CatBoost's binary format.

    From a stream, as CatBoost reads a ``blob`` in place: a model that continues such a one points
    at bytes that are gone with it, and so does ``copy()``. It crashes, hangs, or gives other
    values (https://github.com/catboost/catboost/issues/2784).
    """
    return catboost.CatBoost().load_model(stream=BytesIO(native))


def native(model: catboost.CatBoost) -> bytes:
    """A model in CatBoost's binary format.

    CatBoost writes its notes in an order that differs between a model that was trained and the
    same one loaded; so it is that of the loaded one here.
    """
    with temporary_file() as file:
        model.save_model(str(file))
        loaded(file.read_bytes()).save_model(str(file))
        return file.read_bytes()


def first_trees(model: catboost.CatBoost, count: int) -> catboost.CatBoost:
    """The model cut after this many trees; the one given may be cut too.

    CatBoost refuses to cut where there are fewer splits than trees to keep: it counts the ones as
    the others. So it does with trees that found nothing to split by, as where all features are
    constant. Those are cut in JSON, which is off in the last bits of the values in leaves.
    """
    # Trees are symmetric: one of 8 leaves has 3 splits.
    splits = sum(int(leaves).bit_length() - 1 for leaves in model.get_tree_leaf_counts())
    if count <= splits:
        model.shrink(ntree_end=count)
        return model
    with temporary_file() as file:
        model.save_model(str(file), format="json")
        content = json.loads(file.read_bytes())
        del content["oblivious_trees"][count:]
        file.write_text(json.dumps(content))
        cut = catboost.CatBoost().load_model(str(file), format="json")
    cut.set_leaf_values(model.get_leaf_values()[: len(cut.get_leaf_values())])
    cut.set_scale_and_bias(*model.get_scale_and_bias())
    return cut


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


def _without_source_line(error: Exception) -> str:
    return re.sub(r"^\S+\.(cpp|h|pyx):\d+: ", "", str(error))


translated = partial(translating, "CatBoost", CatBoostError, _without_source_line)
