"""The trained model: prediction, importance, history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import attrs
import numpy as np

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.core import links
from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.data_summary import DataSummary
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import Best, StopReason
from batchtrainingbooster.core.table import TableSchema
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.model.plotting import ModelPlots
from batchtrainingbooster.model.tables import feature_matrix, is_spark, to_arrow

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from batchtrainingbooster.data.shipping import Shipped

    Table: TypeAlias = pd.DataFrame | pa.Table | pa.RecordBatch | DataFrame


@attrs.frozen(kw_only=True)
class ModelInfo:
    """What a model is, without its trees.

    Attributes
    ----------
    backend : str
        Name of the booster library.
    backend_version : str
        Its version at training.
    objective, link, metric : str
    maximize : bool
        Whether a larger metric is better.
    schema : TableSchema
    n_rounds : int
    best : Best, optional
    stop_reason : StopReason
    config : dict
        The settings of the run, as given.
    """

    backend: str
    backend_version: str
    objective: str
    link: str
    metric: str
    maximize: bool
    schema: TableSchema
    n_rounds: int
    best: Best | None
    stop_reason: StopReason | None
    config: dict[str, Any]


class BoostedModel(ModelPlots):
    """A model trained batch by batch.

    Parameters
    ----------
    info : ModelInfo
    native : bytes
        The booster's own file.
    history : History
    record : RunRecord, optional
        What else is known of the run, for reports.
    first_data : DataSummary, optional
        What the rows looked like that it was first trained on, which an update compares its own
        with.
    """

    def __init__(
        self,
        info: ModelInfo,
        native: bytes,
        history: History,
        record: RunRecord | None = None,
        first_data: DataSummary | None = None,
    ) -> None:
        self.info = info
        self.native = native
        self.history = history
        self.record = record or RunRecord(rows=list(history), best=info.best)
        self.first_data = first_data
        self._predictor: Any = None
        # Where its trees were sent last: which session, and how tasks find them.
        self.shipped: tuple[str, Shipped] | None = None

    def __repr__(self) -> str:
        """Short, for notebooks and logs."""
        info = self.info
        return (
            f"BoostedModel({info.backend}, {info.objective}, {info.n_rounds} rounds, "
            f"{len(info.schema.features)} features, target {info.schema.target.name!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the native object, which is loaded again where it is needed."""
        return {**self.__dict__, "_predictor": None, "shipped": None}

    @property
    def predictor(self) -> Any:
        """The backend's predictor, loaded at first use."""
        if self._predictor is None:
            self._predictor = load_backend(self.info.backend).Predictor(self.native)
        return self._predictor

    @property
    def booster(self) -> Any:
        """The booster library's own object."""
        return self.predictor.booster

    @property
    def classes(self) -> tuple[Label, ...]:
        """Labels in the order of the probabilities; empty for regression."""
        return self.info.schema.target.classes

    def predict(self, data: Table) -> np.ndarray:
        """Predicted labels, or values.

        Parameters
        ----------
        data : pandas.DataFrame, pyarrow.Table or Spark DataFrame
            With the feature columns, in any order; others are ignored. For a large Spark
            DataFrame, use ``transform``: this brings the predictions to the driver.

        Returns
        -------
        ndarray of shape (n_rows,)
            Original labels, or float64.

        Raises
        ------
        ColumnNotFoundError
            If a feature column is missing.
        DataError
            If a column cannot be read as it was in training.
        """
        if is_spark(data):
            from batchtrainingbooster.model.scoring import predictions

            scored = to_arrow(predictions(self, cast("DataFrame", data)))
            return np.asarray(scored["prediction"].to_numpy())
        margins = self.margins(data)
        if not self.classes:
            return links.expectations(margins, self.info.link)
        index = links.probabilities(margins, self.info.link).argmax(axis=1)
        # NumPy's own texts end at their last character that is not NUL, and are all as long as the
        # longest.
        kind = object if isinstance(self.classes[0], str) else None
        labels: np.ndarray = np.asarray(self.classes, kind)[index]
        return labels

    def predict_proba(self, data: Table) -> np.ndarray:
        """Probability of each class, in the order of ``classes``.

        Parameters
        ----------
        data
            As for ``predict``.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64

        Raises
        ------
        ConfigError
            If the model is one of regression.
        """
        if not self.classes:
            msg = f"predict_proba: the target {self.info.schema.target.name!r} has no classes"
            raise ConfigError(msg)
        return links.probabilities(self.margins(data), self.info.link)

    def margins(self, data: Table) -> np.ndarray:
        """Raw scores, of shape (n_rows, n_outputs), float32; parameters as for ``predict``."""
        if is_spark(data):
            from batchtrainingbooster.model.scoring import feature_columns

            table = to_arrow(feature_columns(self, cast("DataFrame", data)))
            data = table.rename_columns([feature.name for feature in self.info.schema.features])
        return np.asarray(self.predictor.margins(feature_matrix(self.info.schema, data)))

    def transform(self, frame: DataFrame) -> DataFrame:
        """Add ``prediction`` and, for classes, ``probability`` and ``rawPrediction``.

        The rows are scored on the executors, in Arrow batches. Types are those of Spark ML, but
        for ``prediction``, which holds the original labels.

        Parameters
        ----------
        frame : Spark DataFrame
            With the feature columns.

        Raises
        ------
        ColumnNotFoundError
            If a feature column is missing.
        DataError
            If one is of another kind than in training, or an output column exists already.
        """
        from batchtrainingbooster.model.scoring import transform

        return transform(self, frame)

    def register(self, session: SparkSession, name: str, output: str = "prediction") -> None:
        """Make the model a function for Spark SQL, for as long as the session lasts.

        Parameters
        ----------
        session : SparkSession
        name : str
            Of the function. Its arguments are the feature columns in the order of training,
            ``score(age, fare)``; or by name, as one struct, ``score(struct(*))``.
        output : {"prediction", "probability"}
            The label or value; or an array with the probability of each class.

        Raises
        ------
        ConfigError
            If there is no such output.
        MissingDependencyError
            If pandas is not installed.
        """
        from batchtrainingbooster.model.sql_function import register

        register(self, session, name, output)

    def feature_importance(self, kind: str | None = None) -> dict[str, float]:
        """Importance of each column of the feature matrix, largest first.

        Parameters
        ----------
        kind : str, optional
            The booster's own name of it: gain (the default), total_gain, cover, total_cover or
            weight for XGBoost; gain (the default) or split for LightGBM; PredictionValuesChange
            (the default) or InternalFeatureImportance for CatBoost.

        Returns
        -------
        dict of str to float
            0 for columns in no split.
        """
        names = self.info.schema.column_names
        native = load_backend(self.info.backend).native_names(names)
        found = self.predictor.importance(kind or self.predictor.importance_kinds[0])
        values = {name: found.get(own, 0.0) for name, own in zip(names, native, strict=True)}
        return dict(sorted(values.items(), key=lambda item: -item[1]))

    def report(self, path: str | PathLike[str]) -> None:
        """Write a page about the run that needs neither a network nor this library.

        What was trained on what, learning curves, learning rate, balance of the batches, how the
        model does on validation rows, importance, time by stage, settings, versions, warnings.

        Parameters
        ----------
        path : str or path
            An HTML file; replaced where there is one.

        Raises
        ------
        MissingDependencyError
            If plotly or jinja2 is not installed.
        """
        from batchtrainingbooster.report.page import write_report

        write_report(self.record, path)

    def save(self, path: str | PathLike[str]) -> None:
        """Save as a folder: the booster's own file, and JSON.

        Parameters
        ----------
        path : str or path
            A local folder; one that holds an earlier model is replaced.

        Raises
        ------
        ModelFormatError
            If it holds something else.
        """
        from batchtrainingbooster.model.persistence import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> BoostedModel:
        """A saved model.

        Raises
        ------
        ModelFormatError
            If the folder is no model, is damaged, or a newer version wrote it.
        """
        from batchtrainingbooster.model.persistence import load

        return load(path)
