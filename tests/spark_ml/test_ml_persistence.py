"""Estimators, models, pipelines and searches are saved as Spark ML saves them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder
from pyspark.sql import functions as F

from batchtrainingbooster import spark_ml
from batchtrainingbooster.errors import ConfigError, ModelFormatError
from batchtrainingbooster.spark_ml import (
    BatchClassificationModel,
    BatchLightGBMRegressor,
    BatchRegressionModel,
    BatchXGBoostClassifier,
    persistence,
)

FRESH = """
import sys
from pyspark.ml import PipelineModel
from batchtrainingbooster.cli.session import start_session

spark = start_session("fresh", {"spark.master": "local[1]", "spark.sql.shuffle.partitions": "1"})
model, rows, scored = sys.argv[1:]
PipelineModel.load(model).transform(spark.read.parquet(rows)).write.parquet(scored)
spark.stop()
"""


@pytest.fixture(scope="module")
def frame(spark):
    columns = [F.randn(seed).alias(name) for seed, name in enumerate("abc")]
    rows = spark.range(300).select("id", *columns)
    return rows.withColumn(
        "label", F.expr("CAST(a + b > 0 AS double) + CAST(a > 1 AS double)")
    ).cache()


def pipeline_of(name, **params):
    assembler = VectorAssembler(inputCols=["a", "b", "c"], outputCol="features")
    estimator = getattr(spark_ml, name)(numBatches=2, nEstimators=3, maxDepth=3, **params)
    return Pipeline(stages=[assembler, estimator])


def scores(frame):
    return [tuple(row) for row in frame.orderBy("id").select("id", "prediction").collect()]


@pytest.mark.parametrize(
    "name", ["BatchXGBoostClassifier", "BatchCatBoostClassifier", "BatchLightGBMRegressor"]
)
def test_pipeline_is_saved_and_loaded(name, frame, tmp_path):
    pipeline = pipeline_of(name, featuresCol="features", memoryBudget="4GB")
    path = str(tmp_path / "model")
    model = pipeline.fit(frame)
    model.save(path)
    model.write().overwrite().save(path)
    loaded = PipelineModel.load(path)
    assert loaded.stages[1].model.native == model.stages[1].model.native
    assert loaded.stages[1].model.history == model.stages[1].model.history
    assert loaded.stages[1].uid == model.stages[1].uid
    before, after = model.transform(frame), loaded.transform(frame)
    assert after.orderBy("id").collect() == before.orderBy("id").collect()
    assert after.schema == before.schema
    pipeline.save(str(tmp_path / "estimator"))
    estimator = Pipeline.load(str(tmp_path / "estimator")).getStages()[1]
    assert estimator.extractParamMap() == pipeline.getStages()[1].extractParamMap()
    assert estimator.getMemoryBudget() == "4GB"


def test_fresh_process_predicts_the_same(frame, spark, tmp_path):
    """With a search in a pipeline, so that both are saved."""
    assembler, estimator = pipeline_of("BatchXGBoostClassifier").getStages()
    search = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=ParamGridBuilder().addGrid(estimator.maxDepth, [2]).build(),
        evaluator=MulticlassClassificationEvaluator(),
        numFolds=2,
        seed=1,
    )
    model = Pipeline(stages=[assembler, search]).fit(frame)
    paths = [str(tmp_path / name) for name in ("model", "rows", "scored")]
    model.write().overwrite().save(paths[0])
    frame.write.parquet(paths[1])
    subprocess.run([sys.executable, "-c", FRESH, *paths], check=True, capture_output=True)
    assert scores(spark.read.parquet(paths[2])) == scores(model.transform(frame))
    found, loaded = model.stages[1], PipelineModel.load(paths[0]).stages[1]
    assert isinstance(loaded, CrossValidatorModel)
    assert loaded.avgMetrics == found.avgMetrics
    assert [list(point.values()) for point in loaded.getEstimatorParamMaps()] == [[2]]


def test_model_and_its_params_survive(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(persistence, "PIECE_BYTES", 1000)
    estimator = BatchXGBoostClassifier(
        numBatches=2, nEstimators=3, featuresCol=["a", "b"], predictionCol="p", rawPredictionCol="",
        classWeight={0: 2.0, 2: 3.0}, lrScheduler={"initial_lr": 0.1, "decay_rate": 0.5},
        boosterParams={"subsample": 0.5}, evalMetric=["merror", "mlogloss"],
    )  # fmt: skip
    estimator.save(str(tmp_path / "estimator"))
    again = BatchXGBoostClassifier.load(str(tmp_path / "estimator"))
    assert again.extractParamMap() == estimator.extractParamMap()
    assert again.getClassWeight() == {0.0: 2.0, 2.0: 3.0}
    model = estimator.fit(frame)
    model.save(str(tmp_path / "model"))
    loaded = BatchClassificationModel.load(str(tmp_path / "model"))
    assert loaded.model.native == model.model.native
    assert loaded.model.info == model.model.info
    assert (loaded.numClasses, loaded.getPredictionCol()) == (3, "p")
    assert loaded.transform(frame).columns[-2:] == ["probability", "p"]
    (metadata,) = (tmp_path / "model" / "metadata").glob("part-*")
    named = json.loads(metadata.read_text())["class"]
    assert named == "batchtrainingbooster.spark_ml.BatchClassificationModel"
    assert np.array_equal(loaded.featureImportances, model.featureImportances)


def test_what_is_there_is_kept_unless_overwritten(frame, tmp_path):
    path = str(tmp_path / "model")
    model = pipeline_of("BatchLightGBMRegressor").fit(frame).stages[1]
    for one in (model, BatchLightGBMRegressor()):
        one.write().overwrite().save(path)
        with pytest.raises(ModelFormatError, match=r"write\(\)\.overwrite\(\)\.save\(\) replaces"):
            one.save(path)
    with pytest.raises(ModelFormatError, match="nowhere cannot be read as a saved model"):
        BatchRegressionModel.load(str(tmp_path / "nowhere"))
    with pytest.raises(ModelFormatError, match="BatchLightGBMRegressor, and no BatchRegressionM"):
        BatchRegressionModel.load(path)


def test_damaged_model_is_refused(frame, spark, tmp_path):
    path = str(tmp_path / "model")
    pipeline_of("BatchXGBoostClassifier").fit(frame).stages[1].save(path)
    files = spark.read.parquet(f"{path}/files").collect()

    def load_with(rows):
        stored = spark.createDataFrame(rows, persistence._SCHEMA)
        stored.write.mode("overwrite").parquet(f"{path}/files")
        return BatchClassificationModel.load(path)

    load_with([tuple(row) for row in files])
    broken = [
        (n, p, bytearray(c[:-1] + b"?") if n.startswith("model.") else c) for n, p, c in files
    ]
    with pytest.raises(ModelFormatError, match=r"model\."):
        load_with(broken)
    with pytest.raises(ModelFormatError, match=r"has a file '\.\./evil'"):
        load_with([*files, ("../evil", 0, bytearray(b"x"))])
    assert not (tmp_path / "evil").exists()


def test_objects_cannot_be_saved_and_are_named(tmp_path):
    def metric(y_true, y_pred):
        return 0.0

    estimator = BatchXGBoostClassifier(evalMetric=metric, maximize=True)
    with pytest.raises(ConfigError, match="evalMetric holds an object, which cannot be saved"):
        estimator.save(str(tmp_path / "estimator"))
    assert list(tmp_path.iterdir()) == []
