"""Run by ``test_cluster.py``: one cluster of two executors, and what happens to them.

``python on_cluster.py ROWS PLACE``: what came of each scenario goes to PLACE as JSON, models as
files.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
from pyspark import TaskContext, cloudpickle

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.cli.session import start_session
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import is_whole
from batchtrainingbooster.errors import BatchTrainingError

CONFIG_MODEL = {"n_estimators": 4, "max_depth": 4, "eval_metric": "mlogloss"}
SCHEDULE = {"initial_lr": 0.3, "decay_rate": 0.8}
SETTINGS = {
    # Two JVMs beside this one, of a core and 1 GiB each.
    "spark.master": "local-cluster[2,1,1024]",
    "spark.executor.memory": "512m",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "300",
    # A lost executor may fail a task once; and there are new ones as often as it takes.
    "spark.task.maxFailures": "2",
    "spark.deploy.maxExecutorRetries": "-1",
}


def fit(rows, **training):
    training = {"num_batches": 3, "validation_fraction": 0.2, **training}
    return XGBoostTrainer().fit(rows, None, "y", CONFIG_MODEL, training, SCHEDULE)


def kill_own_executor():
    """Kill the JVM of the executor whose Python worker this is."""
    for process in psutil.Process().parents():
        if any("CoarseGrainedExecutorBackend" in word for word in process.cmdline()):
            process.send_signal(signal.SIGKILL)
            return
    msg = "this is no worker of an executor"
    raise RuntimeError(msg)


def deadly(rows, begun, place, *, always=False):
    """The same rows; once ``begun`` is there, a task kills its executor in its second part."""
    killed = place / "killed"

    def pass_on(batches):
        for i, batch in enumerate(batches):
            yield batch
            if i == 1 and begun.exists() and (always or not killed.exists()):
                with killed.open("a") as file:
                    file.write("x")
                kill_own_executor()

    return rows.mapInArrow(pass_on, rows.schema)


def refused_without_a_shared_place(rows, place):
    try:
        fit(rows, checkpoint_dir=str(place / "run"))
    except BatchTrainingError as error:
        return str(error)
    return None


def trained(rows, place):
    model = fit(rows, staging_dir=str(place / "staged"))
    (place / "model").write_bytes(model.native)
    scored = model.transform(rows).toPandas()
    table = rows.toPandas()
    chances = np.stack([vector.toArray() for vector in scored["probability"]])
    return {
        "predictions are those of this process": bool(
            (scored["prediction"] == model.predict(table)).all()
            and (chances == model.predict_proba(table)).all()
        ),
        "rows": len(scored),
    }


def executor_lost_while_staging(rows, place):
    staged = place / "staged"
    model = fit(deadly(rows, staged / "UNFINISHED", place), staging_dir=str(staged))
    (place / "model").write_bytes(model.native)
    return {"killed": (place / "killed").stat().st_size}


def executor_lost_while_scoring(rows, place):
    # That of the rows that were staged first, which are used again.
    model = fit(rows, staging_dir=str(place.parent / "trained" / "staged"))
    (place / "begun").touch()
    scored = model.transform(deadly(rows, place / "begun", place)).toPandas()
    return {
        "killed": (place / "killed").stat().st_size,
        "rows": len(scored),
        "same": sorted(scored["prediction"]) == sorted(model.predict(rows)),
    }


def executors_that_are_always_lost(rows, place):
    staged = place / "staged"
    try:
        fit(deadly(rows, staged / "UNFINISHED", place, always=True), staging_dir=str(staged))
    except BatchTrainingError as error:
        found = {"error": type(error).__name__, "message": str(error)}
    found["whole"] = is_whole(Folder(str(staged)).names())
    found["killed"] = (place / "killed").stat().st_size
    (place / "model").write_bytes(fit(rows, staging_dir=str(staged)).native)
    return found


class SoftmaxLoss:
    """The loss of several classes; once the run has a checkpoint, it kills an executor."""

    __name__ = "softmax"

    def __init__(self, place):
        self.place = place

    def __call__(self, y_true, margins):
        killed = self.place / "killed"
        if TaskContext.get() is not None and self.place.joinpath("armed").exists():
            self.place.joinpath("armed").rename(killed)
            kill_own_executor()
        chances = np.exp(margins - margins.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        is_own = np.arange(margins.shape[1]) == y_true[:, None]
        return chances - is_own, np.maximum(2 * chances * (1 - chances), 1e-6)


class ArmAfterFirstVisit(Callback):
    def __init__(self, place):
        self.place = place

    def on_visit_end(self, event):
        if event.visit == 0:
            (self.place / "armed").touch()


def visits_across_executors(rows, place):
    """Trained in both executors; the same again, in whose second visit one of them is killed."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    losses = []
    for callbacks in (None, [ArmAfterFirstVisit(place)]):
        model = XGBoostTrainer().fit(
            rows, None, "y", {**CONFIG_MODEL, "n_jobs": 1, "objective": SoftmaxLoss(place)},
            {"num_batches": 3, "validation_fraction": 0.2, "num_workers": 2,
             "staging_dir": str(place.parent / "trained" / "staged"), "callbacks": callbacks},
            SCHEDULE,
        )  # fmt: skip
        losses.append([row.valid["mlogloss"] for row in model.history])
    (place / "model").write_bytes(model.native)
    return {"losses": losses, "killed": (place / "killed").exists()}


SCENARIOS = (
    refused_without_a_shared_place,
    trained,
    executor_lost_while_staging,
    executor_lost_while_scoring,
    visits_across_executors,
    executors_that_are_always_lost,
)


def main(rows, place):
    rows = start_session("cluster", SETTINGS).read.parquet(rows)
    found = {}
    for scenario in SCENARIOS:
        own = Path(place, scenario.__name__)
        own.mkdir()
        found[scenario.__name__] = scenario(rows, own)
    Path(place, "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Spark's own end takes seconds, but leaves no executor behind.
    start_session().stop()
    sys.stdout.flush()
    os._exit(0)
