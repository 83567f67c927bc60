"""Scoring a Spark DataFrame on the executors, in Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
from pyspark.errors import PySparkNotImplementedError
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.core import links
from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.sessions import is_connect
from batchtrainingbooster.data.shipping import Shipped, ship
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.errors import DataError
from batchtrainingbooster.model.tables import feature_matrix, refuse_missing_or_ambiguous

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from batchtrainingbooster.model.boosted_model import BoostedModel, ModelInfo

# Of the scores that go to Spark in one piece.
_SCORE_BYTES = 16 * 2**20

_LABEL_TYPES: dict[str, tuple[T.DataType, pa.DataType]] = {
    "boolean": (T.BooleanType(), pa.bool_()),
    "tinyint": (T.ByteType(), pa.int8()),
    "smallint": (T.ShortType(), pa.int16()),
    "int": (T.IntegerType(), pa.int32()),
    "bigint": (T.LongType(), pa.int64()),
    "float": (T.FloatType(), pa.float32()),
    "double": (T.DoubleType(), pa.float64()),
    "string": (T.StringType(), pa.string()),
}


def transform(model: BoostedModel, frame: DataFrame) -> DataFrame:
    """See ``BoostedModel.transform``.

    Columns are renamed by position meanwhile, so they may be called anything. Vectors come from
    Python as such, since making them in Spark takes as long as scoring.
    """
    scores = [] if not model.classes else ["rawPrediction", "probability"]
    outputs = [*scores, "prediction"]
    _check_features(model, frame)
    _refuse_taken_names(frame, outputs)
    spark_label, arrow_label = label_types(model.info)
    fields = frame.schema.fields
    position = {field.name: i for i, field in enumerate(fields)}
    columns = [F.col(f"c{i}") for i in range(len(fields))]
    # Where Python finds each feature: among the columns as they are, or, for a vector, behind them.
    places: list[int] = []
    for feature in model.info.schema.features:
        place = position[feature.name]
        if isinstance(fields[place].dataType, T.UserDefinedType):
            columns.append(_numbers_of(F.col(f"c{place}")).alias(f"f{place}"))
            place = len(columns) - 1
        places.append(place)
    schema = T.StructType([T.StructField(f"c{i}", f.dataType, True) for i, f in enumerate(fields)])
    for name in scores:
        schema = schema.add(name, VectorUDT())
    schema = schema.add("prediction", spark_label)
    prepared = frame.toDF(*[f"c{i}" for i in range(len(fields))]).select(*columns)
    score = _Scorer(
        model=shipped(model, frame.sparkSession),
        kept=schema.names[: len(fields)],
        outputs=outputs,
        places=places,
        label_type=arrow_label,
    )
    try:
        scored = prepared.mapInArrow(score, schema)
    except PySparkNotImplementedError as error:
        kinds = [f"{f.name!r} is {f.dataType.simpleString()}" for f in fields]
        intervals = ", ".join(kind for kind in kinds if "interval" in kind) or ", ".join(kinds)
        msg = f"transform: Spark hands no such column to Python, drop it or cast it: {intervals}"
        raise DataError(msg) from error
    kept = [
        F.col(f"c{i}").alias(field.name, metadata=field.metadata) for i, field in enumerate(fields)
    ]
    return scored.select(*kept, *outputs)


def predictions(model: BoostedModel, frame: DataFrame) -> DataFrame:
    """What ``transform`` adds as ``prediction``, alone: other columns need not be carried."""
    spark_label, arrow_label = label_types(model.info)
    features = feature_columns(model, frame)
    score = _Scorer(
        model=shipped(model, frame.sparkSession),
        kept=(),
        outputs=("prediction",),
        places=range(len(features.columns)),
        label_type=arrow_label,
    )
    return features.mapInArrow(score, T.StructType([T.StructField("prediction", spark_label)]))


def feature_columns(model: BoostedModel, frame: DataFrame) -> DataFrame:
    """The features alone, in the order of training, as ``c0, c1, ...``; vectors are arrays."""
    _check_features(model, frame)
    fields = frame.schema.fields
    position = {field.name: i for i, field in enumerate(fields)}
    columns = []
    for i, feature in enumerate(model.info.schema.features):
        place = position[feature.name]
        column = F.col(f"p{place}")
        if isinstance(fields[place].dataType, T.UserDefinedType):
            column = _numbers_of(column)
        columns.append(column.alias(f"c{i}"))
    return frame.toDF(*[f"p{i}" for i in range(len(fields))]).select(*columns)


def label_types(info: ModelInfo) -> tuple[T.DataType, pa.DataType]:
    """The type of predictions, for Spark and for Arrow: that of the target, as far as there is."""
    target = info.schema.target
    if not target.classes or target.spark_type.startswith("decimal"):
        return _LABEL_TYPES["double"]
    return _LABEL_TYPES.get(target.spark_type, _LABEL_TYPES["string"])


@attrs.frozen(eq=False, kw_only=True)
class ShippedModel:
    """What scores rows in a task: all of a model but its trees, and where those are found.

    Attributes
    ----------
    info : ModelInfo
    trees : Shipped
    """

    info: ModelInfo
    trees: Shipped

    def margins(self, features: Any) -> np.ndarray:
        """Raw scores of a table that has the feature columns."""
        predictor = _predictor(self.info.backend, self.trees)
        return np.asarray(predictor.margins(feature_matrix(self.info.schema, features)))

    @property
    def classes(self) -> tuple[Label, ...]:
        """Labels in the order of the scores; empty for regression."""
        return self.info.schema.target.classes


# A task may use several models, and a process may run many tasks.
_KEPT = 4
_predictors: dict[str, Any] = {}


def _predictor(backend: str, trees: Shipped) -> Any:
    """The predictor, loaded once by each process."""
    if trees.digest not in _predictors:
        while len(_predictors) >= _KEPT:
            del _predictors[next(iter(_predictors))]
        _predictors[trees.digest] = load_backend(backend).Predictor(trees.read())
    return _predictors[trees.digest]


def shipped(model: BoostedModel, session: SparkSession) -> ShippedModel:
    """The model for tasks of this session; its trees go to the executors once, not at each call."""
    key = session.session_id if is_connect(session) else session.sparkContext.applicationId
    if model.shipped is None or model.shipped[0] != key:
        model.shipped = (key, ship(session, model.native))
    return ShippedModel(info=model.info, trees=model.shipped[1])


@attrs.frozen(eq=False, kw_only=True)
class _Scorer:
    """What Spark runs on the rows of a partition.

    Attributes
    ----------
    model : ShippedModel
    kept : sequence of str
        The first columns of the rows, which come back as they are.
    outputs : sequence of str
        What is added.
    places : sequence of int
        Of the features, among the columns.
    label_type : pyarrow.DataType
    """

    model: ShippedModel
    kept: Sequence[str]
    outputs: Sequence[str]
    places: Sequence[int]
    label_type: pa.DataType

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score."""
        model = self.model
        names = [feature.name for feature in model.info.schema.features]
        for batch in _pieces(batches, max(1, len(model.classes))):
            columns = batch.columns
            features = {n: columns[place] for n, place in zip(names, self.places, strict=True)}
            found = scores(model.info, model.margins(pa.table(features)), self.label_type)
            carried = dict(zip(self.kept, columns, strict=False))
            added = {name: found[name] for name in self.outputs}
            yield pa.RecordBatch.from_pydict({**carried, **added})


def scores(info: ModelInfo, margins: np.ndarray, label_type: pa.DataType) -> dict[str, pa.Array]:
    """What follows from raw scores, by the name of its column."""
    classes = info.schema.target.classes
    if not classes:
        return {"prediction": pa.array(links.expectations(margins, info.link))}
    chances = links.probabilities(margins, info.link)
    return {
        "rawPrediction": _vectors(links.raw_predictions(margins, info.link)),
        "probability": _vectors(chances),
        "prediction": pa.array(classes).take(pa.array(chances.argmax(axis=1))).cast(label_type),
    }


def _pieces(batches: Iterator[pa.RecordBatch], n_classes: int) -> Iterator[pa.RecordBatch]:
    """The rows in pieces whose scores Spark can hold: two vectors of every class for each row."""
    rows = max(1, _SCORE_BYTES // (2 * 8 * n_classes))
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _vectors(values: np.ndarray) -> pa.StructArray:
    """A matrix as dense vectors of Spark ML, in the form in which Spark stores them."""
    n, width = values.shape
    offsets = np.arange(0, values.size + 1, width, dtype=np.int32)
    numbers = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values.astype(np.float64, copy=False).ravel())
    )
    is_dense = pa.array(np.ones(n, np.int8))
    none = pa.nulls(n, pa.int32()), pa.nulls(n, pa.list_(pa.int32()))
    return pa.StructArray.from_arrays(
        [is_dense, *none, numbers], names=["type", "size", "indices", "values"]
    )


def _numbers_of(vector: Column) -> Column:
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(vector)


def _refuse_taken_names(frame: DataFrame, outputs: list[str]) -> None:
    # Spark takes names that differ by case for one.
    taken = [name for name in frame.columns if name.lower() in map(str.lower, outputs)]
    if taken:
        msg = (
            f"transform: the DataFrame has a column {taken[0]!r} already; drop or rename it, or, if"
            " it is a feature, use predict()"
        )
        raise DataError(msg)


def _check_features(model: BoostedModel, frame: DataFrame) -> None:
    names = [feature.name for feature in model.info.schema.features]
    # Spark Connect looks at a DataFrame's plan only now.
    with spark_failures("transform"):
        schema = frame.schema
    refuse_missing_or_ambiguous(names, schema.names, "transform")
    for feature in model.info.schema.features:
        kind = schema[feature.name].dataType
        number = isinstance(kind, T.NumericType | T.BooleanType)
        if feature.kind is FeatureKind.NUMERIC and not number:
            msg = f"transform: {feature.name!r} is {kind.simpleString()}; in training, a number"
            raise DataError(msg)
        if feature.kind is FeatureKind.ARRAY and (number or isinstance(kind, T.StringType)):
            msg = f"transform: {feature.name!r} is {kind.simpleString()}; in training, an array"
            raise DataError(msg)
