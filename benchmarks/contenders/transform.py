"""Rows a second through ``transform``: our model's and ``xgboost.spark``'s, in turn."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import click
from contenders.task import DEPTH, LEARNING_RATE, PARAMETERS, show, start_spark, watched
from generate import FEATURES, TARGET


def seconds_of(model: Any, frame: Any) -> float:
    """All rows and columns are computed, and thrown away."""
    start = time.perf_counter()
    model.transform(frame).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--trees", default=200, show_default=True)
@click.option("--turns", default=1, show_default=True)
@click.option("--memory", default="4g", show_default=True, help="spark.driver.memory")
def main(data: Path, trees: int, turns: int, memory: str) -> None:
    """Train both on the first part, and score all training rows, the first time untimed."""
    from xgboost.spark import SparkXGBClassifier

    from batchtrainingbooster import XGBoostTrainer

    spark, session = start_spark("transform", memory)
    small = spark.read.parquet(str(data / "train" / "00000.parquet"))
    frame = spark.read.parquet(str(data / "train"))
    ours = XGBoostTrainer().fit(
        small,
        None,
        TARGET,
        {"n_estimators": trees, **PARAMETERS["xgboost"]},
        {"num_batches": 1, "class_weight": None},
    )
    theirs = SparkXGBClassifier(
        features_col=FEATURES,
        label_col=TARGET,
        n_estimators=trees,
        max_depth=DEPTH,
        learning_rate=LEARNING_RATE,
    ).fit(small)
    models = {"ours": ours, "xgboost.spark": theirs}
    for model in models.values():
        seconds_of(model, frame)
    found: dict[str, list[float]] = {name: [] for name in models}
    with watched() as window:
        for _ in range(turns):
            for name, model in models.items():
                found[name].append(seconds_of(model, frame))
    rows = json.loads((data / "rows.json").read_text())["train"]
    pairs = zip(found["ours"], found["xgboost.spark"], strict=True)
    middle = {name: statistics.median(own) for name, own in found.items()}
    show(
        **window,
        session=session,
        seconds=middle["ours"],
        stages=middle,
        trees=trees,
        ratio=statistics.median(theirs / ours for ours, theirs in pairs),
        rows_a_second={name: rows / own for name, own in middle.items()},
    )


if __name__ == "__main__":
    main()
