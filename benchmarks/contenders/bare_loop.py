"""A loop by hand, with the booster's library alone, over batches that are in memory already.

The batches are those that ``ours.py --staging-dir`` left.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from contenders.task import DEPTH, LEARNING_RATE, LEAVES, log_loss, read, show, watched

Rows = tuple[np.ndarray, np.ndarray]


def xgboost_loop(batches: list[Rows], valid: Rows, rounds: int) -> tuple[Any, int]:
    """Continue with ``xgb_model``."""
    import xgboost as xgb

    params = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "max_depth": DEPTH,
        "learning_rate": LEARNING_RATE,
    }
    held_out = xgb.DMatrix(*valid)
    model = None
    for features, label in batches:
        batch = xgb.QuantileDMatrix(features, label)
        model = xgb.train(
            params,
            batch,
            rounds,
            xgb_model=model,
            evals=[(batch, "train"), (held_out, "valid")],
            verbose_eval=False,
        )
    assert model is not None
    return model.inplace_predict, model.num_boosted_rounds()


def lightgbm_loop(batches: list[Rows], valid: Rows, rounds: int) -> tuple[Any, int]:
    """Continue with ``init_model``."""
    import lightgbm as lgb

    params = {
        "objective": "binary",
        "metric": "binary_logloss",
        "max_depth": DEPTH,
        "num_leaves": LEAVES,
        "learning_rate": LEARNING_RATE,
        "verbosity": -1,
    }
    model = None
    for features, label in batches:
        batch = lgb.Dataset(features, label)
        model = lgb.train(
            params,
            batch,
            rounds,
            init_model=model,
            valid_sets=[batch, lgb.Dataset(*valid, reference=batch)],
            valid_names=["train", "valid"],
        )
    assert model is not None
    return model.predict, model.current_iteration()


def catboost_loop(batches: list[Rows], valid: Rows, rounds: int) -> tuple[Any, int]:
    """Continue with ``init_model``."""
    import catboost

    params = {
        "loss_function": "Logloss",
        "max_depth": DEPTH,
        "learning_rate": LEARNING_RATE,
        "iterations": rounds,
        "use_best_model": False,
        "verbose": False,
        "allow_writing_files": False,
    }
    held_out = catboost.Pool(*valid)
    model = None
    for features, label in batches:
        batch = catboost.Pool(features, label)
        model = catboost.CatBoost(params).fit(batch, eval_set=held_out, init_model=model)
    assert model is not None
    fitted = model
    return (lambda x: fitted.predict(x, prediction_type="Probability")[:, 1]), fitted.tree_count_


LOOPS = {"xgboost": xgboost_loop, "catboost": catboost_loop, "lightgbm": lightgbm_loop}


def staged(folder: Path) -> tuple[list[Rows], Rows]:
    """The batches and the validation rows, in NumPy's own order."""
    from batchtrainingbooster.data.filesystem import Folder
    from batchtrainingbooster.data.manifest import read_manifest
    from batchtrainingbooster.data.reader import StagedSource

    place = Folder(str(folder))
    source = StagedSource(place, read_manifest(place))
    parts = [source.batch(i) for i in range(source.num_batches)]
    held_out = source.validation()
    if held_out is None:
        msg = f"{folder} has no validation rows"
        raise click.ClickException(msg)
    *batches, valid = [(np.ascontiguousarray(p.features), p.label) for p in [*parts, held_out]]
    return batches, valid


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--staging-dir", type=click.Path(path_type=Path), required=True)
@click.option("--booster", type=click.Choice(list(LOOPS)), default="xgboost")
@click.option("--rounds", default=100, show_default=True, help="On each batch.")
def main(data: Path, staging_dir: Path, booster: str, rounds: int) -> None:
    """Train, and judge the model on the test rows."""
    __import__(booster)
    with watched() as window:
        batches, valid = staged(staging_dir)
        start = time.perf_counter()
        predict, trees = LOOPS[booster](batches, valid, rounds)
        seconds = time.perf_counter() - start
    features, label = read(data / "test")
    show(
        **window, seconds=seconds, log_loss=log_loss(label, predict(features)), trees=trees,
        batches=len(batches),
    )  # fmt: skip


if __name__ == "__main__":
    main()
