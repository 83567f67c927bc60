"""What users hand to ``predict``, as a feature matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from batchtrainingbooster.core.table import TableSchema
from batchtrainingbooster.data.encode import fill_matrix
from batchtrainingbooster.errors import ColumnNotFoundError, DataError


def is_spark(data: Any) -> bool:
    """Whether it is a Spark DataFrame, classic or Connect, without importing Spark."""
    return type(data).__module__.startswith("pyspark.sql") and hasattr(data, "sparkSession")


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
    if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):
        columns = {str(name): data.iloc[:, i] for i, name in enumerate(data.columns)}
        return pa.table(
            {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
        )
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
    """
    names = [feature.name for feature in schema.features]
    available = list(getattr(data, "columns", ())) if not isinstance(data, pa.Table) else None
    available = list(data.schema.names) if hasattr(data, "schema") else available or []
    missing = [name for name in names if name not in available]
    if missing:
        raise ColumnNotFoundError.of(missing, map(str, available), "predict")
    if not isinstance(data, pa.Table | pa.RecordBatch):
        data = data[names]
    table = to_arrow(data)
    matrix = np.empty((table.num_rows, schema.n_columns), np.float32, order="F")
    columns = [table.column(name) for name in names]
    fill_matrix(matrix, slice(None), schema.features, columns)
    return matrix
