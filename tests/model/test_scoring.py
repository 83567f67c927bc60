"""Scoring with Spark: many partitions, streams, SQL, and how often a model is loaded."""

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.ml.linalg import DenseVector, SparseVector, VectorUDT
from pyspark.sql import functions as F

from batchtrainingbooster import CatBoostTrainer, LightGBMTrainer, XGBoostTrainer
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.model import scoring

# Executors do not import tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

N = 600


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(N)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(N) < 0.1, np.nan, x),
            "k": pd.array(np.where(rng.random(N) < 0.1, None, rng.integers(0, 5, N)), "Int64"),
            "flag": rng.random(N) < 0.5,
            "c": rng.choice(["a", "b", None], N),
            "label": np.where(x + 0.3 * rng.standard_normal(N) > 0, "yes", "no"),
            "number": x * 2,
        }
    )


@pytest.fixture(scope="module")
def frame(spark, table):
    return spark.createDataFrame(table).cache()


FEATURES = ["x", "k", "flag", "c"]


def fit(trainer, frame, target="label"):
    training = {"num_batches": 2, "feature_columns": FEATURES, "categorical_columns": ["k"]}
    rounds = {"iterations": 5} if trainer is CatBoostTrainer else {"n_estimators": 5}
    return trainer().fit(frame, None, target, rounds, {**training, "verbosity": 0})


@pytest.fixture(scope="module")
def model(frame):
    return fit(XGBoostTrainer, frame)


@pytest.mark.parametrize("trainer", [XGBoostTrainer, CatBoostTrainer, LightGBMTrainer])
def test_sql_says_what_predict_says(trainer, spark, frame, table):
    model, values = fit(trainer, frame), fit(trainer, frame, "number")
    model.register(spark, "score")
    model.register(spark, "chances", output="probability")
    values.register(spark, "worth")
    frame.createOrReplaceTempView("rows")
    found = spark.sql(
        "SELECT score(x, k, flag, c) AS by_place, score(struct(*)) AS by_name, "
        "chances(struct(c, flag, x, k)) AS chances, worth(struct(*)) AS worth FROM rows"
    ).toPandas()
    assert (found["by_place"] == model.predict(table)).all()
    assert (found["by_name"] == model.predict(table)).all()
    np.testing.assert_array_equal(np.stack(found["chances"]), model.predict_proba(table))
    np.testing.assert_array_equal(found["worth"], values.predict(table))


def test_sql_takes_vectors_and_arrays(spark, frame):
    sparse = F.udf(lambda x, n: SparseVector(3, [0, 2], [x or 0.0, n]), VectorUDT())
    dense = F.udf(lambda x, n: DenseVector([n, x or 0.0]), VectorUDT())
    rows = frame.select(
        "label", sparse("x", "number").alias("s"), dense("x", "number").alias("d"),
        F.array("number", "x").alias("a"),
    ).cache()  # fmt: skip
    model = XGBoostTrainer().fit(
        rows, None, "label", {"n_estimators": 5}, {"num_batches": 2, "verbosity": 0}
    )
    model.register(spark, "score")
    rows.createOrReplaceTempView("vectors")
    found = spark.sql(
        "SELECT score(s, d, a) AS by_place, score(struct(*)) AS by_name FROM vectors"
    ).toPandas()
    wanted = model.predict(rows)
    assert (found["by_place"] == wanted).all()
    assert (found["by_name"] == wanted).all()


def test_arrays_that_are_all_null_are_missing_everywhere(spark):
    rows = spark.range(60).selectExpr(
        "id % 4 AS label", "IF(id < 10, NULL, array(id % 4 + 0.5D, id % 3 + 0.5D)) AS a"
    )
    model = XGBoostTrainer().fit(rows, None, "label", {"n_estimators": 3}, {"num_batches": 1})
    model.register(spark, "score")
    nulls = rows.where("id < 3").select("a")
    wanted = [row["prediction"] for row in model.transform(nulls).collect()]
    assert len(wanted) == 3
    assert model.predict(nulls.toPandas()).tolist() == wanted
    for call in ("score(a)", "score(struct(*))"):
        assert [row[0] for row in nulls.selectExpr(call).collect()] == wanted


def test_sql_with_other_columns_says_what_is_needed(spark, frame, model):
    model.register(spark, "score")
    frame.createOrReplaceTempView("rows")
    with pytest.raises(PySparkException, match=r"takes 4 columns, in this order: x, k, flag, c"):
        spark.sql("SELECT score(x) FROM rows").collect()
    with pytest.raises(PySparkException, match=r"scoring a struct: column not found: 'x'"):
        spark.sql("SELECT score(struct(k, c)) FROM rows").collect()


def test_outputs_that_there_are_not_are_refused(spark, frame, model):
    with pytest.raises(ConfigError, match="output: got 'label', need one of"):
        model.register(spark, "score", output="label")
    with pytest.raises(ConfigError, match="'number' has no classes"):
        fit(XGBoostTrainer, frame, "number").register(spark, "score", output="probability")


def test_a_stream_is_scored_as_the_rows_it_brings(spark, frame, table, model, tmp_path):
    frame.repartition(3).write.parquet(str(tmp_path / "rows"))
    rows = spark.readStream.schema(frame.schema).parquet(str(tmp_path / "rows"))
    assert rows.isStreaming
    query = (
        model.transform(rows)
        .writeStream.format("memory")
        .queryName("scored")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    columns = [*FEATURES, "label", "prediction"]
    found, wanted = (
        f.select(columns).toPandas().astype(str).sort_values(columns).to_numpy()
        for f in (spark.table("scored"), model.transform(frame))
    )
    assert (found == wanted).all()


@pytest.mark.slow
def test_partitions_may_be_many_and_empty(spark, model, table):
    """Most of these have no rows; the others have unseen and missing values."""
    rows = spark.range(0, 120, 1, 120).where("id % 3 = 0")
    rows = rows.selectExpr(
        "id / 10.0 AS x", "IF(id % 2 = 0, NULL, id) AS k", "id % 2 = 0 AS flag",
        "IF(id % 4 = 0, 'never seen', 'a') AS c",
    )  # fmt: skip
    assert rows.rdd.getNumPartitions() == 120
    found = model.transform(rows).toPandas()
    assert len(found) == 40
    wanted = rows.toPandas()
    wanted.loc[wanted["c"] == "never seen", "c"] = None
    wanted.loc[~wanted["k"].isin(range(5)), "k"] = None
    assert (found["prediction"] == model.predict(wanted)).all()


def test_trees_go_to_the_executors_once_a_session_and_are_loaded_once_a_process(
    spark, frame, model
):
    model.transform(frame)
    sent = model.shipped
    model.transform(frame).select("prediction").collect()
    assert model.shipped is sent
    scorer = scoring.shipped(model, spark)
    loads = (
        spark.range(0, 20, 1, 20).mapInArrow(Loads(scorer), "process long, loaded long").toPandas()
    )
    # As often as there were processes, and not as there were tasks.
    assert len(loads) == 20
    assert loads.groupby("process")["loaded"].nunique().eq(1).all()


class Loads:
    """Which process a task ran in, and which object has its predictor."""

    def __init__(self, model):
        self.model = model

    def __call__(self, batches):
        import os

        for _ in batches:
            pass
        predictor = scoring._predictor(self.model.info.backend, self.model.trees)
        yield pa.RecordBatch.from_pydict({"process": [os.getpid()], "loaded": [id(predictor)]})


def test_a_model_that_was_sent_is_saved_and_loaded_as_before(frame, model, tmp_path):
    import pickle

    model.transform(frame)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert again.shipped is None
    got = again.transform(frame).agg(F.count("prediction")).collect()
    assert got[0][0] == N
