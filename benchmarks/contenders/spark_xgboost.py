"""XGBoost's own way with Spark: ``SparkXGBClassifier`` on two workers, all rows in each tree."""

from __future__ import annotations

import time
from pathlib import Path

import click
from contenders.task import (
    DEPTH,
    LEARNING_RATE,
    idle_bytes,
    log_loss,
    read,
    show,
    start_spark,
    watched,
)
from generate import FEATURES, TARGET


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--trees", default=200, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--memory", default="4g", show_default=True, help="spark.driver.memory")
def main(data: Path, trees: int, workers: int, memory: str) -> None:
    """Train, and judge the model on the test rows."""
    from xgboost.spark import SparkXGBClassifier

    spark, session = start_spark("SparkXGBClassifier", memory)
    train = spark.read.parquet(str(data / "train"))
    classifier = SparkXGBClassifier(
        features_col=FEATURES,
        label_col=TARGET,
        num_workers=workers,
        n_estimators=trees,
        max_depth=DEPTH,
        learning_rate=LEARNING_RATE,
    )
    idle = idle_bytes()
    classifier.copy({classifier.getParam("n_estimators"): 1}).fit(train)
    with watched(idle) as window:
        start = time.perf_counter()
        model = classifier.fit(train)
        seconds = time.perf_counter() - start
    booster = model.get_booster()
    features, label = read(data / "test")
    show(
        **window,
        session=session,
        seconds=seconds,
        log_loss=log_loss(label, booster.inplace_predict(features, validate_features=False)),
        trees=booster.num_boosted_rounds(),
    )


if __name__ == "__main__":
    main()
