"""What ``train``, ``compare`` and ``predict`` do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtrainingbooster import CatBoostTrainer, LightGBMTrainer, XGBoostTrainer
from batchtrainingbooster.cli.session import start_session
from batchtrainingbooster.cli.training_file import Table, TrainingFile
from batchtrainingbooster.comparison.strategies import compare_strategies
from batchtrainingbooster.core.places import refuse_folders_within_others
from batchtrainingbooster.core.request import parse_request
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.model.boosted_model import BoostedModel
from batchtrainingbooster.model.persistence import check_place

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from batchtrainingbooster.core.base_trainer import BaseTrainer

_TRAINERS = {
    trainer.backend: trainer for trainer in (XGBoostTrainer, CatBoostTrainer, LightGBMTrainer)
}


def run_training(file: TrainingFile, *, is_quiet: bool = False) -> str:
    """Train, save, and say what came of it."""
    trainer = _TRAINERS[file.trainer]()
    quietly = {"verbosity": 0} if is_quiet else {}
    configs = (file.config_model, {**file.config_training, **quietly}, file.config_lr_scheduler)
    # Refused before Spark starts: settings, a place that is taken, and folders within others.
    request = parse_request(trainer.backend, *configs)
    refuse_folders_within_others(request.config, str(check_place(file.model_dir)))
    spark = start_session(config={key: str(value) for key, value in file.spark.items()})
    train = _read(spark, file.train)
    valid = _read(spark, file.valid) if file.valid else None
    model = trainer.fit(train, valid, file.target_column, *configs)
    model.save(file.model_dir)
    return "\n".join(f"{name:<12} {value}" for name, value in summary(trainer, file.model_dir))


def run_comparison(file: TrainingFile) -> str:
    """Train in three ways, and say what came of each."""
    trainer = _TRAINERS[file.trainer]()
    configs = (file.config_model, file.config_training, file.config_lr_scheduler)
    parse_request(trainer.backend, *configs)
    spark = start_session(config={key: str(value) for key, value in file.spark.items()})
    frames = [_read(spark, t) if t else None for t in (file.train, file.valid, file.test)]
    train, valid, test = frames
    return str(compare_strategies(trainer, train, valid, file.target_column, *configs, test))


def summary(trainer: BaseTrainer, model_dir: str | Path) -> list[tuple[str, str]]:
    """The figures of a run, by name."""
    model, manifest, timings = trainer.model, trainer.manifest, trainer.timings
    best = model.info.best
    training = sum(part.rows for part in manifest.batches)
    rows = f"{training:,} for training"
    if manifest.validation is not None:
        total = training + manifest.validation.rows
        rows = f"{total:,}: {rows}, {manifest.validation.rows:,} for validation"
    visits = model.history.rows[-1].visit + 1
    seconds = (
        f"{timings.staging:.1f} staging, {timings.training:.1f} training, "
        f"{timings.total:.1f} in total"
    )
    return [
        ("rows", rows),
        ("batches", f"{len(manifest.batches)}, visited {visits} times"),
        ("rounds", f"{model.info.n_rounds} in the model, {len(model.history)} trained"),
        ("best metric", f"validation {model.info.metric} {best.value:.6g}" if best else "none"),
        ("seconds", seconds),
        ("model", str(Path(model_dir).absolute())),
    ]


def run_prediction(
    model_dir: Path, reading: tuple[str, str, dict[str, str]], writing: tuple[str, str, str]
) -> int:
    """Score a table, write it, and count its rows.

    Parameters
    ----------
    model_dir : Path
    reading
        Path, format and options.
    writing
        Path, format and mode.
    """
    model = BoostedModel.load(model_dir)
    spark = start_session()
    path, kind, options = reading
    scored = model.transform(_read(spark, Table(path=path, format=kind, options=dict(options))))
    output, output_kind, mode = writing
    for name in ("rawPrediction", "probability"):
        if name in scored.columns:
            scored = scored.withColumn(name, _plain(scored[name], output_kind))
    options = _writer_options(output_kind)
    with spark_failures(f"scoring {path}, and writing {output}"):
        scored.write.mode(mode).format(output_kind).options(**options).save(output)
        return int(spark.read.format(output_kind).options(**options).load(output).count())


def _plain(vector: Any, kind: str) -> Any:
    """A vector in a form that other programs read too."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    array = vector_to_array(vector)
    return F.to_json(array) if kind == "csv" else array


def _writer_options(kind: str) -> dict[str, str]:
    return {"header": "true"} if kind == "csv" else {}


def _read(spark: SparkSession, table: Table) -> DataFrame:
    options = {key: str(value) for key, value in table.options.items()}
    reader = spark.read.format(table.format).options(**options)
    with spark_failures(f"reading {table.path or table.format}"):
        return reader.load(table.path) if table.path else reader.load()
