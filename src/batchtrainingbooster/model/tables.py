"""What users hand to ``predict``, as a feature matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from batchtrainingbooster.core.table import TableSchema
from batchtrainingbooster.data.encode import fill_matrix, log_unseen
from batchtrainingbooster.errors import ColumnNotFoundError, DataError


def is_spark(data: Any) -> bool:
    """Whether it is a Spark DataFrame, classic or Connect, without importing Spark."""
    return type(data).__module__.startswith("pyspark.sql") and hasattr(data, "sparkSession")


def is_pandas(data: Any) -> bool:
    """Whether it is a pandas DataFrame, without importing pandas."""
    return type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns")


def to_arrow(data: Any) -> pa.Table:
    """A table of any kind in Arrow form.

    Raises
    ------
    DataError
        If it is of no kind that can be read.
    """
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if is_spark(data):
        from batchtrainingbooster.data.spark_errors import spark_failures

        with spark_failures("scoring"):
            if hasattr(data, "toArrow"):
                return data.toArrow()
            data = data.toPandas()
    if is_pandas(data):
        names = [str(name) for name in data.columns]
        arrays = [_pandas_column(data.iloc[:, i], name) for i, name in enumerate(names)]
        return pa.table(arrays, names=names)
    msg = (
        f"got {type(data).__module__}.{type(data).__name__}; "
        "need a pandas DataFrame, a pyarrow Table or a Spark DataFrame"
    )
    raise DataError(msg)


def _pandas_column(column: Any, name: str) -> pa.Array:
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError) as error:
        msg = f"{name!r} holds values of several types, or of one that cannot be read: {error}"
        raise DataError(msg) from error


def refuse_missing_or_ambiguous(names: Sequence[str], available: Sequence[str], where: str) -> None:
    """Refuse data without one of these columns, or with two of one name.

    Raises
    ------
    ColumnNotFoundError, DataError
        Naming the column.
    """
    count = Counter(available)
    missing = [name for name in names if not count[name]]
    if missing:
        raise ColumnNotFoundError.of(missing, available, where)
    twice = [name for name in names if count[name] > 1]
    if twice:
        msg = f"{where}: {count[twice[0]]} columns are called {twice[0]!r}; drop or rename"
        raise DataError(msg)


def feature_matrix(schema: TableSchema, data: Any) -> np.ndarray:
    """The features, in the order of training.

    Returns
    -------
    ndarray of shape (n_rows, n_columns), float32, Fortran order

    Raises
    ------
    ColumnNotFoundError
        If a feature column is missing.
    DataError
        If the data is of no kind that can be read, or a column is not what it was in training.
    """
    names = [feature.name for feature in schema.features]
    if is_pandas(data):
        available = [str(name) for name in data.columns]
        refuse_missing_or_ambiguous(names, available, "predict")
        # By position, as names need not be texts; other columns may hold what Arrow cannot.
        data = data.iloc[:, [available.index(name) for name in names]]
    table = to_arrow(data)
    refuse_missing_or_ambiguous(names, table.column_names, "predict")
    matrix = np.empty((table.num_rows, schema.n_columns), np.float32, order="F")
    columns = [table.column(name) for name in names]
    unseen = fill_matrix(matrix, slice(None), schema.features, columns)
    log_unseen(schema.features, unseen)
    return matrix
