"""XGBoost, CatBoost and LightGBM on the flights of the demo: the table of docs/comparison.md.

::

    python benchmarks/compare_boosters.py                      # some minutes
    python benchmarks/compare_boosters.py --rows 5000 --repeats 1 --page /tmp/page.md

Every run is a process of its own, and the boosters take turns. All train on the same staged
batches, with the same number of rounds, the same learning rates and trees of the same depth.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import psutil
from sklearn.metrics import log_loss, roc_auc_score

PAGE = Path(__file__).parents[1] / "docs" / "comparison.md"
START, END = "<!-- table: start -->", "<!-- table: end -->"

# name: (trainer, package, parameters: trees of depth 8, no class weights, so that losses compare)
BOOSTERS = {
    "XGBoost": ("XGBoostTrainer", "xgboost-cpu", {"max_depth": 8, "eval_metric": "logloss"}),
    "CatBoost": ("CatBoostTrainer", "catboost", {"max_depth": 8, "eval_metric": "Logloss"}),
    "LightGBM": (
        "LightGBMTrainer",
        "lightgbm",
        {"max_depth": 8, "num_leaves": 255, "eval_metric": "binary_logloss"},
    ),
}


def train(name: str, rows: int | None, staging_dir: str) -> dict[str, float]:
    """One run, in this process."""
    import batchtrainingbooster as btb
    from batchtrainingbooster.cli.demo import FEATURES, TARGET, read_flights, unpack
    from batchtrainingbooster.cli.session import start_session
    from batchtrainingbooster.core.links import probabilities
    from batchtrainingbooster.data.filesystem import Folder
    from batchtrainingbooster.data.reader import StagedSource

    trainer_name, _, parameters = BOOSTERS[name]
    spark = start_session("comparison", {"spark.driver.memory": "2g"})
    with tempfile.TemporaryDirectory() as folder:
        flights = read_flights(spark, unpack(Path(folder)))
        if rows is not None:
            flights = flights.orderBy(*FEATURES, TARGET).limit(rows)
        trainer = getattr(btb, trainer_name)()
        idle = psutil.Process().memory_info().rss
        model = trainer.fit(
            flights,
            None,
            TARGET,
            {"n_estimators": 60, "early_stopping_rounds": 10, **parameters},
            {
                "num_batches": 4, "num_epochs": 2, "validation_fraction": 0.2, "max_patience": 4,
                "class_weight": None, "staging_dir": staging_dir,
            },
            {"initial_lr": 0.2, "decay_rate": 0.9},
        )  # fmt: skip
        peak = peak_rss() - idle
    spark.stop()
    validation = StagedSource(Folder(staging_dir), trainer.manifest).validation()
    if validation is None:
        msg = "the staged folder has no validation rows"
        raise RuntimeError(msg)
    margins = model.predictor.margins(validation.features)
    chances = probabilities(np.asarray(margins), model.info.link)[:, 1]
    return {
        "log loss": float(log_loss(validation.label, chances)),
        "AUC": float(roc_auc_score(validation.label, chances)),
        "trees": model.info.n_rounds,
        "trained": len(model.history),
        "seconds": trainer.timings.training,
        "peak": peak / 1e6,
        "model": len(model.native) / 1e6,
    }


def peak_rss() -> int:
    """Bytes of memory that this process has held at most."""
    import resource

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def table(results: dict[str, list[dict[str, float]]], rows: int, repeats: int) -> str:
    """The results as Markdown, medians over the repeats."""
    columns = [
        "booster",
        "validation log loss",
        "AUC",
        "rounds in the model, of those trained",
        "training, s",
        "Python's peak above idle, MB",
        "model, MB",
    ]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, runs in results.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        lines.append(
            f"| {name} {version(BOOSTERS[name][1])} | {middle['log loss']:.4f} | "
            f"{middle['AUC']:.4f} | {middle['trees']:.0f} of {middle['trained']:.0f} | "
            f"{middle['seconds']:.1f} | {middle['peak']:.0f} | {middle['model']:.1f} |"
        )
    about = (
        f"{rows:,} rows, a fifth of them for validation; {repeats} runs, medians; the boosters in "
        f"turn; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."
    )
    return "\n".join([*lines, "", about])


@click.command(help=__doc__)
@click.option("--rows", type=int, help="Take only so many rows.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, show_default=True)
@click.option("--one", type=click.Choice(list(BOOSTERS)), hidden=True)
@click.option("--staging-dir", hidden=True)
def main(
    rows: int | None, repeats: int, page: Path, one: str | None, staging_dir: str | None
) -> None:
    """Run all, or one booster in this process."""
    if one is not None:
        click.echo(json.dumps(train(one, rows, str(staging_dir))))
        return
    results: dict[str, list[dict[str, float]]] = {name: [] for name in BOOSTERS}
    with tempfile.TemporaryDirectory() as folder:
        options = ["--staging-dir", f"{folder}/staged"]
        options += [] if rows is None else ["--rows", str(rows)]
        for _ in range(repeats):
            for name in BOOSTERS:
                command = [sys.executable, __file__, "--one", name, *options]
                run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                results[name].append(json.loads(run.stdout.splitlines()[-1]))
                click.echo(f"{name}: {results[name][-1]}", err=True)
        from batchtrainingbooster.data.filesystem import Folder
        from batchtrainingbooster.data.manifest import read_manifest

        manifest = read_manifest(Folder(str(Path(folder, "staged"))))
    found = table(results, manifest.source_rows, repeats)
    text = page.read_text() if page.exists() else f"{START}\n{END}\n"
    before, _, rest = text.partition(START)
    page.write_text(f"{before}{START}\n{found}\n{END}{rest.partition(END)[2]}")
    click.echo(found)


if __name__ == "__main__":
    main()
