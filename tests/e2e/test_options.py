"""What the settings do, seen in the model and its history."""

import logging
import math

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from batchtrainingbooster import BoostedModel, TrainingConfig, XGBoostTrainer
from batchtrainingbooster.core.batching import OVERHEAD_BYTES
from batchtrainingbooster.errors import ConfigError, DataError

N = 2_000


@pytest.fixture(scope="module")
def table():
    """Binary and three-class targets, and a number, with noise; 90 % of the rows are "no"."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 4))
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * rng.standard_normal(N)
    return pd.DataFrame(
        {
            **{f"x{i}": x[:, i] for i in range(4)},
            "color": rng.choice(["red", "green", "blue"], N),
            "binary": np.where(score > np.quantile(score, 0.9), "yes", "no"),
            "three": np.digitize(score, [-1, 1]),
            "number": np.exp(score),
            "weight": rng.random(N),
        }
    )


@pytest.fixture(scope="module")
def frame(spark, table):
    return spark.createDataFrame(table).cache()


FEATURES = ["x0", "x1", "x2", "x3", "color"]


def fit(frame, target="binary", model=None, schedule=None, valid=None, **training):
    return XGBoostTrainer().fit(
        frame,
        valid,
        target,
        {"n_estimators": 10, "max_depth": 3, **(model or {})},
        {"num_batches": 4, "feature_columns": FEATURES, "validation_fraction": 0.25, **training},
        schedule,
    )


@pytest.mark.parametrize(
    ("target", "objective", "kind"),
    [
        ("binary", "binary:logistic", "binary"),
        ("three", "multi:softprob", "multiclass"),
        ("number", "reg:squarederror", "regression"),
    ],
)
def test_objective_is_inferred_from_the_target(frame, target, objective, kind):
    model = fit(frame, target)
    assert model.info.objective == objective
    assert model.info.schema.target.kind == kind
    first, last = model.history.rows[0], model.info.best
    assert last.value < list(first.valid.values())[-1]


@pytest.mark.parametrize("kind", ["string", "boolean", "int", "bigint", "double", "tinyint"])
def test_predictions_have_the_type_of_the_target(frame, kind):
    yes = F.col("binary") == "yes"
    typed = frame.withColumn("t", F.col("binary") if kind == "string" else yes.cast(kind))
    model = fit(typed, "t")
    scored = model.transform(typed)
    assert scored.schema["prediction"].dataType == typed.schema["t"].dataType
    assert set(model.classes) == {row.t for row in typed.select("t").distinct().collect()}
    assert scored.where("prediction = t").count() > 0.85 * N


def test_regression_predicts_numbers(frame, table):
    model = fit(frame, "number", {"n_estimators": 40, "objective": "reg:tweedie"})
    assert model.info.metric == "tweedie-nloglik@1.5"
    predicted = model.predict(table)
    assert np.corrcoef(np.log(predicted), np.log(table["number"]))[0, 1] > 0.8
    scored = model.transform(frame)
    assert "probability" not in scored.columns
    found = scored.select("prediction").toPandas()["prediction"]
    np.testing.assert_array_equal(np.sort(found), np.sort(predicted))
    with pytest.raises(ConfigError, match="has no classes"):
        model.predict_proba(table)


def test_count_and_absolute_objectives_start_from_the_right_intercept(frame, table):
    for objective, expected in (
        ("count:poisson", table["number"].mean()),
        ("reg:absoluteerror", table["number"].quantile(interpolation="lower")),
        ("reg:squarederror", table["number"].mean()),
    ):
        model = fit(frame, "number", {"n_estimators": 1, "objective": objective, "eta": 1e-9},
                    num_batches=1)  # fmt: skip
        assert model.predict(table)[0] == pytest.approx(expected, rel=1e-4), objective


def test_balanced_weights_move_predictions_towards_the_rare_class(frame, table):
    share = {
        str(weight): (fit(frame, class_weight=weight).predict(table) == "yes").mean()
        for weight in ("balanced", None, {"yes": 100.0})
    }
    assert share["None"] < 0.12 < share["balanced"] < share["{'yes': 100.0}"]


def test_weight_column_is_multiplied_with_class_weights(frame, table):
    heavy = frame.withColumn("w", F.when(F.col("x3") > 0, 1.0).otherwise(0.0))
    ignored = heavy.withColumn(
        "binary", F.when(F.col("x3") > 0, F.col("binary")).otherwise(F.lit("no"))
    )
    models = [
        fit(f, weight_column="w", class_weight={"no": 1.0, "yes": 9.0}, num_batches=1)
        for f in (heavy, ignored)
    ]
    assert all("w" not in m.info.schema.column_names for m in models)
    # Rows of weight 0 have wrong labels in the second, and it makes no difference to the first
    # intercept: the batches differ, the learned direction does not.
    chances = [m.predict_proba(table)[:, 1] for m in models]
    assert np.corrcoef(chances[0], chances[1])[0, 1] > 0.9


def test_same_seed_same_bytes_and_other_seed_other_model(frame):
    config = {"model": {"subsample": 0.7, "colsample_bytree": 0.7}, "num_epochs": 2}
    one, same, other = (fit(frame, seed=seed, **config) for seed in (1, 1, 2))
    assert one.native == same.native
    assert one.native != other.native


def test_epochs_visit_every_batch_once_in_an_order_of_their_own(frame):
    model = fit(frame, num_epochs=3, max_patience=99)
    visits = model.history.to_pandas().groupby("visit").first()
    assert visits["epoch"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    orders = [tuple(group) for _, group in visits.groupby("epoch")["batch"]]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(set(orders)) > 1


SCHEDULES = {
    "exponential": ({"initial_lr": 0.4, "decay_rate": 0.5}, [0.4, 0.2, 0.1, 0.05]),
    "constant": ({"kind": "constant", "initial_lr": 0.4}, [0.4] * 4),
    "step": ({"kind": "step", "initial_lr": 0.4, "decay_rate": 0.5, "step_size": 2},
        [0.4, 0.4, 0.2, 0.2]),
    "linear": ({"kind": "linear", "initial_lr": 0.4, "min_lr": 0.1}, [0.4, 0.325, 0.25, 0.175]),
    "cosine": ({"kind": "cosine", "initial_lr": 0.4},
        [0.2 + 0.2 * math.cos(math.pi * t / 4) for t in range(4)]),
    "inverse_time": ({"kind": "inverse_time", "initial_lr": 0.4, "decay_rate": 1.0},
        [0.4, 0.2, 0.4 / 3, 0.1]),
    "callable": (lambda visit: 0.1 + visit, [0.1, 1.1, 2.1, 3.1]),
    "none": (None, [0.3] * 4),
}  # fmt: skip


@pytest.mark.parametrize("kind", SCHEDULES)
def test_learning_rate_follows_its_schedule(frame, kind):
    config, expected = SCHEDULES[kind]
    model = fit(frame, model={"n_estimators": 2}, schedule=config, max_patience=99)
    visits = model.history.to_pandas().groupby("visit")
    assert visits["learning_rate"].nunique().tolist() == [1] * 4
    assert visits["learning_rate"].first().tolist() == pytest.approx(expected, abs=1e-12)


def test_learning_rate_can_decay_by_round(frame):
    schedule = {"initial_lr": 0.4, "decay_rate": 0.9, "per": "round"}
    model = fit(frame, model={"n_estimators": 3}, schedule=schedule, max_patience=99)
    rates = model.history.to_pandas()["learning_rate"]
    assert rates.tolist() == pytest.approx([0.4 * 0.9**i for i in range(12)])


def test_learning_rate_decides_how_far_a_tree_moves(frame, table):
    """A rate that were recorded but not applied would be found out here."""
    far, near = (
        fit(
            frame,
            model={"n_estimators": 1},
            num_batches=1,
            schedule={"kind": "constant", "initial_lr": rate},
        )
        for rate in (0.4, 0.1)
    )
    np.testing.assert_allclose(far.margins(table), 4 * near.margins(table), rtol=1e-3, atol=1e-6)


def test_useless_visits_are_rolled_back_and_patience_ends_the_run(frame, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    # The rate explodes at the third visit: nothing after it can help.
    model = fit(
        frame, schedule=lambda visit: 0.3 if visit < 2 else 30.0, num_epochs=5, max_patience=3
    )
    table = model.history.to_pandas()
    assert model.info.stop_reason == "patience"
    assert table["visit"].max() == 4
    assert not table.loc[table["visit"] >= 2, "kept"].any()
    # The first to fail stood on the whole second visit, the others on its best round.
    starts = table.groupby("visit")["n_rounds"].min().tolist()
    assert starts == [1, 11, 21, model.info.n_rounds + 1, model.info.n_rounds + 1]
    assert caplog.text.count("no gain: rolled back to") == 3


def test_last_restart_keeps_trees_that_did_not_help(frame):
    model = fit(
        frame,
        schedule=lambda visit: 0.3 if visit < 2 else 30.0,
        warm_restart="last",
        max_patience=9,
    )
    table = model.history.to_pandas()
    assert table["n_rounds"].tolist() == list(range(1, 41))
    assert model.info.n_rounds == model.info.best.n_rounds <= 20


def test_early_stopping_cuts_within_a_visit(frame):
    model = fit(
        frame, model={"n_estimators": 300, "early_stopping_rounds": 5, "max_depth": 6, "eta": 0.5}
    )
    table = model.history.to_pandas()
    for _, visit in table.groupby("visit"):
        best = visit["valid_logloss"].idxmin()
        assert len(visit) < 300
        assert visit.index[-1] == best + 5
        assert not visit.loc[best + 1 :, "kept"].any()


def test_maximised_metric_picks_its_largest_value(frame):
    model = fit(frame, model={"eval_metric": ["logloss", "auc"]})
    table = model.history.to_pandas()
    assert model.info.maximize
    assert model.info.best.value == table["valid_auc"].max()


def test_without_validation_every_visit_is_kept(frame, caplog):
    model = fit(frame, validation_fraction=None)
    assert "No validation rows" in caplog.text
    assert model.info.best is None
    assert model.info.n_rounds == 40
    assert model.history.to_pandas()["kept"].all()
    assert model.plot_learning_curve() is not None


def test_earlier_model_is_continued_on_new_data(frame, tmp_path):
    old, new = frame.where("x3 < 0"), frame.where("x3 >= 0")
    first = fit(old, num_batches=2)
    first.save(tmp_path / "model")
    for given in (first, str(tmp_path / "model")):
        second = fit(new, num_batches=2, init_model=given)
        assert second.info.n_rounds > first.info.n_rounds
        trees = second.booster.get_dump()
        assert trees[: first.info.n_rounds] == first.booster.get_dump()
        assert min(row.n_rounds for row in second.history) == first.info.n_rounds + 1
    with pytest.raises(DataError, match="feature 'x0' is missing in the data and numeric"):
        fit(new, init_model=first, feature_columns=FEATURES[1:])
    with pytest.raises(DataError, match=r"classes \['no'\] in the data|single class"):
        fit(new.where("binary = 'no'"), init_model=first)
    with pytest.raises(ConfigError, match="init_model was trained with 'binary:logistic'"):
        fit(new, init_model=first, model={"objective": "multi:softprob"})


def test_budget_decides_the_number_of_batches(frame, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    budget = OVERHEAD_BYTES + 100_000
    model = fit(frame, num_batches=None, memory_budget=budget, validation_fraction=None)
    batches = model.history.to_pandas()["batch"].nunique()
    assert f"-> {batches} batches" in caplog.text
    assert batches > 1


def test_number_of_batches_is_ten_where_nothing_is_said(frame, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    model = fit(frame, num_batches=None)
    assert model.history.to_pandas()["batch"].nunique() == 10
    assert "Batches: 10, as neither num_batches nor memory_budget is given" in caplog.text


def test_config_class_serves_as_config_dict(frame):
    config = TrainingConfig(
        num_batches=4, feature_columns=tuple(FEATURES), validation_fraction=0.25
    )
    model = XGBoostTrainer().fit(
        frame, None, "binary", {"n_estimators": 10, "max_depth": 3}, config
    )
    assert model.native == fit(frame).native


def test_integers_can_be_categories(spark):
    rng = np.random.default_rng(0)
    code = rng.integers(0, 40, 3_000)
    odd = np.where(np.isin(code, [3, 17, 29]), "a", "b")
    frame = spark.createDataFrame(pd.DataFrame({"code": code, "y": odd, "x": rng.random(3_000)}))
    model = XGBoostTrainer().fit(
        frame, None, "y", {"n_estimators": 5, "max_depth": 1},
        {"num_batches": 2, "categorical_columns": ["code"]},
    )  # fmt: skip
    feature = model.info.schema.features[0]
    assert (feature.kind, feature.categories) == ("categorical", tuple(range(40)))
    # One split on sets of categories does what thresholds cannot.
    table = pd.DataFrame({"code": np.arange(40), "x": 0.5})
    assert set(np.flatnonzero(model.predict(table) == "a")) == {3, 17, 29}


def test_validation_categories_unseen_in_training_are_reported(spark, caplog):
    train = spark.createDataFrame(
        [(f"c{i % 3}", "xy"[i % 2]) for i in range(30)], "c string, y string"
    )
    valid = spark.createDataFrame([("c0", "x"), ("new", "y"), ("newer", "y")], "c string, y string")
    XGBoostTrainer().fit(train, valid, "y", {"n_estimators": 1}, {"num_batches": 2})
    assert "Column 'c': 2 values are in no training row" in caplog.text


def test_hard_column_names_are_no_trouble(spark, tmp_path):
    names = [
        "a.b",
        "c d",
        "`q`",
        "[x]",
        "<",
        "é",
        "label",
        "row_hash",
        "batch",
        "A",
        "weight",
        "f0",
    ]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((200, len(names))), columns=names)
    table["tar.get"] = np.where(table["[x]"] > 0.5, "u", "v")
    frame = spark.createDataFrame(table)
    model = XGBoostTrainer().fit(frame, frame, "tar.get", {"n_estimators": 3}, {"num_batches": 2})
    assert model.feature_importance()["[x]"] > 0
    assert list(model.info.schema.column_names) == names
    scored = model.transform(
        frame.select(*[f"`{n.replace('`', '``')}`" for n in reversed(names)], "`tar.get`")
    )
    assert scored.columns[: len(names)] == names[::-1]
    assert scored.where("prediction = `tar.get`").count() >= 195
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(
        BoostedModel.load(tmp_path / "m").margins(table), model.margins(table)
    )


def test_vector_column_is_trained_on_and_kept_when_scoring(spark):
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.feature import VectorAssembler

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.random(300), "b": rng.random(300)})
    table["y"] = (table["a"] > 0.5).astype(float)
    frame = VectorAssembler(inputCols=["a", "b"], outputCol="v").transform(
        spark.createDataFrame(table)
    )
    model = XGBoostTrainer().fit(
        frame.select("v", "y"), None, "y", {"n_estimators": 5}, {"num_batches": 2}
    )
    scored = model.transform(frame)
    assert scored.schema["v"] == frame.schema["v"]
    assert scored.where("prediction = y").count() >= 297
    assert BinaryClassificationEvaluator(labelCol="y").evaluate(scored) > 0.999
