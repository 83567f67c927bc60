"""Estimators over the trainers: what Spark ML asks of them, and what the trainers do."""

import inspect
import logging
import math
import pickle
import subprocess
import sys

import attrs
import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.ml.linalg import DenseVector, SparseVector, VectorUDT
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.sql import functions as F

from batchtrainingbooster import XGBoostTrainer, spark_ml
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.errors import (
    BatchTrainingError,
    ColumnNotFoundError,
    ConfigError,
    DataError,
    NotFittedError,
)
from batchtrainingbooster.spark_ml import (
    BatchCatBoostClassifier,
    BatchClassificationModel,
    BatchXGBoostClassifier,
    BatchXGBoostRanker,
    BatchXGBoostRegressor,
)
from batchtrainingbooster.spark_ml.params import LEFT_OUT, param_name

BOOSTERS = ("XGBoost", "CatBoost", "LightGBM")
ESTIMATORS = [
    getattr(spark_ml, f"Batch{booster}{kind}")
    for booster in BOOSTERS
    for kind in ("Classifier", "Regressor", "Ranker")
]
NUMBERS = ["a", "b", "c"]
SMALL = {"numBatches": 2, "nEstimators": 3, "maxDepth": 3, "learningRate": 0.3}
N = 400


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 3)).round(2)
    x[rng.random((N, 3)) < 0.3] = 0
    score = x[:, 0] + x[:, 1] + 0.3 * rng.standard_normal(N)
    return pd.DataFrame(
        {
            "a": x[:, 0], "b": x[:, 1], "c": x[:, 2],
            "color": rng.choice(["red", "green"], N),
            "label": np.digitize(score, [-0.6, 0.6]).astype(float),
            "two": (score > 0).astype(float),
            "number": score,
            "weight": np.where(score > 0, 5.0, 0.1),
            "query": np.arange(N) // 10,
            "validates": rng.random(N) < 0.3,
            # Would be learned from, were it a feature.
            "leak": score,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def frame(spark, rows):
    assembled = VectorAssembler(inputCols=NUMBERS, outputCol="features")
    return assembled.transform(spark.createDataFrame(rows)).cache()


def collected(scored, column):
    return np.array([np.atleast_1d(row[0]) for row in scored.select(column).collect()])


# What Spark ML asks of Params


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_every_param_has_a_setter_a_getter_and_a_doc(estimator):
    one = estimator()
    explained = one.explainParams()
    assert [p.name for p in one.params] == sorted(inspect.signature(estimator).parameters)
    for param in one.params:
        accessor = param.name[0].upper() + param.name[1:]
        assert len(param.doc) > 15
        assert param.doc in explained
        value = one.getOrDefault(param) if one.hasDefault(param) else "x"
        assert getattr(one, f"set{accessor}")(value) is one
        assert getattr(one, f"get{accessor}")() == value


def test_params_and_settings_of_the_trainers_are_the_same():
    """A new setting is a Param, or has a reason not to be one."""
    params = {p.name for cls in (BatchXGBoostClassifier, BatchXGBoostRanker) for p in cls().params}
    for field in attrs.fields(TrainingConfig):
        assert (param_name(field.name) in params) != (field.name in LEFT_OUT), field.name
        if param_name(field.name) in params and not field.name.endswith(("_column", "_columns")):
            assert BatchXGBoostClassifier().getOrDefault(param_name(field.name)) == field.default


def test_params_are_set_copied_and_refused():
    one = BatchXGBoostClassifier(numBatches=np.int64(3), minDelta=np.float64(0.5), maxDepth=4)
    assert (one.getNumBatches(), one.getMinDelta(), one.getMaxDepth()) == (3, 0.5, 4)
    other = one.copy({one.maxDepth: 7})
    assert (other.getMaxDepth(), one.getMaxDepth(), other.uid) == (7, 4, one.uid)
    sent = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert sent.extractParamMap() == one.extractParamMap()
    assert one.setFeaturesCol(["a", "b"]).getFeaturesCol() == ["a", "b"]
    assert one.setParams(nEstimators=5).getNEstimators() == 5
    with pytest.raises(ConfigError, match=r"no Param 'maxDeph' \(did you mean 'maxDepth'\?\)"):
        BatchXGBoostClassifier(maxDeph=3)
    with pytest.raises(TypeError, match=r"maxDepth.*got 'deep', need an integer or None"):
        one.setMaxDepth("deep")
    with pytest.raises(TypeError):
        BatchXGBoostClassifier("features")


def test_without_spark_the_extra_is_named():
    code = "import sys; sys.modules['pyspark'] = None; import batchtrainingbooster.spark_ml"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "batchtrainingbooster.spark_ml needs pyspark" in done.stderr
    assert "batchtrainingbooster[spark]" in done.stderr


# Pipelines


def test_pipeline_of_texts_is_evaluated_unaided(spark, shared_data):
    people = spark.read.csv(str(shared_data / "obesity.csv"), header=True, inferSchema=True)
    people = people.select("NObeyesdad", "Gender", "Height", "Weight").cache()
    train, test = people.randomSplit([0.8, 0.2], seed=1)
    pipeline = Pipeline(
        stages=[
            StringIndexer(inputCol="NObeyesdad", outputCol="label"),
            StringIndexer(inputCol="Gender", outputCol="gender"),
            VectorAssembler(inputCols=["gender", "Height", "Weight"], outputCol="features"),
            BatchXGBoostClassifier(numBatches=2, nEstimators=20, validationFraction=0.2),
        ]
    )
    scored = pipeline.fit(train).transform(test)
    evaluator = MulticlassClassificationEvaluator()
    assert evaluator.evaluate(scored) > 0.9
    assert evaluator.setMetricName("logLoss").evaluate(scored) < 0.4
    # As LogisticRegression has them.
    found = {field.name: (field.dataType, field.metadata) for field in scored.schema.fields[-3:]}
    assert found == {
        "rawPrediction": (VectorUDT(), {"ml_attr": {"num_attrs": 7}}),
        "probability": (VectorUDT(), {"ml_attr": {"num_attrs": 7}}),
        "prediction": (
            scored.schema["label"].dataType, {"ml_attr": {"type": "nominal", "num_vals": 7}},
        ),
    }  # fmt: skip
    assert scored.schema["label"].metadata["ml_attr"]["vals"][0] == "Obesity_Type_I"


@pytest.mark.parametrize("booster", BOOSTERS)
def test_classifier_of_each_booster_is_the_trainers_model(booster, frame, rows):
    estimator = getattr(spark_ml, f"Batch{booster}Classifier")(**SMALL, validationFraction=0.2)
    model = estimator.fit(frame)
    direct = estimator.trainer().fit(
        frame, None, "label",
        {"n_estimators": 3, "max_depth": 3, "learning_rate": 0.3},
        {"num_batches": 2, "validation_fraction": 0.2, "feature_columns": ["features"]},
    )  # fmt: skip
    assert model.model.native == direct.native
    assert model.uid == estimator.uid
    scored = model.transform(frame)
    assert scored.columns == [*frame.columns, "rawPrediction", "probability", "prediction"]
    chances = collected(scored, "probability")
    assert np.array_equal(chances, direct.predict_proba(frame))
    assert np.array_equal(collected(scored, "prediction").ravel(), chances.argmax(axis=1))
    assert MulticlassClassificationEvaluator().evaluate(scored) > 0.7
    assert (model.numClasses, model.numFeatures) == (3, 3)
    importances = model.featureImportances.toArray()
    assert importances.sum() == pytest.approx(1)
    assert importances.argmin() == 2


@pytest.mark.parametrize("booster", BOOSTERS)
def test_regressor_and_ranker_of_each_booster(booster, frame, spark, rows):
    regressor = getattr(spark_ml, f"Batch{booster}Regressor")(**SMALL, labelCol="number")
    # Few whole numbers are no classes here.
    for name in ("number", "label"):
        scored = regressor.setLabelCol(name).fit(frame).transform(frame)
        assert scored.columns[-1] == "prediction"
        assert RegressionEvaluator(labelCol=name, metricName="r2").evaluate(scored) > 0.4
    ranker = getattr(spark_ml, f"Batch{booster}Ranker")(**SMALL, groupCol="query")
    found = collected(ranker.fit(frame).transform(frame), "prediction").ravel()
    assert np.corrcoef(found, rows["number"])[0, 1] > 0.7


# Features


def test_vector_dense_or_sparse_and_columns_give_one_model(spark, rows, frame):
    def as_vectors(make):
        pairs = zip(rows[NUMBERS].to_numpy(), rows["label"], strict=True)
        return spark.createDataFrame([(make(row), y) for row, y in pairs], ["features", "label"])

    def sparse(row):
        places = np.flatnonzero(row)
        return SparseVector(3, places, row[places])

    estimator = BatchXGBoostClassifier(**SMALL)
    dense = estimator.fit(as_vectors(DenseVector))
    assert estimator.fit(as_vectors(sparse)).model.native == dense.model.native
    # Columns have another order of rows, but the same rows in one batch.
    estimator.setNumBatches(1)
    by_vector = estimator.fit(frame)
    columns = estimator.copy({estimator.featuresCol: NUMBERS}).fit(frame)
    scores = [collected(model.transform(frame), "rawPrediction") for model in (by_vector, columns)]
    assert np.allclose(*scores, atol=1e-5)
    assert columns.model.info.schema.column_names == tuple(NUMBERS)
    assert columns.numFeatures == by_vector.numFeatures


def test_texts_among_columns_are_categories_and_nothing_else_is_learned_from(frame):
    estimator = BatchXGBoostClassifier(
        **SMALL, featuresCol=["a", "color", "query"], categoricalCols=["query"]
    )
    schema = estimator.fit(frame).model.info.schema
    assert [(f.name, f.kind, len(f.categories)) for f in schema.features] == [
        ("a", "numeric", 0), ("color", "categorical", 2), ("query", "categorical", N // 10),
    ]  # fmt: skip


# Rows


def test_indicator_names_the_validation_rows(frame):
    train, valid = frame.filter("NOT validates"), frame.filter("validates")
    estimator = BatchXGBoostClassifier(**SMALL, validationIndicatorCol="validates")
    direct = XGBoostTrainer().fit(
        train, valid, "label",
        {"n_estimators": 3, "max_depth": 3, "learning_rate": 0.3},
        {"num_batches": 2, "feature_columns": ["features"]},
    )  # fmt: skip
    model = estimator.fit(frame).model
    assert model.native == direct.native
    assert model.info.best == direct.info.best
    # A null is no true.
    nulls = frame.withColumn("validates", F.when(F.col("validates"), F.col("validates")))
    assert estimator.fit(nulls).model.native == direct.native


def test_weights_change_the_model(frame):
    estimator = BatchXGBoostClassifier(**SMALL, labelCol="two", classWeight=None)
    plain = estimator.fit(frame)
    assert estimator.setWeightCol("").fit(frame).model.native == plain.model.native
    weighted = estimator.setWeightCol("weight").fit(frame)
    means = [collected(model.transform(frame), "prediction").mean() for model in (plain, weighted)]
    assert means[1] > means[0] + 0.1
    area = BinaryClassificationEvaluator(labelCol="two").evaluate(plain.transform(frame))
    assert area > 0.85
    by_class = estimator.setWeightCol("").setClassWeight({1: 20.0}).fit(frame)
    assert collected(by_class.transform(frame), "prediction").mean() > means[0] + 0.1


@pytest.mark.parametrize("stated", [True, False])
def test_class_that_no_row_has_keeps_its_place(stated, frame, spark):
    """As in a fold of a cross-validation that lacks it."""
    lacking = frame.filter("label <> 1")
    if stated:
        attribute = {"ml_attr": {"type": "nominal", "vals": ["x", "y", "z", "unseen"]}}
        # An integer is a label as well.
        lacking = lacking.withColumn("label", F.col("label").cast("int"))
        lacking = lacking.withMetadata("label", attribute)
    model = BatchXGBoostClassifier(**SMALL).fit(lacking)
    n = 4 if stated else 3
    assert model.numClasses == n
    scored = model.transform(frame)
    chances, raw = collected(scored, "probability"), collected(scored, "rawPrediction")
    assert chances.shape == raw.shape == (N, n)
    assert (chances[:, 1] == 0).all()
    assert (raw[:, 1] == -math.inf).all()
    assert np.allclose(chances.sum(axis=1), 1)
    assert set(collected(scored, "prediction").ravel()) == {0, 2}
    loss = MulticlassClassificationEvaluator(metricName="logLoss").evaluate(scored)
    assert 0 < loss < 40


# Columns


def test_columns_are_carried_renamed_and_left_out(frame):
    model = BatchXGBoostClassifier(**SMALL).fit(frame)
    odd = frame.withColumn("Prediction", F.lit("mine")).withColumn("d.o`t", F.lit(1))
    odd = odd.withMetadata("Prediction", {"kept": True})
    with pytest.raises(DataError, match="'prediction' exists already; drop it, or name another"):
        model.transform(odd)
    scored = model.transform(odd, {model.predictionCol: "mine", model.probabilityCol: ""})
    assert scored.columns == [*odd.columns, "rawPrediction", "mine"]
    assert scored.schema["Prediction"].metadata == {"kept": True}
    assert scored.select("features").schema["features"].metadata["ml_attr"]["num_attrs"] == 3
    assert {row["Prediction"] for row in scored.select("Prediction").collect()} == {"mine"}
    with pytest.raises(DataError, match="two outputs are called 'x'"):
        model.transform(frame, {model.predictionCol: "x", model.probabilityCol: "X"})
    elsewhere = frame.withColumnRenamed("features", "vector")
    with pytest.raises(ColumnNotFoundError, match=r"transform: featuresCol: .*'features'"):
        model.transform(elsewhere)
    found = model.transform(elsewhere, {model.featuresCol: "vector"})
    assert found.columns[-4:] == ["vector", "rawPrediction", "probability", "prediction"]
    raw = [collected(each, "rawPrediction") for each in (found, scored)]
    assert np.array_equal(*raw)
    with pytest.raises(
        DataError, match="featuresCol names 2 columns, and the model was trained on"
    ):
        model.transform(frame, {model.featuresCol: ["a", "b"]})
    none = {model.getParam(f"{n}Col"): "" for n in ("prediction", "probability", "rawPrediction")}
    assert model.transform(frame, none).columns == frame.columns


# Searches


@pytest.mark.parametrize(
    ("booster", "parallelism", "depths"), [("XGBoost", 2, [1, 4]), ("CatBoost", 1, [4])]
)
def test_cross_validation_stages_each_fold_once(
    booster, parallelism, depths, frame, tmp_path, caplog
):
    estimator = getattr(spark_ml, f"Batch{booster}Classifier")(
        numBatches=2, nEstimators=2, stagingDir=str(tmp_path / "staging")
    )
    grid = ParamGridBuilder().addGrid(estimator.maxDepth, depths)
    grid = grid.addGrid(estimator.learningRate, np.array([0.01, 0.5])).build()
    search = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="logLoss"),
        numFolds=2,
        seed=1,
        parallelism=parallelism,
    )
    with caplog.at_level(logging.INFO, "batchtrainingbooster"):
        found = search.fit(frame)
    said = [record.getMessage() for record in caplog.records]
    # All grid points of each of two folds, and the model of the best on all rows.
    assert len([text for text in said if text.startswith("Staged")]) == 2 + 1
    assert len([text for text in said if text.startswith("Batches: reusing")]) == 2 * len(grid) - 2
    assert list((tmp_path / "staging").iterdir()) == []
    assert int(np.argmin(found.avgMetrics)) == len(grid) - 1
    assert len(set(found.avgMetrics)) == len(grid)
    if booster == "XGBoost":
        alone = estimator.copy(grid[-1]).fit(frame)
        assert found.bestModel.model.native == alone.model.native


def test_grid_points_of_other_batches_are_staged_by_themselves(frame, caplog):
    estimator = BatchXGBoostClassifier(nEstimators=2, maxDepth=2)
    grid = [{estimator.numBatches: 1}, {estimator.numBatches: 2}, {estimator.numBatches: 2}]
    with caplog.at_level(logging.INFO, "batchtrainingbooster"):
        models = estimator.fit(frame, grid)
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if text.startswith("Staged")]) == 2
    assert [len({row.batch for row in model.model.history}) for model in models] == [1, 2, 2]
    with pytest.raises(ConfigError, match="3 fits would take one another's checkpoints"):
        estimator.setCheckpointDir("anywhere").fit(frame, grid)


def test_train_validation_split_over_a_pipeline(frame, tmp_path):
    estimator = BatchXGBoostRegressor(
        numBatches=1, nEstimators=3, labelCol="number", featuresCol="vector",
        runDir=str(tmp_path / "runs"),
    )  # fmt: skip
    pipeline = Pipeline(stages=[VectorAssembler(inputCols=NUMBERS, outputCol="vector"), estimator])
    grid = ParamGridBuilder().addGrid(estimator.nEstimators, [1, 30]).build()
    search = TrainValidationSplit(
        estimator=pipeline, estimatorParamMaps=grid, parallelism=2, seed=1,
        evaluator=RegressionEvaluator(labelCol="number"),
    )  # fmt: skip
    found = search.fit(frame)
    assert found.validationMetrics[1] < found.validationMetrics[0]
    assert found.bestModel.stages[-1].model.info.n_rounds == 30
    # Each fit has a folder of its own.
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_fit_that_fails_leaves_nothing_staged(frame, tmp_path):
    estimator = BatchXGBoostClassifier(**SMALL, stagingDir=str(tmp_path))
    grid = [{estimator.boosterParams: {"no_such": 1}}, {estimator.maxDepth: 2}]
    fits = estimator.fitMultiple(frame, grid)
    with pytest.raises(ConfigError, match="no_such"):
        next(fits)
    index, model = next(fits)
    assert (index, model.model.info.n_rounds) == (1, 6)
    assert list(tmp_path.iterdir()) == []


# What is refused


REFUSED = {
    "text as label": (
        {"labelCol": "color"}, DataError, "'color' is string, need a number; StringIndexer makes",
    ),
    "boolean as label": ({"labelCol": "validates"}, DataError, "is boolean.* cast it to double"),
    "no label": ({"labelCol": "lable"}, ColumnNotFoundError, "'lable' .did you mean 'label'"),
    "fractions as label": (
        {"labelCol": "number"}, DataError, "no whole number >= 0 in .* rows, e.g. -.*StringIndexer",
    ),
    "no feature": ({"featuresCol": ["a", "z"]}, ColumnNotFoundError, "'z'"),
    "label as feature": ({"featuresCol": ["a", "label"]}, ConfigError, "'label' is the target"),
    "twice": (
        {"boosterParams": {"max_depth": 4}}, ConfigError, "max_depth: the Param maxDepth says it",
    ),
    "twice in other words": ({"boosterParams": {"eta": 0.5}}, ConfigError, "two spellings of one"),
    "two rates": (
        {"lrScheduler": {"kind": "constant", "initial_lr": 0.1}}, ConfigError, "in one place",
    ),
    "unknown parameter": ({"boosterParams": {"max_deph": 4}}, BatchTrainingError, "max_deph"),
    "objective of another kind": (
        {"objective": "reg:squarederror"}, ConfigError,
        "one of regression, and BatchXGBoostClassifier needs one of binary or multiclass",
    ),
    "indicator that is a number": (
        {"validationIndicatorCol": "weight"}, DataError, "'weight' is double, need a boolean",
    ),
    "no indicator": ({"validationIndicatorCol": "valid"}, ColumnNotFoundError, "'valid'"),
    "two validations": (
        {"validationIndicatorCol": "validates", "validationFraction": 0.1}, ConfigError,
        "validationFraction: validationIndicatorCol is set too",
    ),
    "bad setting": ({"numBatches": 0}, ConfigError, "num_batches: got 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_name(case, frame):
    params, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        BatchXGBoostClassifier(**SMALL).setParams(**params).fit(frame)


@pytest.mark.parametrize(
    ("stated", "label", "words"),
    [
        (2, "label", "'label' has 2 classes by its metadata, but a label 2.0"),
        (3, "nullif(label, 1)", "target 'label' is null or NaN in"),
    ],
)
def test_labels_that_contradict_their_metadata_are_refused(stated, label, words, frame):
    metadata = {"ml_attr": {"type": "nominal", "num_vals": stated}}
    wrong = frame.withColumn("label", F.expr(label)).withMetadata("label", metadata)
    with pytest.raises(DataError, match=words):
        BatchXGBoostClassifier(**SMALL).fit(wrong)


def test_ranker_needs_queries_and_a_dataframe_is_needed(frame, rows):
    with pytest.raises(ConfigError, match="groupCol: not set"):
        BatchXGBoostRanker(**SMALL).fit(frame)
    with pytest.raises(DataError, match="need a Spark DataFrame"):
        BatchXGBoostClassifier(**SMALL).fit(rows)
    with pytest.raises(NotFittedError, match="this BatchClassificationModel is empty"):
        _ = BatchClassificationModel().model


def test_spelling_of_each_booster_is_known(frame):
    with pytest.raises(ConfigError, match="max_depth=3 and depth=6 are two spellings of one"):
        BatchCatBoostClassifier(**SMALL, boosterParams={"depth": 6}).fit(frame)
