"""What users hand to ``predict``, as a feature matrix."""

from __future__ import annotations

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
        if hasattr(data, "toArrow"):
            return data.toArrow()
        data = data.toPandas()
    if is_pandas(data):
        arrays = [pa.array(data.iloc[:, i], from_pandas=True) for i in range(data.shape[1])]
        return pa.table(arrays, names=[str(name) for name in data.columns])
    msg = (
        f"got {type(data).__module__}.{type(data).__name__}; "
        "need a pandas DataFrame, a pyarrow Table or a Spark DataFrame"
    )
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
        # Other columns may hold what Arrow cannot.
        available = [str(name) for name in data.columns]
        data = data[[name for name in names if name in data.columns]]
    table = to_arrow(data)
    if not is_pandas(data):
        available = table.column_names
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ColumnNotFoundError.of(missing, available, "predict")
    matrix = np.empty((table.num_rows, schema.n_columns), np.float32, order="F")
    columns = [table.column(name) for name in names]
    unseen = fill_matrix(matrix, slice(None), schema.features, columns)
    log_unseen(schema.features, unseen)
    return matrix
