"""Run by ``test_connect.py`` in a process of its own: it may have no classic session beside."""

import os
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from connect_cases import CASES, FEATURES, NUMBERS, fit, frame_of
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.data.spark_progress import spark_progress
from batchtrainingbooster.errors import BatchTrainingError, ConfigError, DataError, StagingError

PLACE = Path(os.environ.get("BTB_CONNECT_PLACE", ""))
HIDDEN = os.environ.get("BTB_CONNECT_HIDDEN")
TEXTS = "xgboost, texts, weights, held-out rows"
# Spark ML asks whether there is a _jsparkSession.
OF_THE_JVM = ("sparkContext", "_sc", "_jvm", "_jsc", "_jdf", "rdd")


@pytest.fixture(scope="session")
def spark():
    session = SparkSession.builder.remote(os.environ["BTB_CONNECT_URL"]).getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def rows(spark):
    return frame_of(spark, PLACE / "rows.parquet")


@pytest.fixture(autouse=True)
def _nobody_asks_for_the_jvm(spark, monkeypatch):
    asked = []

    def refuse(name):
        def get(self):
            asked.append(name)
            raise AttributeError(name)

        return property(get)

    for kind in (type(spark), type(spark.range(1))):
        for name in OF_THE_JVM:
            monkeypatch.setattr(kind, name, refuse(name), raising=False)
    yield
    assert asked == []
    assert SparkContext._gateway is None


@pytest.mark.parametrize("case", CASES)
def test_model_is_that_of_classic_spark_to_the_last_byte(rows, case):
    model = fit(rows, case)
    assert model.native == (PLACE / case / "model").read_bytes()
    scored = model.transform(rows).toPandas()
    table = rows.select(*[f"`{name.replace('`', '``')}`" for name in FEATURES]).toPandas()
    table["vector"] = [vector.toArray() for vector in table["vector"]]
    np.testing.assert_array_equal(scored["prediction"], model.predict(table))
    np.testing.assert_array_equal(model.predict(rows), model.predict(table))
    np.testing.assert_array_equal(model.margins(rows), model.margins(table))
    if model.classes:
        chances = np.stack([vector.toArray() for vector in scored["probability"]])
        np.testing.assert_array_equal(chances, model.predict_proba(table))
        assert scored["rawPrediction"][0].toArray().shape == chances[0].shape


def test_batches_that_classic_spark_has_staged_are_used_again(rows, caplog):
    caplog.set_level("INFO")
    folder = PLACE / TEXTS / "staged"
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    model = fit(rows, TEXTS, staging_dir=str(folder))
    assert "reusing" in caplog.text
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    assert model.native == (PLACE / TEXTS / "model").read_bytes()


def test_a_run_that_failed_goes_on_to_the_same_bytes(rows, tmp_path):
    class Failing(Callback):
        told = 0

        def on_staging_progress(self, event):
            self.told += 1

        def on_visit_end(self, event):
            if event.visit == 1:
                raise ZeroDivisionError

    failing = Failing()
    places = {"staging_dir": str(tmp_path / "staged"), "checkpoint_dir": str(tmp_path / "run")}
    with pytest.raises(ZeroDivisionError):
        fit(rows, TEXTS, **places, callbacks=[failing], callbacks_strict=True)
    assert failing.told, "how far staging is"
    model = fit(rows, TEXTS, **places, resume="must")
    assert model.native == (PLACE / TEXTS / "model").read_bytes()


def test_a_temporary_folder_serves_only_where_the_server_sees_it(rows, monkeypatch):
    if not HIDDEN:
        pytest.skip("needs unshare, and the right to make a mount namespace that hides a folder")
    monkeypatch.setattr("tempfile.tempdir", HIDDEN)
    message = rf"staging_dir: needed, as the Spark Connect server does not see {HIDDEN}/\S+, which"
    with pytest.raises(ConfigError, match=message):
        fit(rows, TEXTS)
    with pytest.raises(ConfigError, match=rf"does not see {HIDDEN}/run, which is on this machine"):
        fit(rows, TEXTS, checkpoint_dir=f"{HIDDEN}/run")
    assert not list(Path(HIDDEN).rglob("*SEEN*"))


def test_a_staging_dir_that_the_server_does_not_see_is_named(rows):
    if not HIDDEN:
        pytest.skip("needs unshare, and the right to make a mount namespace that hides a folder")
    message = rf"^file://{HIDDEN}/staged/\S+: this process does not find .*staging_dir must be one"
    with pytest.raises(StagingError, match=message):
        fit(rows, TEXTS, staging_dir=f"{HIDDEN}/staged")


def test_what_spark_raises_is_an_error_of_ours(spark, rows, tmp_path):
    def train(frame):
        XGBoostTrainer().fit(frame, None, "number", {}, {"num_batches": 2})

    def fail(batches):
        for batch in batches:
            yield batch
            raise ZeroDivisionError("out of luck")

    with pytest.raises(DataError, match=r"ZeroDivisionError: out of luck .*in_client.py.* in fail"):
        train(rows.select("number", "v0").mapInArrow(fail, "number double, v0 double"))
    with pytest.raises(DataError, match=r"profiling train_dataframe: .*CAST_INVALID_INPUT"):
        train(rows.select(F.col("color").cast("int").alias("number"), "v0"))
    # A client sees only now what a classic session says when it is called.
    with pytest.raises(BatchTrainingError, match=r"UNRESOLVED_COLUMN.*nowhere"):
        train(rows.select("number", F.col("nowhere")))
    with pytest.raises(BatchTrainingError, match=r"PATH_NOT_FOUND"):
        train(spark.read.parquet(f"{tmp_path}/nowhere"))
    rows.coalesce(1).write.parquet(f"{tmp_path}/rows")
    lost = spark.read.parquet(f"{tmp_path}/rows")
    assert lost.columns
    shutil.rmtree(tmp_path / "rows")
    with pytest.raises(StagingError, match=f"{tmp_path}/rows"):
        train(lost)


def test_tasks_are_counted_while_the_server_works(spark):
    told = []

    def count(tasks):
        def slowly(batches):
            for batch in batches:
                time.sleep(0.2)
                yield batch

        spark.range(tasks, numPartitions=tasks).mapInArrow(slowly, "id long").count()

    other = threading.Thread(target=count, args=(3,))
    with spark_progress(spark.range(1), lambda *found: told.append(found)):
        other.start()
        other.join()
        assert told == [], "jobs of other threads are not counted"
        count(6)
    assert told
    assert all(0 <= done <= total for done, total in told)
    assert len({done for done, _ in told}) > 1, "it goes on"
    told.clear()
    count(2)
    assert told == [], "nothing is left behind"


def test_an_error_in_who_is_told_is_raised_when_the_work_is_done(spark):
    counted = []

    def fail(done, total):
        raise ZeroDivisionError

    def work():
        with spark_progress(spark.range(1), fail):
            counted.append(spark.range(10, numPartitions=2).groupBy("id").count().count())

    with pytest.raises(ZeroDivisionError):
        work()
    assert counted == [10]


def test_estimators_of_spark_ml_fit_score_and_are_saved(rows, tmp_path):
    from pyspark.ml import Pipeline, PipelineModel
    from pyspark.ml.feature import StringIndexer

    from batchtrainingbooster.spark_ml import (
        BatchXGBoostClassifier,
    )

    rows = rows.select("color", "v0", "v1", "three", "vector")
    classifier = BatchXGBoostClassifier(numBatches=2, nEstimators=3, featuresCol="vector")
    labels = StringIndexer(inputCol="three", outputCol="label")
    model = Pipeline(stages=[labels, classifier]).fit(rows)
    scored = model.transform(rows)
    assert {"prediction", "probability", "rawPrediction"} <= set(scored.columns)
    expected = scored.toPandas()["prediction"].tolist()
    classifier.write().overwrite().save(f"{tmp_path}/estimator")
    assert BatchXGBoostClassifier.load(f"{tmp_path}/estimator").getNumBatches() == 2
    model.write().overwrite().save(f"{tmp_path}/model")
    again = PipelineModel.load(f"{tmp_path}/model")
    assert again.transform(rows).toPandas()["prediction"].tolist() == expected


def test_workers_train_over_connect_what_the_server_alone_would(rows):
    settings = {"n_jobs": 1, "n_estimators": 3}
    training = {"num_batches": 2, "feature_columns": FEATURES, "validation_fraction": 0.2}
    alone, one, two = (
        XGBoostTrainer().fit(rows, None, "three", settings, {**training, "num_workers": n})
        for n in (None, 1, 2)
    )
    assert one.native == alone.native
    losses = [[row.valid["mlogloss"] for row in model.history] for model in (alone, two)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_a_model_is_a_function_for_sql(spark, rows):
    model = fit(rows, "lightgbm")
    model.register(spark, "score")
    rows.select("color", "vector", *[f"`{n.replace('`', '``')}`" for n in NUMBERS]).createTempView(
        "rows_to_score"
    )
    found = spark.sql("SELECT score(struct(*)) AS guess FROM rows_to_score").toPandas()
    wanted = model.transform(rows).toPandas()["prediction"]
    assert sorted(found["guess"]) == sorted(wanted)


def test_the_page_runs_as_it_is_written(spark, shared_data, tmp_path, monkeypatch):
    # Where the server was started, and looks for what has no folder.
    (PLACE / "obesity.csv").symlink_to(shared_data / "obesity.csv")
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / "how-to" / "spark-connect.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(block.replace("sc://localhost:15002", os.environ["BTB_CONNECT_URL"]), names)  # noqa: S102
    assert (tmp_path / "obesity-model" / "metadata.json").exists()
