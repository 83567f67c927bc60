"""Features that give the target away: copies of it under another name, as a number or as text."""

from __future__ import annotations

import logging

import numpy as np

from batchtrainingbooster.core.table import TableSchema

logger = logging.getLogger(__name__)

# Hardly a column but a copy is left after these.
_FIRST_ROWS = 300
# So many rows beyond the first of each class agree by chance once in a million times.
_ENOUGH_ROWS = 20


def copies_of_label(features: np.ndarray, label: np.ndarray, *, has_classes: bool) -> list[int]:
    """Columns that are in one-to-one correspondence with the label.

    Of classes, each has one value, and no two have the same; a regression target or a grade is
    equal to the column. A column with missing values is no copy.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_columns), float32
        Categories are codes; missing values are NaN.
    label : ndarray of shape (n_rows,), float32
        Class index, or value.
    has_classes : bool

    Returns
    -------
    list of int
        Empty where there are too few rows to tell.

    Examples
    --------
    >>> label = np.arange(40, dtype=np.float32) % 2
    >>> features = np.stack([7 - label, label + np.arange(40)], axis=1)
    >>> copies_of_label(features, label, has_classes=True)
    [0]
    """
    found = np.arange(features.shape[1])
    for rows in (slice(_FIRST_ROWS), slice(None)):
        found = found[_agree(features[rows, found], label[rows], has_classes=has_classes)]
        if not len(found):
            return []
    n_values = len(np.unique(label))
    if n_values < 2 or (has_classes and len(label) - n_values < _ENOUGH_ROWS):
        return []
    return [int(column) for column in found]


def _agree(features: np.ndarray, label: np.ndarray, *, has_classes: bool) -> np.ndarray:
    """Which columns correspond to the label in these rows, of shape (n_columns,), bool."""
    if not has_classes:
        return np.asarray((features == label[:, None]).all(axis=0))
    classes, index = np.unique(label, return_inverse=True)
    # values: (n_classes, n_columns), of the last row of each class
    values = np.empty((len(classes), features.shape[1]), features.dtype)
    values[index] = features
    is_one = (values[index] == features).all(axis=0)
    values.sort(axis=0)
    return np.asarray(is_one & (np.diff(values, axis=0) != 0).all(axis=0))


def warn_of_copies(features: np.ndarray, label: np.ndarray, schema: TableSchema) -> None:
    """Log the columns of a sample that are copies of the target."""
    target = schema.target
    for column in copies_of_label(features, label, has_classes=bool(target.classes)):
        logger.warning(
            "Feature %r says what target %r is in each of %s rows that were looked at, as a copy of"
            " it would: leave it out, unless it is known when predicting",
            schema.column_names[column], target.name, f"{len(label):,}",
        )  # fmt: skip
