"""Scoring a Spark DataFrame on the executors, in Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.core import links
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.errors import ColumnNotFoundError, DataError
from batchtrainingbooster.model.tables import feature_matrix

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from batchtrainingbooster.model.boosted_model import BoostedModel

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
    target = model.info.schema.target
    scores = [] if not target.classes else ["rawPrediction", "probability"]
    outputs = [*scores, "prediction"]
    _check_names(model, frame, outputs)
    label_type = target.spark_type if target.classes else "double"
    if label_type.startswith("decimal"):
        label_type = "double"
    spark_label, arrow_label = _LABEL_TYPES.get(label_type, _LABEL_TYPES["string"])

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
    scored = prepared.mapInArrow(_scorer(model, len(fields), places, arrow_label), schema)
    kept = [
        F.col(f"c{i}").alias(field.name, metadata=field.metadata) for i, field in enumerate(fields)
    ]
    return scored.select(*kept, *outputs)


def _scorer(
    model: BoostedModel, n_kept: int, places: Sequence[int], label_type: pa.DataType
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What runs on the executors; it holds the model and its backend, not the training loop."""
    info = model.info
    # Without the history, which may be long.
    model = type(model)(info, model.native, History())

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        classes = pa.array(list(info.schema.target.classes)) if model.classes else None
        names = [feature.name for feature in info.schema.features]
        for batch in batches:
            columns = batch.columns
            table = pa.table({n: columns[place] for n, place in zip(names, places, strict=True)})
            margins = model.predictor.margins(feature_matrix(info.schema, table))
            found: dict[str, pa.Array] = {}
            if classes is None:
                found["prediction"] = pa.array(links.expectations(margins, info.link))
            else:
                chances = links.probabilities(margins, info.link)
                found["rawPrediction"] = _vectors(links.raw_predictions(margins, info.link))
                found["probability"] = _vectors(chances)
                found["prediction"] = classes.take(pa.array(chances.argmax(axis=1)))
                found["prediction"] = found["prediction"].cast(label_type)
            kept = dict(zip(batch.schema.names[:n_kept], columns[:n_kept], strict=True))
            yield pa.RecordBatch.from_pydict({**kept, **found})

    return score


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


def _check_names(model: BoostedModel, frame: DataFrame, outputs: list[str]) -> None:
    names = [feature.name for feature in model.info.schema.features]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ColumnNotFoundError.of(missing, frame.columns, "transform")
    taken = [name for name in outputs if name in frame.columns]
    if taken:
        msg = f"transform: the DataFrame has a column {taken[0]!r} already; drop or rename it"
        raise DataError(msg)
    for feature in model.info.schema.features:
        kind = frame.schema[feature.name].dataType
        number = isinstance(kind, T.NumericType | T.BooleanType)
        if feature.kind is FeatureKind.NUMERIC and not number:
            msg = f"transform: {feature.name!r} is {kind.simpleString()}; in training, a number"
            raise DataError(msg)
        if feature.kind is FeatureKind.ARRAY and (number or isinstance(kind, T.StringType)):
            msg = f"transform: {feature.name!r} is {kind.simpleString()}; in training, an array"
            raise DataError(msg)
