"""What MLflow calls to load a saved model: ``loader_module`` of its ``pyfunc`` flavour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchtrainingbooster.model.boosted_model import BoostedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class PyfuncModel:
    """A model as MLflow asks it.

    Parameters
    ----------
    model : BoostedModel
    """

    def __init__(self, model: BoostedModel) -> None:
        self._model = model

    def predict(
        self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame:
        """Labels or values; with ``params={"proba": True}``, probabilities.

        Parameters
        ----------
        model_input : pandas.DataFrame
            With the feature columns.
        params : dict, optional

        Returns
        -------
        ndarray of shape (n_rows,), or DataFrame
            Of probabilities, a column for each class, named by its label.
        """
        if not (params or {}).get("proba"):
            return self._model.predict(model_input)
        import pandas as pd

        probabilities = self._model.predict_proba(model_input)
        names = [str(label) for label in self._model.classes]
        return pd.DataFrame(probabilities, model_input.index, names)


def _load_pyfunc(path: str) -> PyfuncModel:
    """The model in a folder that ``BoostedModel.save`` wrote."""
    return PyfuncModel(BoostedModel.load(path))
