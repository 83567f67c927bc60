"""The labels of a classifier: 0, 1, ... as Spark ML has them, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.data.columns import refuse_no_dataframe
from batchtrainingbooster.data.profile import MAX_CLASSES
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.errors import DataError
from batchtrainingbooster.model.tables import refuse_missing_or_ambiguous

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def check_label(frame: DataFrame, name: str) -> T.StructField:
    """The field of the label.

    Raises
    ------
    ColumnNotFoundError, DataError
        If there is none, or it is no number.
    """
    refuse_no_dataframe(frame, "fit")
    refuse_missing_or_ambiguous([name], frame.columns, "fit: labelCol")
    field: T.StructField = frame.schema[name]
    if not isinstance(field.dataType, T.NumericType):
        advice = "StringIndexer makes numbers of texts"
        if isinstance(field.dataType, T.BooleanType):
            advice = "cast it to double"
        msg = f"fit: labelCol {name!r} is {field.dataType.simpleString()}, need a number; {advice}"
        raise DataError(msg)
    return field


def with_labels(frame: DataFrame, name: str) -> tuple[DataFrame, int]:
    """The DataFrame, whose labels are looked at at the latest when it is read; and their number.

    As in Spark ML, that is what the column's metadata say, else the largest label and one more.

    Raises
    ------
    DataError
        If there are labels that are none of 0, 1, ...
    """
    stated = stated_classes(check_label(frame, name).metadata)
    # Spark would take dots in a name for a path.
    label = F.col(f"`{name.replace('`', '``')}`")
    number = label.cast("double")
    if stated is not None:
        said = F.concat(
            F.lit(f"labelCol {name!r} has {stated} classes by its metadata, but a label "),
            label.cast("string"),
        )
        known = _is_label(number) & (number < stated)
        # Null and NaN are counted, and refused, by the trainer.
        fine = F.when(known | label.isNull() | F.isnan(number), label)
        metadata = frame.schema[name].metadata
        checked = fine.otherwise(F.raise_error(said)).alias(name, metadata=metadata)
        return frame.withColumns({name: checked}), stated
    given = F.when(~F.isnan(number), number)
    with spark_failures("looking at the labels"):
        row: Any = frame.select(
            F.count(F.when(~_is_label(given), 1)).alias("n_other"),
            F.min(F.when(~_is_label(given), given)).alias("other"),
            F.max(given).alias("largest"),
        ).first()
    if row["n_other"]:
        msg = (
            f"fit: labelCol {name!r} is no whole number >= 0 in {row['n_other']:,} rows, e.g. "
            f"{row['other']!r}; a classifier's labels are 0, 1, ...: StringIndexer makes them of "
            "anything"
        )
        raise DataError(msg)
    # Without any row, the trainer has more to say.
    n_classes = 0 if row["largest"] is None else int(row["largest"]) + 1
    if n_classes > MAX_CLASSES:
        msg = (
            f"fit: labelCol {name!r} goes up to {n_classes - 1:,}, and {MAX_CLASSES:,} classes are "
            "the most; StringIndexer numbers those that there are from 0"
        )
        raise DataError(msg)
    return frame, max(n_classes, 2)


def stated_classes(metadata: dict[str, Any]) -> int | None:
    """How many classes a column has by its metadata.

    Examples
    --------
    >>> stated_classes({"ml_attr": {"type": "nominal", "vals": ["a", "b", "c"]}})
    3
    """
    attribute = metadata.get("ml_attr", {})
    if attribute.get("type") == "binary":
        return 2
    if attribute.get("type") != "nominal":
        return None
    stated: int | None = attribute.get("num_vals") or len(attribute.get("vals", ())) or None
    return stated


def _is_label(number: Column) -> Column:
    return (number >= 0) & (number == F.floor(number))
