"""Visits that Spark's tasks train together: real barrier stages, real XGBoost, a local session."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark import TaskContext, cloudpickle

from batchtrainingbooster import CatBoostTrainer, LightGBMTrainer, XGBoostTrainer
from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.batching import OVERHEAD_BYTES
from batchtrainingbooster.data.placing import row_memory
from batchtrainingbooster.distributed import visits
from batchtrainingbooster.errors import BackendError, ConfigError, DataError, StagingError

# Executors do not import tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

N = 3_000


@pytest.fixture(scope="module")
def frame(spark):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 4))
    color = rng.choice(["red", "green", "blue", None], N)
    score = x[:, 0] + x[:, 1] * (color == "red") + 0.4 * rng.standard_normal(N)
    x[rng.random((N, 4)) < 0.05] = np.nan
    table = pd.DataFrame(
        {
            **{f"x{i}": x[:, i] for i in range(4)},
            "color": color,
            "binary": np.where(score > 0.8, "yes", "no"),
            "three": np.digitize(score, [-0.7, 0.7]),
            "number": np.exp(score / 2),
            "grade": np.digitize(score, [-1, 0, 1]),
            "query": rng.integers(0, 150, N),
            "weight": rng.random(N) + 0.1,
        }
    )
    return spark.createDataFrame(table).cache()


FEATURES = ["x0", "x1", "x2", "x3", "color"]


def fit(frame, target="binary", model=None, **training):
    return XGBoostTrainer().fit(
        frame,
        None,
        target,
        # Threads change the last bits of sums.
        {"n_estimators": 6, "max_depth": 4, "n_jobs": 1, **(model or {})},
        {
            "num_batches": 3, "feature_columns": FEATURES, "validation_fraction": 0.25,
            "verbosity": 0, **training,
        },
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )  # fmt: skip


# target, settings of the model and of training
KINDS = {
    "binary": ({"colsample_bynode": 0.5}, {"weight_column": "weight"}),
    "three": ({"early_stopping_rounds": 2, "eval_metric": ["mlogloss", "merror"]}, {}),
    "number": ({}, {"strategy": "external_memory", "num_epochs": 2}),
    "grade": ({"objective": "rank:ndcg"}, {"group_column": "query"}),
}


@pytest.mark.parametrize("target", KINDS)
def test_workers_train_what_this_process_trains(target, frame, tmp_path):
    model, training = KINDS[target]
    training = {**training, "staging_dir": str(tmp_path / "staged")}
    alone = fit(frame, target, model, **training)
    one = fit(frame, target, model, num_workers=1, **training)
    assert one.native == alone.native
    assert metrics_of(one) == metrics_of(alone)
    two = fit(frame, target, model, num_workers=2, **training)
    assert_close(two, alone)


def test_a_worker_samples_the_rows_that_this_process_samples(frame):
    """Several workers sample each its own rows, so that their trees are others."""
    model = {"subsample": 0.5}
    assert fit(frame, model=model, num_workers=1).native == fit(frame, model=model).native
    losses = [
        list(row[1].values())[-1] for row in metrics_of(fit(frame, model=model, num_workers=2))
    ]
    assert losses[-1] < 0.4 < losses[0]


def test_one_batch_whose_cuts_the_workers_find_together(frame):
    alone, one = (fit(frame, num_batches=1, num_workers=n) for n in (None, 1))
    assert one.native == alone.native
    assert_close(fit(frame, num_batches=1, num_workers=2), alone, tolerance=0.002)


def test_an_earlier_model_is_continued(frame):
    first = fit(frame, seed=3)
    alone, one, two = (fit(frame, init_model=first, num_workers=n) for n in (None, 1, 2))
    assert one.native == alone.native
    assert len(alone.booster.get_dump()) > len(first.booster.get_dump())
    # Without common cuts, each worker sketches its own rows.
    assert_close(two, alone, tolerance=0.01)


def metrics_of(model):
    return [(row.train, row.valid, row.learning_rate, row.kept) for row in model.history]


def assert_close(model, other, tolerance=1e-6):
    """Metrics of all rounds that are within so much of each other, and the same decisions."""
    ours, theirs = metrics_of(model), metrics_of(other)
    assert [row[2:] for row in ours] == [row[2:] for row in theirs]
    for part in (0, 1):
        for mine, its in zip(ours, theirs, strict=True):
            assert mine[part] == pytest.approx(its[part], abs=tolerance)


class LogisticLoss:
    """The loss of two classes; what it does beside that, it does in a task of Spark's alone."""

    __name__ = "logistic"

    def __init__(self, beside=None):
        self.beside = beside

    def __call__(self, y_true, margins):
        if self.beside is not None and TaskContext.get() is not None:
            self.beside()
        chance = 1 / (1 + np.exp(-margins))
        return chance - y_true, np.maximum(chance * (1 - chance), 1e-6)


class Death:
    """Kills the process in which it is called, as often as there are files left in a folder."""

    def __init__(self, folder, times):
        self.folder = folder
        for i in range(times):
            Path(folder, str(i)).touch()

    def __call__(self):
        if TaskContext.get().partitionId() == 1:
            for file in sorted(Path(self.folder).iterdir()):
                file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)


LOSS = {"eval_metric": "logloss", "n_estimators": 3}


@pytest.fixture(scope="module")
def undisturbed(frame):
    return fit(frame, model={"objective": LogisticLoss(), **LOSS}, num_workers=2)


def test_spark_starts_a_visit_again_whose_worker_has_died(frame, undisturbed, tmp_path):
    death = Death(tmp_path, times=1)
    model = fit(frame, model={"objective": LogisticLoss(death), **LOSS}, num_workers=2)
    assert not list(tmp_path.iterdir())
    assert model.native == undisturbed.native


@pytest.mark.slow
def test_workers_that_keep_dying_end_the_visit_and_the_run_is_resumed(frame, undisturbed, tmp_path):
    deaths, checkpoints = tmp_path / "deaths", tmp_path / "checkpoints"
    deaths.mkdir()

    class SecondVisit(Death):
        def __call__(self):
            if (checkpoints / "visited").exists() or list(checkpoints.glob("*/model*")):
                super().__call__()

    def train(objective, resume):
        return fit(
            frame, model={"objective": objective, **LOSS}, num_workers=2,
            checkpoint_dir=str(checkpoints), resume=resume,
        )  # fmt: skip

    death = SecondVisit(deaths, times=8)
    with pytest.raises(BackendError, match=r"Visit 2 .*training in 2 workers: "):
        train(LogisticLoss(death), "never")
    assert train(LogisticLoss(), "must").native == undisturbed.native


def test_a_visit_that_is_not_wanted_anymore_is_cancelled(spark, tmp_path):
    """Signals are noticed in the main thread, which waits for Spark meanwhile."""
    wanted = threading.Event()
    wanted.set()
    timer = threading.Timer(2, wanted.clear)
    timer.start()
    start = time.monotonic()
    slow = spark.range(0, 2, 1, 2).mapInArrow(sleeping, "id long", barrier=True)
    with pytest.raises(Exception, match="cancelled"), visits.cancelled_unless(wanted.is_set, spark):
        slow.collect()
    assert time.monotonic() - start < 30


def sleeping(batches):
    time.sleep(60)
    yield from batches


def test_what_cannot_be_is_refused_before_anything_is_read(frame, monkeypatch):
    for trainer in (CatBoostTrainer, LightGBMTrainer):
        with pytest.raises(ConfigError, match=f"num_workers: {trainer.backend} cannot train one"):
            trainer().fit(frame, None, "binary", config_training={"num_workers": 2})
    with pytest.raises(ConfigError, match=r"got 3, but Spark runs at most 2 tasks .*local\[2\]"):
        fit(frame, num_workers=3)
    with pytest.raises(ConfigError, match="eval_metric: gap is a function"):
        fit(frame, model={"eval_metric": gap}, maximize=False, num_workers=2)
    with pytest.raises(DataError, match="train_dataframe: got str"):
        fit("rows", num_workers=2)


def gap(y_true, y_pred):
    return 0.0


def test_dynamic_allocation_is_refused():
    settings = {"spark.master": "yarn", "spark.task.cpus": "4"}
    visits.refuse_workers_beside({**settings, "spark.dynamicAllocation.enabled": "false"}, 100)
    with pytest.raises(ConfigError, match=r"spark.dynamicAllocation.enabled is true"):
        visits.refuse_workers_beside({**settings, "spark.dynamicAllocation.enabled": "true"}, 1)


def test_damage_that_a_worker_finds_is_named(frame, tmp_path, monkeypatch):
    def damaging(self, *args):
        for file in Path(tmp_path, "staged").rglob("*.parquet"):
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)

    monkeypatch.setattr(visits.Workers, "start", damaging)
    with pytest.raises(StagingError, match=r"training in 2 workers: .*\.parquet is damaged"):
        fit(frame, num_workers=2, staging_dir=str(tmp_path / "staged"))


def test_a_worker_without_rows_is_refused(spark):
    few = spark.range(4).selectExpr("id % 2 AS binary", "id * 1.5 AS x0")
    with pytest.raises(DataError, match=r"training in 2 workers: batch \d has too few rows"):
        fit(few, num_batches=4, feature_columns=["x0"], validation_fraction=None, num_workers=2)


def test_memory_budget_is_that_of_each_worker(frame):
    trainer = XGBoostTrainer()

    def num_batches(budget, workers):
        settings = {
            "memory_budget": budget, "feature_columns": FEATURES, "validation_fraction": 0.25,
            "verbosity": 0, "num_workers": workers,
        }  # fmt: skip
        trainer.fit(frame, None, "binary", {"n_estimators": 1}, settings)
        return len(trainer.manifest.batches)

    assert num_batches("1GB", None) == 1
    row = row_memory(trainer.manifest.schema, load_backend("xgboost").BYTES_PER_OUTPUT).bytes
    # Room for the 750 validation rows, and a third of the 2,250 others.
    budget = OVERHEAD_BYTES + 1500 * row
    assert (num_batches(budget, None), num_batches(budget, 2)) == (3, 1)


class KillsAnIdleWorker(Callback):
    """Kills one of the processes that the first visit has left, as a system out of memory may."""

    def __init__(self, folder):
        self.folder = folder

    def on_visit_end(self, event):
        if event.visit == 0:
            os.kill(int(Path(self.folder, "0").read_text()), signal.SIGKILL)


class WritesItsProcess:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        Path(self.folder, str(TaskContext.get().partitionId())).write_text(str(os.getpid()))


def test_a_process_that_is_new_finds_the_cuts_with_all_others(frame, tmp_path):
    """The other process still has them from the visit before."""
    attempts = tmp_path / "attempts"

    def count():
        with attempts.open("a") as file:
            file.write(f"{TaskContext.get().stageId()}.{TaskContext.get().attemptNumber()}\n")

    def beside():
        WritesItsProcess(tmp_path)()
        count()

    one_batch = {"num_batches": 1, "num_epochs": 3, "num_workers": 2, "max_patience": 9}
    undisturbed = fit(frame, model={"objective": LogisticLoss(), **LOSS}, **one_batch)
    model = fit(
        frame, model={"objective": LogisticLoss(beside), **LOSS}, **one_batch,
        callbacks=[KillsAnIdleWorker(tmp_path)],
    )  # fmt: skip
    assert model.native == undisturbed.native
    assert len(set(attempts.read_text().split())) == 3, "no visit was started again"
