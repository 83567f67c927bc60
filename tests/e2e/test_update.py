"""A model learns from new rows: what stays, what is learned, and what is refused."""

import logging
import pickle
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from batchtrainingbooster import (
    BoostedModel,
    Callback,
    CatBoostTrainer,
    LightGBMTrainer,
    TrainingConfig,
    XGBoostTrainer,
)
from batchtrainingbooster.errors import ConfigError, DataError, NotFittedError, WorseModelError
from batchtrainingbooster.model.tables import feature_matrix

TRAINERS = {t.backend: t for t in (XGBoostTrainer, CatBoostTrainer, LightGBMTrainer)}
SCHEDULE = {"kind": "constant", "initial_lr": 0.2}
FEATURES = ["x", "color", "z"]
OLD_COLORS, NEW_COLORS = ["blue", "green", "red"], ["blue", "red", "amber", "violet"]


def rows(n, colors, seed, shift=0.0):
    """Red and violet rows are "yes" more often, and old ones without a color."""
    rng = np.random.default_rng(seed)
    x, color = rng.standard_normal(n) + shift, rng.choice(colors, n).astype(object)
    missing = rng.random(n) < 0.2 * (colors is OLD_COLORS)
    color[missing] = None
    score = x + 2 * (np.isin(color, ["red", "violet"]) | missing) - 1 + 0.3 * rng.standard_normal(n)
    return pd.DataFrame(
        {
            "x": x, "color": color, "z": rng.random(n),
            "y": np.where(score > 0, "yes", "no"),
            "three": np.array(["low", "mid", "high"])[np.digitize(score, [-1, 1])],
            "number": score,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables():
    return {
        "old": rows(1_200, OLD_COLORS, 1),
        "new": rows(1_200, NEW_COLORS, 2, shift=1.0),
        "valid": rows(600, NEW_COLORS, 3, shift=1.0),
        "like old": rows(600, OLD_COLORS, 4),
    }


@pytest.fixture(scope="module")
def frames(spark, tables):
    found = {
        name: spark.createDataFrame(table).coalesce(1).cache() for name, table in tables.items()
    }
    wrong = tables["like old"].assign(y=np.where(tables["like old"]["y"] == "yes", "no", "yes"))
    found["wrong"] = spark.createDataFrame(wrong).coalesce(1).cache()
    return found


def fitted(name, frame, target="y", valid=None, model=None, **training):
    return TRAINERS[name]().fit(
        frame, valid, target, {"n_estimators": 15, "max_depth": 3, **(model or {})},
        {"num_batches": 1, "feature_columns": FEATURES, **training}, SCHEDULE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(frames):
    """A model of each booster, by its name."""
    found = {}

    def of(name):
        if name not in found:
            found[name] = fitted(name, frames["old"])
        return found[name]

    return of


def update(name, model, new, valid=None, if_worse="raise", trainer=None, own=None, **training):
    trainer = trainer or TRAINERS[name]()
    return trainer.update(
        model, new, valid,
        config_model={"n_estimators": 15, "max_depth": 3, **(own or {})},
        config_training=training or None, config_lr_scheduler=SCHEDULE, if_worse=if_worse,
    )  # fmt: skip


@pytest.fixture(params=TRAINERS)
def name(request):
    return request.param


def test_new_categories_are_learned_and_old_trees_stay(name, frames, tables, first, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    earlier, trainer = first(name), TRAINERS[name]()
    model = update(
        name, earlier, frames["new"], frames["valid"], trainer=trainer, class_weight=None
    )
    # Old codes are as they were; new ones follow, sorted.
    assert earlier.info.schema.features[1].categories == ("blue", "green", "red")
    assert model.info.schema.features[1].categories == ("blue", "green", "red", "amber", "violet")
    assert trainer.update_report.new_categories == {"color": ("amber", "violet")}
    assert "New categories of 'color': 2 ('amber', 'violet')" in caplog.text
    # Rows with a new color are predicted well, which they were not.
    valid = tables["valid"]
    is_new = valid["color"].isin(["amber", "violet"])
    right = (model.predict(valid) == valid["y"])[is_new].mean()
    assert right > 0.9
    assert right > (earlier.predict(valid) == valid["y"])[is_new].mean() + 0.02
    # Before is what the earlier model gives: to it, a new color is missing, and not a code.
    report = trainer.update_report
    for each, value in ((earlier, report.before), (model, report.after)):
        loss = log_loss(valid["y"] == "yes", each.predict_proba(valid)[:, 1])
        assert value == pytest.approx(loss, rel=1e-5)
    assert report.after < report.before
    # The earlier trees give old rows the same scores, to the bit.
    features = feature_matrix(earlier.info.schema, tables["old"])
    np.testing.assert_array_equal(feature_matrix(model.info.schema, tables["old"]), features)
    backend_rows = {
        "xgboost": lambda m, n: m.booster[:n].inplace_predict(features, predict_type="margin"),
        "lightgbm": lambda m, n: m.booster.predict(features, raw_score=True, num_iteration=n),
        "catboost": lambda m, n: m.booster.predict(
            catboost_table(m, features), prediction_type="RawFormulaVal", ntree_end=n
        ),
    }[name]
    n_rounds = earlier.info.n_rounds
    assert (backend_rows(model, n_rounds) == earlier.margins(tables["old"])[:, 0]).all()
    assert trainer.update_report.rounds_before == n_rounds < model.info.n_rounds
    assert trainer.model is model


def catboost_table(model, features):
    from batchtrainingbooster.backends.catboost_data import table_of

    return table_of(features, model.booster.feature_names_, (0, 3, 0))


def test_worse_model_is_refused_kept_or_accepted(frames, first, caplog):
    name = "lightgbm"
    earlier, trainer = first(name), TRAINERS[name]()
    before = earlier.native
    arguments = (name, earlier, frames["wrong"], frames["like old"])
    with pytest.raises(
        WorseModelError, match=r"would be worse: validation \S+ was 0\.\d+ "
    ) as caught:
        update(*arguments, trainer=trainer)
    report = trainer.update_report
    assert (caught.value.before, caught.value.after) == (report.before, report.after)
    assert report.is_worse
    assert report.after > report.before
    assert trainer.model is earlier
    assert pickle.loads(pickle.dumps(caught.value)).after == report.after  # noqa: S301
    assert "Update: worse: " in caplog.text
    assert update(*arguments, if_worse="keep") is earlier
    accepted = update(*arguments, if_worse="accept")
    # The best that has learned from the new rows: each round makes it worse, so it is the first.
    assert accepted.info.n_rounds == earlier.info.n_rounds + 1
    assert accepted.info.best.value == report.after
    everything = update(name, earlier, frames["wrong"], if_worse="accept")
    assert everything.info.n_rounds == earlier.info.n_rounds + 15
    assert earlier.native == before


def test_larger_metric_that_falls_is_worse(frames, first):
    trainer, own = XGBoostTrainer(), {"eval_metric": "auc"}
    with pytest.raises(WorseModelError, match=r"validation auc was 0\.9"):
        update("xgboost", first("xgboost"), frames["wrong"], frames["like old"], own=own,
               trainer=trainer)  # fmt: skip
    assert trainer.update_report.after < trainer.update_report.before


def test_no_gain_is_not_worse_and_is_said(frames, first, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    earlier, trainer = first("xgboost"), XGBoostTrainer()
    own = {"eval_metric": constant}
    settings = {"maximize": False}
    model = update("xgboost", earlier, frames["new"], frames["valid"], own=own, trainer=trainer,
                   **settings)  # fmt: skip
    assert model is earlier
    assert not trainer.update_report.is_worse
    assert "validation constant 1 before, 1 after, 15 -> 15 rounds: no gain" in caplog.text


def constant(y_true, y_pred):
    return 1.0


def undefined(y_true, y_pred):
    return float("nan")


def test_model_that_nobody_could_compare_is_not_returned(frames, first):
    earlier, trainer = first("xgboost"), XGBoostTrainer()
    settings = {"own": {"eval_metric": undefined}, "maximize": True, "warm_restart": "last"}
    arguments = ("xgboost", earlier, frames["new"], frames["valid"])
    with pytest.raises(WorseModelError, match="validation undefined was nan before, and nan after"):
        update(*arguments, trainer=trainer, **settings)
    assert trainer.model is earlier
    assert update(*arguments, if_worse="keep", **settings) is earlier
    assert update(*arguments, if_worse="accept", **settings).info.n_rounds == 30


def right_share(y_true, y_pred):
    return float(((y_pred > 0.5) == y_true).mean())


def test_direction_of_a_metric_goes_with_the_metric(frames):
    own = {"eval_metric": right_share}
    earlier = fitted("xgboost", frames["old"], valid=frames["like old"], model=own, maximize=True)
    arguments = ("xgboost", earlier, frames["wrong"], frames["like old"])
    with pytest.raises(WorseModelError, match="validation logloss"):
        update(*arguments)
    with pytest.raises(ConfigError, match="right_share is a function: say whether larger is"):
        update(*arguments, own=own)


def test_settings_that_last_are_taken_from_the_model(spark, tables):
    weighted = tables["old"].assign(weight=1.0)
    earlier = fitted(
        "xgboost", spark.createDataFrame(weighted), "three", weight_column="weight",
        class_weight={"low": 2.0}, categorical_encoding="ordinal",
    )  # fmt: skip
    new = spark.createDataFrame(tables["new"].assign(weight=2.0))
    model = update("xgboost", earlier, new, validation_fraction=0.3)
    given = model.info.config["config_training"]
    assert given["weight_column"] == "weight"
    assert given["class_weight"] == {"low": 2.0}
    assert given["categorical_encoding"] == "ordinal"
    assert given["num_batches"] == 1
    assert "BoostedModel(xgboost, multi:softprob, 15 rounds" in given["init_model"]
    again = update("xgboost", model, new, if_worse="accept", weight_column=None)
    assert again.info.config["config_training"]["weight_column"] is None


def test_numbers_as_labels_keep_their_weights(spark, tables):
    number = {"high": 2, "low": 0, "mid": 1}
    old, new = (spark.createDataFrame(tables[k].assign(t=tables[k]["three"].map(number))) for k in
                ("old", "new"))  # fmt: skip
    earlier = fitted("xgboost", old, "t", class_weight={2: 3.0})
    model = update("xgboost", earlier, new, if_worse="accept")
    assert model.record.data.class_weights == (1, 1, 3)


@pytest.mark.parametrize(
    ("label", "given"),
    [("double(y = 'yes')", {0: 2.0, 1: 5.0}), ("y = 'yes'", {0: 2.0, 1: 5.0}),
     ("int(y = 'yes')", {False: 2.0, 1.0: 5.0})],
)  # fmt: skip
def test_keys_of_weights_need_only_equal_the_labels(frames, label, given):
    old, new = (frames[k].selectExpr("x", "color", "z", f"{label} AS t") for k in ("old", "new"))
    earlier = fitted("lightgbm", old, "t", class_weight=given)
    model = update("lightgbm", earlier, new, if_worse="accept")
    assert model.record.data.class_weights == (2, 5)
    if label.startswith("int"):
        true = new.withColumn("t", new.t == 1)
        message = "the target 't' is boolean in the data and int in the model; cast the column"
        with pytest.raises(DataError, match=message):
            update("lightgbm", earlier, true, if_worse="accept")


def test_rows_that_lack_a_class_are_learned_from(name, frames, tables):
    earlier = fitted(name, frames["old"], "three")
    some = frames["new"].where("three <> 'low'")
    model = update(name, earlier, some, frames["valid"])
    assert model.classes == ("high", "low", "mid")
    assert model.predict_proba(tables["valid"]).shape == (600, 3)
    assert model.record.data.class_weights[1] == 1


def test_other_classes_are_refused(frames, first):
    strange = frames["new"].selectExpr("x", "color", "z", "if(y = 'no', 'never', y) AS y")
    with pytest.raises(
        DataError, match="classes in the data that the model does not have: 'never'"
    ):
        update("xgboost", first("xgboost"), strange, frames["valid"])


def test_rows_of_a_single_class_can_be_learned_from(frames, first):
    model = update("xgboost", first("xgboost"), frames["new"].where("y = 'yes'"), if_worse="accept")
    assert model.info.n_rounds == 30


class Place:
    """A path of another library's."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def test_drift_is_always_from_the_first_training(frames, first, tmp_path, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    name = "catboost"
    earlier, trainer = first(name), TRAINERS[name]()
    second = update(name, earlier, frames["new"], frames["valid"], trainer=trainer)
    drift = trainer.update_report.drift
    assert [column.name for column in drift.moved] == ["color", "x"]
    assert drift.rows == (1_200, 1_200)
    assert set(drift.classes) == {"no", "yes"}
    assert "Drift: 1 of 3 features did not move" in caplog.text
    warned = [message for message in second.record.warnings if message.startswith("Drift: ")]
    assert any("feature 'x': PSI" in message for message in warned)
    second.save(tmp_path / "second")
    trainer = TRAINERS[name]()
    third = update(
        name, Place(tmp_path / "second"), frames["new"], frames["valid"], "accept", trainer=trainer
    )
    # The same rows again: against those of the second training, nothing would have moved.
    assert trainer.update_report.drift == drift
    assert trainer.update_report.new_categories == {}
    assert third.first_data == second.first_data == earlier.first_data
    assert third.info.config["config_training"]["init_model"] == str(tmp_path / "second")


def test_model_that_does_not_know_its_first_rows_begins_with_these(frames, first, caplog):
    caplog.set_level(logging.INFO, "batchtrainingbooster")
    known = first("xgboost")
    old = BoostedModel(known.info, known.native, known.history, known.record)
    trainer = XGBoostTrainer()
    model = update("xgboost", old, frames["new"], frames["valid"], trainer=trainer)
    assert trainer.update_report.drift is None
    assert "Drift: the model does not say what its first training's rows looked like" in caplog.text
    assert model.first_data.rows == 1_200


def test_regression_is_updated(frames):
    earlier = fitted("lightgbm", frames["old"], "number")
    trainer = LightGBMTrainer()
    model = update("lightgbm", earlier, frames["new"], frames["valid"], trainer=trainer)
    assert model.info.n_rounds > earlier.info.n_rounds
    assert trainer.update_report.drift.target.median_shift > 0.3


def squared_error(y_true, y_pred):
    return y_pred - y_true, np.ones_like(y_pred)


def test_own_objective_is_of_the_kind_that_it_was(frames):
    own = {"objective": squared_error, "eval_metric": "rmse"}
    earlier = fitted("xgboost", frames["old"], "number", model=own)
    whole = frames["new"].selectExpr("x", "color", "z", "round(number) AS number")
    model = update("xgboost", earlier, whole, if_worse="accept", own=own)
    assert model.info.schema.target == earlier.info.schema.target
    assert model.info.n_rounds == 30


def test_no_rows_leave_the_model_as_it_is(frames, first, caplog):
    earlier, trainer = first("xgboost"), XGBoostTrainer()
    model = update("xgboost", earlier, frames["new"].where("x > 99"), frames["valid"],
                   trainer=trainer)  # fmt: skip
    assert model is earlier
    assert trainer.model is earlier
    assert trainer.history is earlier.history
    assert trainer.update_report.rows == 0
    assert "no new rows; the model is returned as it is" in caplog.text


def test_column_without_values_at_first_stays_missing(spark, tables, caplog):
    old = spark.createDataFrame(tables["old"].assign(color=None), schema=SCHEMA)
    earlier = fitted("catboost", old)
    model = update("catboost", earlier, spark.createDataFrame(tables["new"]), if_worse="accept")
    assert model.info.schema.features[1].categories == ()
    assert "'color' had no values when the model was first trained" in caplog.text


SCHEMA = "x double, color string, z double, y string, three string, number double"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"no validation rows to compare .* valid_dataframe, or validation_fraction .*accept"),
        ({"if_worse": "never"}, "if_worse: got 'never', need 'raise', 'keep' or 'accept'"),
        ({"init_model": "m"}, "init_model: update has the model as its first argument"),
        ({"num_batch": 1}, "num_batch: unknown key.*num_batches"),
        ({"model": None}, "model: got None, need a BoostedModel or the folder of one"),
        ({"model": 7}, "got int, need a BoostedModel"),
    ],
)
def test_what_makes_no_update_is_refused_at_once(frames, first, arguments, message):
    model = arguments.pop("model") if "model" in arguments else first("xgboost")
    with pytest.raises(ConfigError, match=message):
        update("xgboost", model, frames["new"], **arguments)


def test_what_is_no_finite_dataframe_is_refused(spark, tables, first):
    stream = spark.readStream.format("rate").load()
    for frame, message in ((tables["new"], "need a Spark DataFrame"), (stream, "foreachBatch")):
        with pytest.raises(DataError, match=f"new_dataframe.*{message}"):
            update("xgboost", first("xgboost"), frame, if_worse="accept")


def test_config_class_serves_as_config_dict(frames, first):
    config = TrainingConfig(validation_fraction=0.25)
    model = XGBoostTrainer().update(
        first("xgboost"), frames["new"], config_training=config, config_model={"n_estimators": 3}
    )
    assert model.info.config["config_training"]["num_batches"] == 1
    assert model.info.n_rounds <= 18


def test_report_is_there_after_an_update_only():
    with pytest.raises(NotFittedError, match="call update first"):
        _ = XGBoostTrainer().update_report


def test_report_of_an_earlier_update_is_gone_after_one_that_fails(frames, first):
    earlier, trainer = first("xgboost"), XGBoostTrainer()
    update("xgboost", earlier, frames["new"].where("x > 99"), frames["valid"], trainer=trainer)
    assert trainer.update_report.rows == 0
    with pytest.raises(ConfigError):
        update("xgboost", earlier, frames["new"], trainer=trainer)
    with pytest.raises(NotFittedError, match="or its last update has failed"):
        _ = trainer.update_report


class Killed(Callback):
    def on_checkpoint_written(self, event):
        raise SystemError


def test_interrupted_update_goes_on_to_the_same_model(frames, first, tmp_path):
    settings = {"num_batches": 3, "checkpoint_dir": str(tmp_path), "callbacks_strict": True}
    arguments = ("xgboost", first("xgboost"), frames["new"], frames["valid"])
    undisturbed, resumed = XGBoostTrainer(), XGBoostTrainer()
    wanted = update(*arguments, num_batches=3, trainer=undisturbed)
    with pytest.raises(SystemError):
        update(*arguments, **settings, callbacks=[Killed()])
    model = update(*arguments, **settings, resume="must", trainer=resumed)
    assert model.native == wanted.native
    assert resumed.update_report == undisturbed.update_report


def test_batches_of_a_stream_are_learned_from(spark, frames, tables, first, tmp_path):
    """``foreachBatch`` calls from another thread; a batch that comes again changes nothing."""
    arriving, models = tmp_path / "arriving", tmp_path / "models"
    for part in (tables["new"][:700], tables["new"][700:]):
        spark.createDataFrame(part).coalesce(1).write.mode("append").parquet(str(arriving))
    first("xgboost").save(models / "first")
    threads = []

    def learn(frame, batch_id):
        threads.append(threading.current_thread())
        folder = models / f"{batch_id:06}"
        if folder.exists():
            return
        earlier = max(models.glob("0*"), default=models / "first")
        settings = {"checkpoint_dir": str(tmp_path / "checkpoints" / folder.name)}
        update("xgboost", earlier, frame, frames["valid"], "accept", **settings).save(folder)

    def run(progress):
        stream = spark.readStream.schema(frames["new"].schema).option("maxFilesPerTrigger", 1)
        query = (
            stream.parquet(str(arriving)).writeStream.foreachBatch(learn)
            .option("checkpointLocation", str(progress)).trigger(availableNow=True).start()
        )  # fmt: skip
        query.awaitTermination()

    run(tmp_path / "progress")
    assert all(thread is not threading.main_thread() for thread in threads)
    assert sorted(path.name for path in models.iterdir()) == ["000000", "000001", "first"]
    last = BoostedModel.load(models / "000001")
    assert (last.predict(tables["valid"]) == tables["valid"]["y"]).mean() > 0.9
    # Where Spark's own progress is lost, it hands over the same batches.
    run(tmp_path / "other progress")
    assert len(threads) == 4
    assert BoostedModel.load(models / "000001").native == last.native
