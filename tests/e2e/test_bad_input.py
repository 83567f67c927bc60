# ruff: noqa: E501 - the cases are a table
"""Every bad input has a named error that says what was found, where, and what to do.

All are raised before anything is written, so the staging folder must not exist afterwards.
"""

import numpy as np
import pytest
from pyspark.sql import functions as F

from batchtrainingbooster import (
    BatchTrainingError,
    CatBoostTrainer,
    LightGBMTrainer,
    XGBoostTrainer,
)
from batchtrainingbooster.errors import (
    ColumnNotFoundError,
    ConfigError,
    DataError,
    NotFittedError,
)

N = 60


@pytest.fixture(scope="module")
def frame(spark):
    rng = np.random.default_rng(0)
    rows = [
        (float(a), int(b), "pq"[b % 2], float(w), f"class {b % 3}", float(a + b))
        for a, b, w in zip(rng.standard_normal(N), range(N), rng.random(N) + 0.1, strict=True)
    ]
    schema = "a double, b int, c string, w double, y string, z double"
    return spark.createDataFrame(rows, schema).cache()


def at_first_row(column, value):
    """The column with another value where b is 0."""
    return F.when(F.col("b") == 0, value).otherwise(F.col(column))


def infinite(name):
    return lambda f: f.withColumn(name, at_first_row(name, F.lit(float("inf"))))


# name -> (change the training frame, change the validation frame or None for none, arguments, error,
# message)
CASES = {
    "missing target": (None, None, {"target_column": "yy"}, ColumnNotFoundError,
        "train_dataframe: column not found: 'yy'"),
    "missing feature": (None, None, {"feature_columns": ["a", "wieght"]}, ColumnNotFoundError,
        "train_dataframe: column not found: 'wieght'"),
    "missing weight": (None, None, {"weight_column": "W"}, ColumnNotFoundError,
        r"not found: 'W' \(did you mean 'w'\?\)"),
    "null labels": (lambda f: f.withColumn("y", F.when(F.col("b") > 4, F.col("y"))), None, {},
        DataError, "target 'y' is null or NaN in 5 of 60 rows"),
    "NaN labels": (lambda f: f.withColumn("y", at_first_row("z", F.lit(float("nan")))), None, {},
        DataError, "target 'y' is null or NaN in 1 of 60 rows"),
    "null validation labels": (None, lambda f: f.withColumn("y", at_first_row("y", F.lit(None))), {},
        DataError, "valid_dataframe: target 'y' is null or NaN in 1 of 60 rows"),
    "single class": (lambda f: f.where("y = 'class 1'"), None, {}, DataError,
        "target 'y' has the single class 'class 1'"),
    "class in validation alone": (lambda f: f.where("y <> 'class 2'"), lambda f: f, {}, DataError,
        "classes that train_dataframe has not: 'class 2'"),
    "infinite feature": (infinite("a"), None, {}, DataError,
        r"infinite values \(in float32\) in 'a' \(1 rows\)"),
    "infinite in float32 alone": (lambda f: f.withColumn("a", at_first_row("a", F.lit(1e300))), None,
        {}, DataError, r"infinite values \(in float32\) in 'a' \(1 rows\)"),
    "infinite validation feature": (None, infinite("a"), {}, DataError,
        "valid_dataframe: infinite values"),
    "infinite target": (lambda f: f.withColumn("y", at_first_row("z", F.lit(float("-inf")))), None,
        {}, DataError, "target 'y' holds infinite values"),
    "infinite in an array": (
        lambda f: f.withColumn("a", F.array(F.lit(1.0), at_first_row("a", F.lit(float("inf"))))),
        None, {}, DataError, r"infinite values \(in float32\) in 'a' \(1 rows\)"),
    "date feature": (lambda f: f.withColumn("d", F.current_date()), None, {}, DataError,
        "cannot be used as features: 'd' is date"),
    "map and struct features": (
        lambda f: f.withColumns({"m": F.create_map("c", "a"), "s": F.struct("a")}), None, {},
        DataError, r"'m' is map<string,double>; 's' is struct<a:double>"),
    "date target": (lambda f: f.withColumn("y", F.current_date()), None, {}, DataError,
        "target 'y' is date; it must be a string, boolean or number"),
    "categorical fraction": (None, None, {"categorical_columns": ["a"]}, DataError, "'a' is double"),
    "string weight": (None, None, {"weight_column": "c"}, DataError,
        "weight_column 'c' is string; it must be a number"),
    "negative weight": (lambda f: f.withColumn("w", at_first_row("w", F.lit(-1.0))), None,
        {"weight_column": "w"}, DataError, "'w' is negative, infinite or null in 1 rows"),
    "null weight": (lambda f: f.withColumn("w", at_first_row("w", F.lit(None))), None,
        {"weight_column": "w"}, DataError, "'w' is negative, infinite or null in 1 rows"),
    "no weight at all": (lambda f: f.withColumn("w", F.lit(0.0)), None, {"weight_column": "w"},
        DataError, "'w' is 0 in every row"),
    "large integer": (lambda f: f.withColumn("i", F.lit(2**53 + 1)), None, {}, DataError,
        r"float32 cannot hold exactly in 'i' \(60 rows\).*allow_precision_loss=True"),
    "largest integer": (lambda f: f.withColumn("i", at_first_row("b", F.lit(2**63 - 1)).cast("long")),
        None, {}, DataError, r"'i' \(1 rows\)"),
    "arrays of two lengths": (lambda f: f.withColumn("v", F.array_repeat("a", F.col("b") % 2 + 1)),
        None, {}, DataError, "'v' holds arrays of 1 to 2 numbers"),
    "empty training frame": (lambda f: f.where("false"), None, {}, DataError,
        "train_dataframe: the DataFrame has no rows"),
    "empty regression frame": (lambda f: f.where("false"), None, {"target_column": "z"}, DataError,
        "train_dataframe: the DataFrame has no rows"),
    "empty validation frame": (None, lambda f: f.where("false"), {}, DataError,
        "valid_dataframe: the DataFrame has no rows"),
    "no features": (lambda f: f.select("y"), None, {}, DataError, "no feature columns beside"),
    "validation without a column": (None, lambda f: f.drop("a"), {}, ColumnNotFoundError,
        "valid_dataframe: column not found: 'a'"),
    "validation of another type": (None, lambda f: f.withColumn("a", F.col("a").cast("string")), {},
        DataError, "valid_dataframe: columns differ from train_dataframe: 'a' is string, in training"),
    "two columns of one name": (lambda f: f.select("*", F.col("a")), None, {}, DataError,
        "2 columns are called 'a'"),
    "array that spreads onto a column": (
        lambda f: f.withColumns({"v": F.array("a", "z"), "v_1": F.col("a")}), None, {}, DataError,
        "two feature columns would be called 'v_1'"),
    "more batches than rows": (None, None, {"num_batches": 61}, ConfigError,
        "num_batches: got 61, but there are 60 rows"),
    "no batches": (None, None, {"num_batches": 0}, ConfigError, "num_batches: got 0, need a number"),
    "negative patience": (None, None, {"max_patience": -1}, ConfigError, "max_patience: got -1"),
    "no epochs": (None, None, {"num_epochs": 0}, ConfigError, "num_epochs: got 0"),
    "no rounds": (None, None, {"model": {"n_estimators": 0}}, ConfigError, "n_estimators: got 0"),
    "negative learning rate": (None, None, {"lr": {"initial_lr": -0.1, "decay_rate": 0.9}},
        ConfigError, "initial_lr: got -0.1, need a number > 0"),
    "unknown training key": (None, None, {"max_patiance": 3}, ConfigError,
        r"max_patiance: unknown key \(did you mean 'max_patience'\?\)"),
    "unknown model key": (None, None, {"model": {"max_dept": 3}}, ConfigError,
        r"max_dept: unknown key.* \(did you mean 'max_depth'\?\)"),
    "unknown schedule key": (None, None, {"lr": {"initial_lr": 0.1, "decay": 0.9}}, ConfigError,
        r"decay: unknown key \(did you mean 'decay_rate'\?\)"),
    "two learning rates": (None, None,
        {"model": {"eta": 0.2}, "lr": {"initial_lr": 0.1, "decay_rate": 0.9}}, ConfigError,
        "learning_rate=0.2 and config_lr_scheduler has initial_lr=0.1"),
    "regression objective for classes": (None, None, {"model": {"objective": "regression"}},
        DataError, "target 'y' is no number"),
    "binary objective for three classes": (None, None, {"model": {"objective": "binary"}},
        ConfigError, "it is for two classes, but 'y' has 3"),
    "binary objective for a number": (None, None,
        {"model": {"objective": "binary"}, "target_column": "z"}, ConfigError,
        "it is for two classes, but 'z' has 60"),
    "unknown objective": (None, None, {"model": {"objective": "binary:logstic"}, "target_column": "c"},
        ConfigError, "Unknown objective function: `binary:logstic`|'binary:logstic' is not supported"),
    "metric of unknown direction": (None, None, {"model": {"eval_metric": "accuracy"}}, ConfigError,
        "'accuracy' is no metric whose direction is known"),
    "weights of unknown label": (None, None, {"class_weight": {"class 9": 2.0}}, ConfigError,
        "class_weight: 'class 9' is no label of the target"),
    "class weights for regression": (None, None,
        {"target_column": "z", "class_weight": {"a": 1.0}}, ConfigError, "has no classes"),
    "budget too small": (None, None, {"memory_budget": "100MB"}, ConfigError,
        "memory_budget: 100,000,000 bytes do not hold"),
    "two validation sets": (None, lambda f: f, {"validation_fraction": 0.2}, ConfigError,
        "validation_fraction: valid_dataframe is given too"),
    "early stopping without validation": (None, None, {"model": {"early_stopping_rounds": 3}},
        ConfigError, "early_stopping_rounds: needs validation rows"),
    "classes weighed twice": (lambda f: f.where("y <> 'class 2'"), None,
        {"model": {"scale_pos_weight": 3}}, ConfigError, "scale_pos_weight: classes would be weighed twice"),
    "target among the features": (None, None, {"feature_columns": ["a", "y"]}, ConfigError,
        "feature_columns: 'y' is the target"),
    "objective of ranking without queries": (None, None, {"model": {"objective": "ranking"}, "target_column": "b"},
        ConfigError, "group_column: needed by objective '(rank:ndcg|YetiRank|lambdarank)'"),
    "queries for another objective": (None, None,
        {"model": {"objective": "regression"}, "target_column": "b", "group_column": "c"}, ConfigError,
        "group_column: objective '(reg:squarederror|RMSE|regression)' is one of regression"),
    "queries with row weights": (None, None,
        {"target_column": "b", "group_column": "c", "weight_column": "w"}, ConfigError,
        "weight_column: not supported together with group_column"),
    "queries with class weights": (None, None,
        {"target_column": "b", "group_column": "c", "class_weight": {1: 2.0}}, ConfigError,
        "class_weight: a target of ranking has no classes"),
    "null queries": (lambda f: f.withColumn("c", at_first_row("c", F.lit(None))), None,
        {"target_column": "b", "group_column": "c"}, DataError,
        "train_dataframe: group_column 'c' is null in 1 rows"),
    "null validation queries": (None, lambda f: f.withColumn("c", at_first_row("c", F.lit(None))),
        {"target_column": "b", "group_column": "c"}, DataError,
        "valid_dataframe: group_column 'c' is null in 1 rows"),
    "negative grades": (lambda f: f.withColumn("b", F.col("b") - 1), None,
        {"target_column": "b", "group_column": "c"}, DataError, "target 'b': .* grades must be >= 0"),
    "more batches than queries": (None, None,
        {"target_column": "b", "group_column": "c", "num_batches": 3}, ConfigError,
        "num_batches: got 3, but the queries make 2 parts"),
    "single query to hold out of": (lambda f: f.withColumn("c", F.lit("p")), None,
        {"target_column": "b", "group_column": "c", "validation_fraction": 0.2}, ConfigError,
        "validation_fraction: there is a single query"),
    "no such earlier model": (None, None, {"init_model": "nowhere"}, BatchTrainingError,
        "nowhere is no saved model"),
}  # fmt: skip


OBJECTIVES = {
    XGBoostTrainer: {
        "binary": "binary:logistic",
        "regression": "reg:squarederror",
        "ranking": "rank:ndcg",
    },
    CatBoostTrainer: {"binary": "Logloss", "regression": "RMSE", "ranking": "YetiRank"},
    LightGBMTrainer: {"binary": "binary", "regression": "regression", "ranking": "lambdarank"},
}


@pytest.mark.parametrize("trainer_class", OBJECTIVES)
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_by_name(name, trainer_class, frame, tmp_path):
    change_train, change_valid, arguments, error, message = CASES[name]
    arguments = dict(arguments)
    train = change_train(frame) if change_train else frame
    valid = change_valid(frame) if change_valid else None
    target = arguments.pop("target_column", "y")
    model, schedule = arguments.pop("model", {}), arguments.pop("lr", None)
    config = {"num_batches": 2, "staging_dir": str(tmp_path / "staged"), **arguments}
    if "memory_budget" in config:
        del config["num_batches"]
    if "objective" in model:
        objective = model["objective"]
        model = {**model, "objective": OBJECTIVES[trainer_class].get(objective, objective)}
    trainer = trainer_class()
    with pytest.raises(error, match=message) as caught:
        trainer.fit(train, valid, target, {"n_estimators": 2, **model}, config, schedule)
    assert isinstance(caught.value, BatchTrainingError)
    assert not (tmp_path / "staged").exists()
    with pytest.raises(NotFittedError):
        trainer.model  # noqa: B018


def test_precision_loss_can_be_accepted(frame):
    wide = frame.withColumn("i", F.lit(2**53 + 1))
    config = {"num_batches": 1, "allow_precision_loss": True}
    model = XGBoostTrainer().fit(wide, None, "y", {"n_estimators": 1}, config)
    assert "i" in model.info.schema.column_names


def test_nothing_stays_cached_in_the_callers_session(frame, spark):
    persistent = spark.sparkContext._jsc.getPersistentRDDs
    before = set(persistent())
    XGBoostTrainer().fit(frame, frame, "z", {"n_estimators": 1}, {"num_batches": 2})
    bad = frame.withColumn("z", F.lit(float("nan")))
    with pytest.raises(DataError):
        XGBoostTrainer().fit(bad, None, "z", {"n_estimators": 1}, {"num_batches": 2})
    assert set(persistent()) == before
