"""XGBoost alone, on all rows in memory at once; reading them is not timed, but takes memory."""

from __future__ import annotations

import time
from pathlib import Path

import click
import xgboost as xgb
from contenders.task import PARAMETERS, log_loss, read, show, watched


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--trees", default=100, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the order of the files.")
def main(data: Path, trees: int, seed: int) -> None:
    """Train, and judge the model on the test rows."""
    with watched() as window:
        train, valid = read(data / "train", seed), read(data / "valid")
        start = time.perf_counter()
        matrix = xgb.QuantileDMatrix(*train)
        made = time.perf_counter()
        held_out = xgb.QuantileDMatrix(*valid, ref=matrix)
        model = xgb.train(
            {"objective": "binary:logistic", **PARAMETERS["xgboost"]},
            matrix,
            trees,
            evals=[(matrix, "train"), (held_out, "valid")],
            verbose_eval=False,
        )
        end = time.perf_counter()
    features, label = read(data / "test")
    show(
        **window,
        seconds=end - start,
        stages={"dataset construction": made - start, "boosting": end - made},
        log_loss=log_loss(label, model.inplace_predict(features)),
        trees=model.num_boosted_rounds(),
    )


if __name__ == "__main__":
    main()
