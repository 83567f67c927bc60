"""Whatever a DataFrame holds, ``fit`` gives a right model or an error of ours that names it."""

import os
import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from batchtrainingbooster import BoostedModel, CatBoostTrainer, LightGBMTrainer, XGBoostTrainer
from batchtrainingbooster.errors import BatchTrainingError, ConfigError, DataError, StagingError
from batchtrainingbooster.model.scoring import _refuse_taken_names

N = 120
TRAINERS = [XGBoostTrainer, CatBoostTrainer, LightGBMTrainer]
# Enough for every booster to learn a few rows by heart.
MODELS = {
    XGBoostTrainer: {"n_estimators": 20, "eta": 1.0, "min_child_weight": 0, "lambda": 0},
    CatBoostTrainer: {"n_estimators": 30, "learning_rate": 0.5, "depth": 4, "one_hot_max_size": 99},
    LightGBMTrainer: {"n_estimators": 20, "learning_rate": 0.5, "min_data_in_leaf": 1,
                      "min_data_per_group": 1, "cat_smooth": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def frame(spark):
    rows = [(i, float(i % 7), "pq"[i % 2], f"class {i % 2}", i / 7) for i in range(N)]
    schema = "i int, a double, c string, y string, z double"
    return spark.createDataFrame(rows, schema).coalesce(1).cache()


def fit(frame, target="y", valid=None, trainer=XGBoostTrainer, model=None, **training):
    return trainer().fit(
        frame, valid, target, {"n_estimators": 2, **(model or {})}, {"num_batches": 2, **training}
    )


# Without those that transform() adds.
NAMES = [
    "a.b", "c d", "`", "`q`", "[x]", "<", ">", '"', "'", "\\", "é", "😀", "a\tb", "a\nb", "a,b:{c}",
    "a", "A", "a_b", "a b", "label", "row_hash", "group_hash", "batch", "stratum", "weight", "cell",
    "f0", "c0", "p0", "k0", "numeric", "features", "place", "category", "feature", "faults", "%s",
]  # fmt: skip


@pytest.mark.parametrize("trainer", TRAINERS)
def test_columns_may_be_called_anything(spark, tmp_path, trainer):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((N, len(NAMES))), columns=NAMES)
    table[""] = np.where(table["A"] > 0.5, "u", "v")
    table["w.`eight"] = 1.0
    frame = spark.createDataFrame(table.to_numpy().tolist(), [*map(str, range(len(NAMES) + 2))])
    kinds = {str(i): F.col(str(i)).cast("double") for i in range(len(NAMES))}
    frame = frame.withColumns({**kinds, str(len(NAMES) + 1): F.lit(1.0)}).toDF(*table.columns)
    model = fit(frame, "", trainer=trainer, model=MODELS[trainer], weight_column="w.`eight")
    assert list(model.info.schema.column_names) == NAMES
    importance = model.feature_importance()
    assert set(importance) == set(NAMES)
    assert importance["A"] > 0
    predicted = model.predict(table)
    assert (predicted == table[""]).mean() > 0.95
    backwards = table.iloc[:, ::-1]
    np.testing.assert_array_equal(model.predict(backwards), predicted)
    scored = model.transform(frame)
    assert scored.columns[:-3] == [*NAMES, "", "w.`eight"]
    np.testing.assert_array_equal([row[-1] for row in scored.collect()], predicted)
    np.testing.assert_array_equal(model.predict(frame), predicted)
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(table))
    model.save(tmp_path / "m")
    again = BoostedModel.load(tmp_path / "m")
    np.testing.assert_array_equal(again.margins(table), model.margins(table))


def test_columns_called_as_outputs_are_features_but_cannot_be_kept(frame):
    names = ["prediction", "Probability", "rawPrediction", "c"]
    named = frame.select("i", "a", "z", "c", "y").toDF(*names, "y")
    model = fit(named)
    np.testing.assert_array_equal(model.predict(named), model.predict(named.toPandas()))
    assert model.feature_importance().keys() == set(names)
    for kept in (names, names[1:], names[2:]):
        others = {name: f"other {name}" for name in names if name not in kept}
        frame_of_some = named.withColumnsRenamed(others)
        with pytest.raises(DataError, match=f"has a column '{kept[0]}' already; drop or rename it"):
            _refuse_taken_names(frame_of_some, ["rawPrediction", "probability", "prediction"])
    with pytest.raises(DataError, match="has a column 'prediction' already"):
        model.transform(named)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("bigint", [2**62 + k for k in range(4)]),
        ("bigint", [-(2**63), 2**63 - 1]),
        (
            "string",
            ["", "null", "None", "NaN", "-1", "0", "😀", "👩\u200d👩\u200d👧", "y" * 50_000],
        ),
        ("string", ["yes", "Yes", "yes ", " yes", "yes\t", "yes\0", "ÿes", "y\u0308es"]),
        ("boolean", [True, False]),
        ("decimal(12,2)", [Decimal(-1), Decimal(2), Decimal(2**31)]),
        ("double", [1e300, -1e300, 1.0]),
    ],
)
def test_labels_come_back_exactly(spark, tmp_path, kind, labels):
    rows = [(float(i % len(labels)), labels[i % len(labels)]) for i in range(10 * len(labels))]
    frame = spark.createDataFrame(rows, f"a double, y {kind}").coalesce(1)
    model = fit(frame, model=MODELS[XGBoostTrainer], num_batches=1)
    assert len(model.classes) == len(labels)
    expected = [label for _, label in rows]
    table = pd.DataFrame({"a": [a for a, _ in rows]})
    assert model.predict(table).tolist() == expected
    assert model.predict(frame).tolist() == expected
    assert [row.prediction for row in model.transform(frame).collect()] == expected
    model.save(tmp_path / "m")
    assert BoostedModel.load(tmp_path / "m").predict(table).tolist() == expected


CATEGORIES = ["", " ", "null", "NaN", "-1", "😀", "😀 ", "ß", "SS", "x" * 100_000, None]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_categories_may_be_any_text(spark, trainer):
    rows = [(CATEGORIES[i % 11], f"class {i % 11 % 3}") for i in range(22 * 11)]
    frame = spark.createDataFrame(rows, "c string, y string").coalesce(1)
    model = fit(frame, trainer=trainer, model=MODELS[trainer], num_batches=1)
    assert set(model.info.schema.features[0].categories) == set(CATEGORIES) - {None}
    predicted = model.predict(pd.DataFrame({"c": CATEGORIES}))
    assert predicted.tolist() == [f"class {i % 3}" for i in range(11)]
    np.testing.assert_array_equal(model.predict(frame), np.array([y for _, y in rows], object))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_columns_without_information_do_no_harm(frame, trainer):
    empty = {
        "constant": F.lit(3.5), "one word": F.lit("x"), "no number": F.lit(None).cast("double"),
        "no text": F.lit(None).cast("string"), "nan": F.lit(float("nan")), "flag": F.lit(True),
    }  # fmt: skip
    plain = fit(frame.select("a", "c", "y"), trainer=trainer, model=MODELS[trainer])
    model = fit(
        frame.select("a", "c", "y").withColumns(empty), trainer=trainer, model=MODELS[trainer]
    )
    table = frame.toPandas().assign(
        **{"constant": 3.5, "one word": "x", "no number": None, "no text": None}, nan=np.nan, flag=1
    )
    assert (model.predict(table) == table["y"]).all()
    assert (plain.predict(table) == table["y"]).all()
    alone = fit(frame.select("y").withColumns(empty), trainer=trainer)
    assert len(set(alone.predict(table))) == 1


# What is done to the frame, more arguments, error, message.
REFUSED = {
    "date target": (lambda f: f.withColumn("y", F.current_date()), {}, DataError,
        "target 'y' is date; it must be"),
    "timestamp target": (lambda f: f.withColumn("y", F.current_timestamp()), {}, DataError,
        "target 'y' is timestamp; it must be"),
    "target without a type": (lambda f: f.withColumn("y", F.lit(None)), {}, DataError,
        "target 'y' is void; it must be"),
    "feature without a type": (lambda f: f.withColumn("v", F.lit(None)), {}, DataError,
        "'v' is void"),
    "weight without a type": (lambda f: f.withColumn("v", F.lit(None)), {"weight_column": "v"},
        DataError, "'v' is void; it must be a number"),
    "binary feature": (lambda f: f.withColumn("v", F.lit(b"v")), {}, DataError, "'v' is binary"),
    "arrays that are all null": (lambda f: f.withColumn("v", F.lit(None).cast("array<double>")), {},
        DataError, "'v' holds arrays of 0 to 0 numbers; need one length > 0"),
    "arrays of large integers": (lambda f: f.withColumn("v", F.array(F.lit(2**53 + 1), "i")), {},
        DataError, r"float32 cannot hold exactly in 'v' \(120 rows\)"),
    "number that float32 cannot hold": (lambda f: f.withColumn("z", 1e300 * F.col("z")),
        {"target": "z"}, DataError, "target 'z' holds values that are infinite in float32"),
    "grade that float32 cannot hold": (lambda f: f.withColumn("z", 1e300 * F.col("z")),
        {"target": "z", "group_column": "c"}, DataError, "'z' holds values that are infinite in"),
    "weight that float32 cannot hold": (lambda f: f.withColumn("v", F.lit(1e300)),
        {"weight_column": "v"}, DataError, "'v' is negative, infinite or null in 120 rows"),
    "weights that are 0 in float32": (lambda f: f.withColumn("v", F.lit(1e-300)),
        {"weight_column": "v"}, DataError, "'v' is 0 in every row"),
    "decimals that a double cannot tell apart": (
        lambda f: f.withColumn("y", F.col("i").cast("decimal(38,0)") % 2 + 2**60), {}, DataError,
        r"'y' is decimal\(20,0\) and holds classes of more digits than a double"),
    "integer categories as fractions": (lambda f: f, {"categorical_columns": ["i"],
        "valid": lambda f: f.withColumn("i", F.col("i") + 0.5)}, DataError,
        "valid_dataframe: columns differ .* 'i' is double, in training int"),
    "no rows after a filter": (lambda f: f.where("i > 999"), {}, DataError, "has no rows"),
    "one row": (lambda f: f.where("i = 0"), {"num_batches": 1}, DataError,
        "the single class 'class 0'"),
    "fewer rows than batches": (lambda f: f.where("i < 3"), {"num_batches": 4}, ConfigError,
        "num_batches: got 4, but there are 3 rows"),
    "pandas": (lambda f: f.toPandas(), {}, DataError,
        "train_dataframe: got pandas.*DataFrame, need a Spark DataFrame"),
    "nothing": (lambda f: None, {}, DataError, "train_dataframe: got NoneType, need"),
    "pandas for validation": (lambda f: f, {"valid": lambda f: f.toPandas()}, DataError,
        "valid_dataframe: got pandas.*DataFrame, need a Spark DataFrame"),
    "target that is a column": (lambda f: f, {"target": F.col}, ConfigError,
        "target_column: got .*, need the name of a column"),
    "targets": (lambda f: f, {"target": ["y"]}, ConfigError, r"target_column: got \['y'\], need"),
    "stream": (lambda f: f.sparkSession.readStream.format("rate").load(), {"target": "value"},
        DataError, "train_dataframe is a stream"),
    "function that raises": (
        lambda f: f.withColumn("a", F.udf(lambda a: 1 / (a - 3), "double")("a")), {}, DataError,
        r"profiling train_dataframe: Spark failed: ZeroDivisionError: .*hostile_input.py, line "),
    "function of the validation rows": (lambda f: f,
        {"valid": lambda f: f.withColumn("a", F.udf(lambda a: {}[a], "double")("a"))}, DataError,
        "profiling valid_dataframe: Spark failed: KeyError: 0.0"),
    "query that raises": (lambda f: f.withColumn("a", F.expr("raise_error('not today')")
        .cast("double")), {}, BatchTrainingError,
        "profiling train_dataframe: Spark failed: .*not today"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_on_is_named(frame, name):
    change, arguments, error, message = REFUSED[name]
    arguments = dict(arguments)
    if "valid" in arguments:
        arguments["valid"] = arguments["valid"](frame)
    with pytest.raises(error, match=message) as caught:
        fit(change(frame), **arguments)
    assert isinstance(caught.value, BatchTrainingError)
    assert "\tat " not in str(caught.value)


def test_few_rows_are_enough(frame):
    one_each = fit(frame.where("i < 2"), num_batches=2)
    assert set(one_each.predict(frame.toPandas())) <= {"class 0", "class 1"}
    single = fit(frame.where("i = 3"), "z", num_batches=1)
    assert single.predict(frame.toPandas()[:2]).tolist() == [float(np.float32(3 / 7))] * 2


def test_columns_drawn_at_random_are_staged_once(frame):
    drawn = frame.repartition(3).withColumns(
        {
            "r": F.rand(),
            "u": F.expr("uuid()"),
            "n": F.monotonically_increasing_id() % 2**20,
            "y": F.rand() > 0.5,
        }
    )
    model = fit(drawn, num_batches=3, validation_fraction=0.2)
    features = {feature.name: feature for feature in model.info.schema.features}
    assert len(features["u"].categories) == N
    assert model.classes == (False, True)


def test_a_function_that_gives_other_rows_each_time_is_found_out(frame):
    for column, function in {
        "a": F.udf(lambda _: os.urandom(1)[0] / 256, "double"),
        "y": F.udf(lambda _: "uvw"[os.urandom(1)[0] % 3], "string"),
    }.items():
        drawn = frame.withColumn(column, function.asNondeterministic()("i"))
        with pytest.raises(StagingError, match="the DataFrame gives other rows each time"):
            fit(drawn)


def test_a_feature_that_is_the_target_is_warned_of(frame, caplog):
    said = "Feature '{}' says what target '{}' is in each of 120 rows that were looked at"
    words = frame.withColumn("copy", F.concat(F.lit("is "), "y")).drop("c", "z")
    fit(words, num_batches=1)
    assert said.format("copy", "y") in caplog.text
    assert caplog.text.count(" says what target ") == 1
    caplog.clear()
    numbers = frame.drop("y").withColumns(
        {"copy": F.col("z").cast("float"), "other": 2 * F.col("z")}
    )
    fit(numbers, "z", num_batches=2)
    assert said.format("copy", "z") in caplog.text
    assert caplog.text.count(" says what target ") == 1
    caplog.clear()
    grades = frame.select("c", "a", F.col("a").alias("copy"), "i")
    fit(grades, "a", group_column="c", num_batches=1)
    assert said.format("copy", "a") in caplog.text
    caplog.clear()
    fit(frame.drop("c"), num_batches=2)
    assert " says what target " not in caplog.text


def test_scoring_names_what_it_cannot_read(frame):
    model = fit(frame)
    broken = frame.withColumn("a", F.udf(lambda a: 1 / (a - 3), "double")("a"))
    for score in (model.predict, model.predict_proba):
        with pytest.raises(DataError, match="scoring: Spark failed: ZeroDivisionError"):
            score(broken)
        with pytest.raises(DataError, match="transform: 2 columns are called 'a'"):
            score(frame.select("*", "a"))
        with pytest.raises(DataError, match=r"'c' is list<.*, but its categories are"):
            score(frame.withColumn("c", F.array("c")))
    with pytest.raises(DataError, match="transform: 2 columns are called 'a'"):
        model.transform(frame.select("*", "a"))
    interval = frame.withColumn("span", F.expr("INTERVAL '1' YEAR"))
    with pytest.raises(DataError, match=r"hands no such column to Python.*'span' is interval year"):
        model.transform(interval)


@pytest.mark.slow
def test_five_thousand_columns(spark, tmp_path):
    rng, n = np.random.default_rng(0), 5_000
    table = pd.DataFrame(rng.random((400, n), np.float32)).add_prefix("n")
    table = table.assign(y=np.where(table["n4321"] < 0.5, "low", "high"))
    table.to_parquet(tmp_path / "wide.parquet")
    model = fit(
        spark.read.parquet(str(tmp_path / "wide.parquet")),
        model={"n_estimators": 5},
        validation_fraction=0.2,
    )
    assert len(model.info.schema.features) == n
    assert next(iter(model.feature_importance())) == "n4321"
    assert (model.predict(table) == table["y"]).mean() > 0.95


@pytest.mark.slow
def test_two_hundred_thousand_categories(spark):
    n = 200_000
    frame = spark.range(2 * n).selectExpr(
        f"concat('category ', id % {n}) AS c", "double(id % 17) AS a",
        "CASE WHEN id % 17 < 8 THEN 'low' ELSE 'high' END AS y",
    )  # fmt: skip
    start = time.perf_counter()
    model = fit(frame)
    assert len(model.info.schema.features[0].categories) == n
    assert model.transform(frame).where("prediction = y").count() > 1.9 * n
    assert time.perf_counter() - start < 60
