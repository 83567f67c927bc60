"""From Arrow columns to the float32 matrix: the one place where a category gets its code."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.table import Feature, FeatureKind
from batchtrainingbooster.errors import DataError

logger = logging.getLogger(__name__)


def fill_matrix(
    matrix: np.ndarray,
    rows: np.ndarray | slice,
    features: Sequence[Feature],
    columns: Sequence[pa.ChunkedArray],
) -> list[int]:
    """Write columns into rows of a matrix.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns), float32
    rows : ndarray of int, or slice
        Where each value goes.
    features : sequence of Feature
    columns : sequence of ChunkedArray
        One for each feature, in its order.

    Returns
    -------
    list of int
        Values that are in no dictionary, by feature; they are missing in the matrix.
    """
    unseen, j = [], 0
    for feature, column in zip(features, columns, strict=True):
        if feature.kind is FeatureKind.CATEGORICAL:
            matrix[rows, j], n_unseen = category_codes(column, feature)
            unseen.append(n_unseen)
        else:
            unseen.append(0)
            if feature.kind is FeatureKind.NUMERIC:
                matrix[rows, j] = to_float32(column, feature.name)
            else:
                matrix[rows, j : j + feature.width] = _array_values(column, feature)
        j += feature.width
    return unseen


def log_unseen(features: Sequence[Feature], unseen: Sequence[int]) -> None:
    """Say which columns hold values that are in no dictionary, and how many."""
    for feature, count in zip(features, unseen, strict=True):
        if count:
            logger.warning(
                "Column %r: %d values are in no training row; they count as missing",
                feature.name,
                count,
            )


def to_float32(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """A numeric column; nulls are NaN.

    Raises
    ------
    DataError
        If its values are no numbers.
    """
    try:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        elif pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        return np.asarray(column.cast(pa.float32(), safe=False).to_numpy())
    except pa.ArrowException as error:
        msg = f"{name!r} is {column.type}, need numbers: {error}"
        raise DataError(msg) from error


def category_codes(column: pa.ChunkedArray, feature: Feature) -> tuple[np.ndarray, int]:
    """Codes of a categorical column, NaN where missing or unseen, and how many are unseen.

    Raises
    ------
    DataError
        If its values are of another type than the dictionary.
    """
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32), 0
    dictionary = dictionary_array(feature.categories)
    try:
        codes = pa.chunked_array(
            [_chunk_codes(chunk, dictionary) for chunk in column.chunks], pa.float32()
        )
    except pa.ArrowException as error:
        msg = f"{feature.name!r} is {column.type}, but its categories are {dictionary.type}"
        raise DataError(msg) from error
    return np.asarray(codes.to_numpy()), codes.null_count - column.null_count


def _chunk_codes(chunk: pa.Array, dictionary: pa.Array) -> pa.Array:
    """Codes as float32; of a dictionary-encoded chunk, only its own dictionary is looked up."""
    encoded = pa.types.is_dictionary(chunk.type)
    values = chunk.dictionary if encoded else chunk
    codes = pc.index_in(values.cast(dictionary.type), value_set=dictionary)
    codes = codes.cast(pa.float32(), safe=False)
    return codes.take(chunk.indices) if encoded else codes


def dictionary_array(categories: Sequence[Label]) -> pa.Array:
    """A dictionary as an Arrow array; an empty one is of strings."""
    return pa.array(categories) if categories else pa.array([], pa.string())


def _array_values(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """An array column of shape (n_rows, width); a null array is all missing."""
    values = np.full((len(column), feature.width), np.nan, np.float32)
    if pa.types.is_null(column.type):
        return values
    start = 0
    for chunk in column.chunks:
        try:
            lengths = pc.list_value_length(chunk)
            present = np.asarray(chunk.is_valid())
            if pc.any(pc.not_equal(lengths, feature.width)).as_py():
                odd = sorted({n for n in pc.unique(lengths).to_pylist() if n is not None})
                msg = f"{feature.name!r} has arrays of lengths {odd}, need {feature.width}"
                raise DataError(msg)
            flat = pa.chunked_array([pc.list_flatten(chunk)])
            rows = np.flatnonzero(present) + start
            values[rows] = to_float32(flat, feature.name).reshape(-1, feature.width)
        except pa.ArrowException as error:
            msg = f"{feature.name!r} is {column.type}, need arrays of numbers"
            raise DataError(msg) from error
        start += len(chunk)
    return values
