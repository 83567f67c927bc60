"""Batches in the forms that CatBoost reads without a copy by row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd

from batchtrainingbooster.core.ports import Batch

MISSING = "-1"


def pool_of(batch: Batch, names: Sequence[str], cardinalities: Sequence[int]) -> catboost.Pool:
    """A batch as CatBoost's dataset."""
    return catboost.Pool(
        table_of(batch.features, names, cardinalities),
        batch.label,
        cat_features=[i for i, n in enumerate(cardinalities) if n],
        weight=batch.weight,
        group_id=group_ids(batch),
        feature_names=list(names),
    )


def group_ids(batch: Batch) -> np.ndarray | None:
    """The query of each row, numbered, for ranking."""
    if batch.group is None:
        return None
    return np.repeat(np.arange(len(batch.group)), batch.group)


def table_of(
    features: np.ndarray, names: Sequence[str], cardinalities: Sequence[int]
) -> np.ndarray | pd.DataFrame:
    """The matrix; where there are categories, as a DataFrame with these as pandas categoricals.

    Columns of numbers are views of the matrix. Of categoricals, CatBoost hashes the dictionary
    once, and then reads codes.
    """
    if not any(cardinalities):
        return features
    columns = [
        _categorical(features[:, i], n) if n else features[:, i]
        for i, n in enumerate(cardinalities)
    ]
    table = pd.DataFrame(dict(enumerate(columns)), copy=False)
    table.columns = list(names)
    return table


def with_all_classes(batch: Batch, n_classes: int) -> Batch:
    """A row of weight 0 for each class that the batch lacks.

    CatBoost sizes a model by the classes that it finds, and then refuses to continue another.
    """
    missing = np.setdiff1d(np.arange(n_classes, dtype=np.float32), batch.label)
    if not len(missing):
        return batch
    weight = np.ones(len(batch.label), np.float32) if batch.weight is None else batch.weight
    first_row = np.repeat(batch.features[:1], len(missing), axis=0)
    return Batch(
        features=np.asfortranarray(np.concatenate([batch.features, first_row])),
        label=np.concatenate([batch.label, missing]),
        weight=np.concatenate([weight, np.zeros(len(missing), np.float32)]),
    )


def with_missing_values(batch: Batch) -> Batch:
    """One more row without any value, so that every column has a border for missing ones."""
    nothing = np.full((1, batch.features.shape[1]), np.nan, np.float32)
    return Batch(
        features=np.asfortranarray(np.concatenate([batch.features, nothing])),
        label=np.append(batch.label, batch.label[:1]),
    )


def _categorical(column: np.ndarray, n_categories: int) -> pd.Categorical:
    codes = np.where(np.isnan(column), n_categories, column).astype(np.int32)
    return pd.Categorical.from_codes(codes, dtype=_dtype(n_categories))


@lru_cache(maxsize=1024)
def _dtype(n_categories: int) -> pd.CategoricalDtype:
    return pd.CategoricalDtype([*map(str, range(n_categories)), MISSING])


def borders_of(pool: catboost.Pool, params: Mapping[str, Any]) -> bytes:
    """Where CatBoost splits each column, in its own file format; the pool is quantised."""
    keys = ("border_count", "feature_border_type", "per_float_feature_quantization", "nan_mode")
    pool.quantize(**{key: params[key] for key in keys if key in params})
    with temporary_file() as file:
        pool.save_quantization_borders(str(file))
        return file.read_bytes()


@contextmanager
def temporary_file() -> Iterator[Path]:
    """A place for what CatBoost hands over in files alone."""
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-") as folder:
        yield Path(folder) / "catboost"
