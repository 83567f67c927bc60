"""Ours: ``fit`` from Parquet through a warm Spark session with little memory."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq
from contenders.task import (
    LEARNING_RATE,
    PARAMETERS,
    idle_bytes,
    log_loss,
    show,
    start_spark,
    watched,
)
from generate import FEATURES, TARGET

TRAINERS = {
    "xgboost": "XGBoostTrainer",
    "catboost": "CatBoostTrainer",
    "lightgbm": "LightGBMTrainer",
}


def tell_nobody() -> None:
    """Take out what this package does for those who watch, to see what it costs."""
    from batchtrainingbooster.callbacks.observers import Observers
    from batchtrainingbooster.core import base_trainer

    Observers.emit = lambda self, event: []  # type: ignore[method-assign]
    base_trainer.model_trained = lambda model, source: None  # type: ignore[assignment]


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--booster", type=click.Choice(list(TRAINERS)), default="xgboost")
@click.option(
    "--strategy", type=click.Choice(["incremental", "external_memory"]), default="incremental"
)
@click.option("--batches", default=10, show_default=True)
@click.option("--rounds", default=100, show_default=True, help="In each visit.")
@click.option("--staging-dir", help="Kept there for other contenders.")
@click.option("--seed", default=0, show_default=True, help="Of the batches.")
@click.option("--no-validation", is_flag=True, help="Train without validation rows.")
@click.option("--cold", is_flag=True, help="Without a warm-up.")
@click.option(
    "--watching",
    type=click.Choice(["nothing", "default", "everything"]),
    help="No events at all; or a display, as in a terminal; or a run folder too, with all in it.",
)
@click.option("--memory", default="1g", show_default=True, help="spark.driver.memory")
def main(
    data: Path,
    booster: str,
    strategy: str,
    batches: int,
    rounds: int,
    staging_dir: str | None,
    seed: int,
    watching: str | None,
    memory: str,
    *,
    no_validation: bool,
    cold: bool,
) -> None:
    """Train, and judge the model on the test rows."""
    import batchtrainingbooster as btb

    spark, session = start_spark("ours", memory)
    train, valid = (spark.read.parquet(str(data / name)) for name in ("train", "valid"))
    if no_validation:
        valid = None
    trainer = getattr(btb, TRAINERS[booster])()
    importlib.import_module(f"batchtrainingbooster.backends.{booster}_backend")
    config_training = {
        "num_batches": batches,
        "strategy": strategy,
        "seed": seed,
        "class_weight": None,
        "staging_dir": staging_dir,
        # Every visit counts, as in a loop by hand.
        "warm_restart": "last",
        "max_patience": batches,
    }
    config_model = {"n_estimators": rounds, **PARAMETERS[booster]}
    schedule = {"kind": "constant", "initial_lr": LEARNING_RATE}
    if watching == "nothing":
        tell_nobody()
    elif watching is not None:
        # As in a terminal: the display is drawn, wherever it goes.
        os.environ["FORCE_COLOR"] = "1"
    if watching == "everything":
        config_training["run_dir"] = tempfile.mkdtemp(prefix="batchtrainingbooster-bench-run-")
    idle = idle_bytes()
    if not cold:
        one_round = {**config_model, "n_estimators": 1}
        elsewhere = {"staging_dir": None, "run_dir": None}
        trainer.fit(train, valid, TARGET, one_round, {**config_training, **elsewhere}, schedule)
    with watched(idle) as window:
        start = time.perf_counter()
        model = trainer.fit(train, valid, TARGET, config_model, config_training, schedule)
        seconds = time.perf_counter() - start
    test = pq.read_table(data / "test")
    chances = np.asarray(model.predict_proba(test.select(FEATURES)))[:, 1]
    show(
        **window,
        session=session,
        seconds=seconds,
        stages=trainer.timings.by_stage,
        staging=trainer.timings.staging,
        log_loss=log_loss(test[TARGET].to_numpy(), chances),
        trees=model.info.n_rounds,
        rounds=len(model.history),
        batch_rows=max(part.rows for part in trainer.manifest.batches),
        driver_memory=memory,
    )


if __name__ == "__main__":
    main()
