"""What all contenders have in common: the trees, how data is read, and what is printed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from generate import FEATURES, TARGET
from memory import held_by

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DEPTH = 6
LEARNING_RATE = 0.1
LEAVES = 2**DEPTH

# As each library calls them: depth, learning rate, deciding metric; no class weights.
PARAMETERS: dict[str, dict[str, Any]] = {
    "xgboost": {"max_depth": DEPTH, "learning_rate": LEARNING_RATE, "eval_metric": "logloss"},
    "catboost": {"max_depth": DEPTH, "learning_rate": LEARNING_RATE, "eval_metric": "Logloss"},
    "lightgbm": {
        "max_depth": DEPTH,
        "num_leaves": LEAVES,
        "learning_rate": LEARNING_RATE,
        "eval_metric": "binary_logloss",
    },
}


def start_spark(name: str, memory: str) -> tuple[SparkSession, float]:
    """A session in which one small job has run, and the seconds that it took to start.

    Contenders that are timed then do the same work once before the clock starts, with one round, so
    that Java has compiled what they use.
    """
    from batchtrainingbooster.cli.session import start_session

    start = time.perf_counter()
    spark = start_session(name, {"spark.driver.memory": memory})
    seconds = time.perf_counter() - start
    spark.range(100_000).selectExpr("sum(id)").collect()
    return spark, seconds


def read(folder: Path, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Features, float32, and labels, float32, of a folder of Parquet files; file by file.

    A seed puts the files in another order: XGBoost's quantile cuts, and so its trees, follow it.
    """
    files = sorted(folder.glob("*.parquet"))
    if seed is not None:
        files = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    rows = [pq.read_metadata(file).num_rows for file in files]
    features = np.empty((sum(rows), len(FEATURES)), np.float32)
    label = np.empty(sum(rows), np.float32)
    start = 0
    for file, n in zip(files, rows, strict=True):
        table = pq.read_table(file)
        for i, name in enumerate(FEATURES):
            features[start : start + n, i] = table[name].to_numpy()
        label[start : start + n] = table[TARGET].to_numpy()
        start += n
    del table
    pa.default_memory_pool().release_unused()
    return features, label


def log_loss(label: np.ndarray, chance: np.ndarray) -> float:
    """Mean over the rows."""
    clipped = np.clip(chance.astype(np.float64), 1e-15, 1 - 1e-15)
    return float(-np.where(label == 1, np.log(clipped), np.log1p(-clipped)).mean())


def idle_bytes() -> float:
    """What this process holds now."""
    return float(held_by(os.getpid()))


@contextmanager
def watched(idle: float | None = None) -> Iterator[dict[str, float]]:
    """When the work began and ended, and what this process held before it; for peaks above idle.

    Where there was a warm-up, that is what was held before it.
    """
    found = {"idle": idle_bytes() if idle is None else idle, "began": time.time()}
    yield found
    found["ended"] = time.time()


def show(**found: object) -> None:
    """Print what was found, as the last line."""
    click.echo(
        json.dumps({"session": None, "stages": {}, "log_loss": None, "trees": None, **found})
    )
