"""The models that estimators fit: a ``BoostedModel`` with the columns of Spark ML."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import Vector, Vectors
from pyspark.ml.param.shared import (
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
)
from pyspark.ml.util import MLReadable, MLWritable
from pyspark.sql import functions as F

from batchtrainingbooster.core.parsing import shown
from batchtrainingbooster.errors import DataError, NotFittedError
from batchtrainingbooster.model.boosted_model import BoostedModel
from batchtrainingbooster.model.tables import refuse_missing_or_ambiguous
from batchtrainingbooster.spark_ml.params import FeatureParams, WithAccessors
from batchtrainingbooster.spark_ml.persistence import ModelReader, ModelWriter

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


class BatchModel(
    Model, WithAccessors, FeatureParams, HasLabelCol, HasPredictionCol, MLReadable, MLWritable
):
    """What all fitted models have.

    Parameters
    ----------
    model : BoostedModel
    """

    def __init__(self, model: BoostedModel | None = None) -> None:
        super().__init__()
        self._model = model

    @property
    def model(self) -> BoostedModel:
        """The model as the trainers return it: history, report, plots, the booster's own object."""
        if self._model is None:
            msg = f"this {type(self).__name__} is empty: an estimator's fit makes one, or load"
            raise NotFittedError(msg)
        return self._model

    @property
    def numFeatures(self) -> int:
        """Features: those of vectors one by one."""
        return self.model.info.schema.n_columns

    @property
    def featureImportances(self) -> Vector:
        """Importance of each feature, in their order; they sum to 1."""
        by_name = self.model.feature_importance()
        values = [by_name[name] for name in self.model.info.schema.column_names]
        total = sum(values)
        found = {i: value / total for i, value in enumerate(values) if value}
        return Vectors.sparse(len(values), found)

    def write(self) -> ModelWriter:
        """The writer: ``write().overwrite().save(path)``."""
        return ModelWriter(self)

    @classmethod
    def read(cls) -> ModelReader:
        """The reader."""
        return ModelReader(cls)

    def _outputs(self) -> dict[str, str]:
        """What BoostedModel adds, and what it is called here, in the order of the columns."""
        names = {
            output: self.named_column(f"{output}Col")
            for output in ("rawPrediction", "probability", "prediction")
            if self.hasParam(f"{output}Col")
        }
        return {output: name for output, name in names.items() if name is not None}

    def _features(self, dataset: DataFrame) -> dict[str, str]:
        """Names of the features as in training, by those that they have here.

        Raises
        ------
        ColumnNotFoundError, DataError
            If they are others, or not there.
        """
        trained = [feature.name for feature in self.model.info.schema.features]
        named = self.feature_names()
        if len(named) != len(trained):
            msg = (
                f"transform: featuresCol names {len(named)} columns, and the model was trained on "
                f"{len(trained)}: {shown(trained)}"
            )
            raise DataError(msg)
        refuse_missing_or_ambiguous(named, dataset.columns, "transform: featuresCol")
        return dict(zip(named, trained, strict=True))

    def _scores(self, found: dict[str, Column], names: dict[str, str]) -> list[Column]:
        prediction = found["prediction"].cast("double")
        return [prediction.alias(name, metadata={"ml_attr": {}}) for name in names.values()]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        names = self._outputs()
        if not names:
            return dataset
        _refuse_taken_names(dataset, list(names.values()))
        fields = dataset.schema.fields
        features = self._features(dataset)
        # What is carried along may be called as the trainers call their outputs.
        apart = max(features.values(), key=len)
        carried = [features.get(field.name, f"{apart}_{i}") for i, field in enumerate(fields)]
        scored = self.model.transform(dataset.toDF(*carried))
        outputs = scored.columns[len(fields) :]
        renamed = scored.toDF(*[f"c{i}" for i in range(len(scored.columns))])
        found = {name: F.col(f"c{len(fields) + i}") for i, name in enumerate(outputs)}
        kept = [F.col(f"c{i}").alias(f.name, metadata=f.metadata) for i, f in enumerate(fields)]
        return renamed.select(*kept, *self._scores(found, names))


class BatchClassificationModel(BatchModel, HasProbabilityCol, HasRawPredictionCol):
    """A classifier, fitted.

    Parameters
    ----------
    model : BoostedModel
    num_classes : int
        Length of the vectors; a class that no row had has probability 0.
    """

    def __init__(self, model: BoostedModel | None = None, num_classes: int = 0) -> None:
        super().__init__(model)
        self._num_classes = num_classes

    @property
    def numClasses(self) -> int:
        """Labels that there are: 0, 1, ..."""
        return self._num_classes

    def _scores(self, found: dict[str, Column], names: dict[str, str]) -> list[Column]:
        n = self.numClasses
        places = [int(label) for label in self.model.classes]
        if places != list(range(n)):
            found["probability"] = _spread(found["probability"], places, n, 0.0)
            found["rawPrediction"] = _spread(found["rawPrediction"], places, n, -math.inf)
        found["prediction"] = found["prediction"].cast("double")
        attributes: dict[str, dict[str, Any]] = {
            "rawPrediction": {"num_attrs": n},
            "probability": {"num_attrs": n},
            "prediction": {"type": "nominal", "num_vals": n},
        }
        return [
            found[output].alias(name, metadata={"ml_attr": attributes[output]})
            for output, name in names.items()
        ]


class BatchRegressionModel(BatchModel):
    """A regressor, fitted."""


class BatchRankingModel(BatchModel):
    """A ranker, fitted: within a query, the largest prediction comes first."""


def _spread(vector: Column, places: list[int], n: int, missing: float) -> Column:
    """A vector of the classes that there were as one of all."""
    values = vector_to_array(vector)
    position = {place: i for i, place in enumerate(places)}
    return array_to_vector(
        F.array(*[values[position[i]] if i in position else F.lit(missing) for i in range(n)])
    )


def _refuse_taken_names(dataset: DataFrame, names: list[str]) -> None:
    # Spark takes names that differ by case for one.
    there = [name.lower() for name in dataset.columns]
    for i, name in enumerate(names):
        if name.lower() in there:
            msg = f"transform: column {name!r} exists already; drop it, or name another output"
            raise DataError(msg)
        if name.lower() in map(str.lower, names[:i]):
            msg = f"transform: two outputs are called {name!r}; give each its own name"
            raise DataError(msg)
