"""What a real training tells its callbacks, and what its model then knows of it."""

import logging
import time

import numpy as np
import pytest
from pyspark.sql import functions as F
from sklearn.metrics import confusion_matrix, mean_absolute_error, r2_score, root_mean_squared_error

from batchtrainingbooster import (
    BoostedModel,
    Callback,
    CatBoostTrainer,
    LightGBMTrainer,
    StopRequest,
    XGBoostTrainer,
)
from batchtrainingbooster.core.evaluation import QUANTILES
from batchtrainingbooster.core.events import name_of
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.errors import BackendError, ConfigError, DataError
from batchtrainingbooster.model import evaluation

METRICS = {
    XGBoostTrainer: "mlogloss", CatBoostTrainer: "MultiClass", LightGBMTrainer: "multi_logloss",
}  # fmt: skip


class Collector(Callback):
    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)

    def all(self, name):
        return [event for event in self.events if name_of(type(event)) == name]

    def one(self, name):
        (event,) = self.all(name)
        return event


@pytest.fixture(scope="module")
def frames(spark):
    rows = spark.range(3000).select(
        F.rand(1).alias("a"),
        F.rand(2).alias("b"),
        F.when(F.rand(3) > 0.3, F.concat(F.lit("c"), F.floor(4 * F.rand(4)).cast("string"))).alias(
            "c"
        ),
        F.array(F.rand(5), F.rand(6)).alias("v"),
        (F.rand(7) > 0.5).alias("flag"),
    )
    noise = 0.3 * F.rand(8)
    rows = rows.withColumn("value", 2 * F.col("a") - F.col("b") + noise)
    rows = rows.withColumn(
        "kind", F.when(F.col("value") > 1.2, "high").when(F.col("value") > 0.4, "middle")
        .otherwise("low"),
    ).localCheckpoint()  # fmt: skip
    return rows.where("a < 0.8"), rows.where("a >= 0.8").union(rows.where("a < 0.1"))


def fit(frames, trainer=XGBoostTrainer, target="kind", model=None, **training):
    train, valid = (frame.drop(*({"kind", "value"} - {target})) for frame in frames)
    seen = Collector()
    config = {"n_estimators": 8, "n_jobs": 2, "eval_metric": METRICS[trainer], **(model or {})}
    callbacks = [seen, *training.pop("callbacks", [])]
    config_training = {
        "num_batches": 2,
        "callbacks_strict": True,
        "callbacks": callbacks,
        **training,
    }
    made = trainer()
    return made.fit(train, valid, target, config, config_training), seen, made


@pytest.mark.parametrize("trainer", METRICS)
def test_a_run_tells_of_itself_and_its_model_knows_it(frames, trainer):
    model, seen, made = fit(frames, trainer, num_epochs=2)
    record = model.record
    assert record.history == model.history
    assert [event.row.round for event in seen.all("round_end")] == [
        row.round for row in model.history
    ]
    assert record.start == seen.one("run_start")
    assert record.start.booster == trainer.backend
    assert record.data.batches == tuple(part.strata for part in made.manifest.batches)
    assert record.data.validation == made.manifest.validation.strata
    assert record.data.strata == ("high", "low", "middle")
    assert record.data.column_types == {
        "a": "double", "b": "double", "c": "string", "v": "array<double>", "flag": "boolean",
    }  # fmt: skip
    assert record.end == seen.one("run_end") == seen.events[-1]
    assert record.end.stop_reason == model.info.stop_reason
    assert record.end.seconds == made.timings.total
    assert record.end.seconds_by_stage == made.timings.by_stage
    assert record.best == model.info.best
    assert record.importance == model.feature_importance()
    assert seen.one("model_trained").model is model


@pytest.mark.parametrize("trainer", METRICS)
def test_the_final_evaluation_counts_what_the_model_predicts(frames, trainer):
    model, seen, _ = fit(frames, trainer)
    valid = frames[1].toPandas()
    found = model.record.evaluation
    expected = confusion_matrix(valid["kind"], model.predict(valid), labels=model.classes)
    assert np.array_equal(found.confusion, expected)
    assert found.rows == found.of_rows == len(valid)
    assert found.accuracy == pytest.approx((model.predict(valid) == valid["kind"]).mean())
    support = [scores.support for scores in found.by_class()]
    assert support == [(valid["kind"] == label).sum() for label in model.classes]
    # The examples are rows of the user's own, as the model takes them.
    example = seen.one("model_trained").example
    assert example.num_rows == 5
    assert set(example.column_names) == {"a", "b", "c", "v", "flag"}
    given = {tuple(row) for row in valid[["a", "b"]].astype(np.float32).to_numpy()}
    assert {tuple(row) for row in example.select(["a", "b"]).to_pandas().to_numpy()} <= given
    assert len(model.predict(example)) == 5


def test_residuals_are_those_of_the_model(frames):
    model, _, _ = fit(frames, target="value", model={"eval_metric": "rmse"})
    valid = frames[1].toPandas()
    found, predicted = model.record.evaluation, model.predict(valid)
    assert found.confusion == ()
    assert found.mean_absolute_error == pytest.approx(
        mean_absolute_error(valid["value"], predicted), rel=1e-4
    )
    assert found.root_mean_squared_error == pytest.approx(
        root_mean_squared_error(valid["value"], predicted), rel=1e-4
    )
    assert found.r2 == pytest.approx(r2_score(valid["value"], predicted), rel=1e-3)
    expected = np.quantile(valid["value"] - predicted, QUANTILES)
    assert found.residual_quantiles == pytest.approx(expected, abs=1e-5)
    assert sum(found.residual_counts) == pytest.approx(0.98 * len(valid), rel=0.01)


def test_of_many_validation_rows_a_sample_is_scored(frames, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_ROWS", 100)
    model, _, _ = fit(frames)
    found = model.record.evaluation
    assert (found.rows, found.of_rows) == (100, frames[1].count())
    assert sum(map(sum, found.confusion)) == 100


def test_the_model_is_there_though_it_cannot_be_judged(frames, monkeypatch, caplog):
    def fail(*_):
        raise MemoryError("none left")

    monkeypatch.setattr("batchtrainingbooster.core.outcome.evaluate", fail)
    monkeypatch.setattr(BoostedModel, "feature_importance", fail)
    model, seen, made = fit(frames)
    assert made.model is model is seen.one("model_trained").model
    assert (model.record.evaluation, model.record.importance) == (None, {})
    assert seen.one("run_end").stop_reason is StopReason.COMPLETED
    assert "not its evaluation by class or residual: MemoryError: none left" in caplog.text


def test_fewer_rows_are_scored_where_classes_are_many():
    def schema(classes, columns):
        features = tuple(Feature(f"c{i}", FeatureKind.NUMERIC, (), 1) for i in range(columns))
        kind = TargetKind.MULTICLASS if classes else TargetKind.REGRESSION
        return TableSchema(features, Target("y", kind, "bigint", tuple(range(classes))))

    assert evaluation.rows_to_score(schema(3, 10)) == 100_000
    assert evaluation.rows_to_score(schema(5_000, 10)) == 2_000
    assert evaluation.rows_to_score(schema(0, 500)) == 20_000
    assert evaluation.rows_to_score(schema(0, 200_000)) == 1_000


def test_without_validation_rows_nothing_is_evaluated(frames):
    train = frames[0].drop("value")
    seen = Collector()
    model = XGBoostTrainer().fit(
        train, None, "kind", {"n_estimators": 3}, {"num_batches": 2, "callbacks": [seen]}
    )
    assert model.record.evaluation is None
    assert model.record.data.validation is None
    assert seen.one("model_trained").example is None


def test_callbacks_change_no_byte_of_the_model(frames):
    watched, _, _ = fit(frames, verbosity=2)
    train, valid = (frame.drop("value") for frame in frames)
    config = {"n_estimators": 8, "n_jobs": 2, "eval_metric": "mlogloss"}
    alone = XGBoostTrainer().fit(train, valid, "kind", config, {"num_batches": 2, "verbosity": 0})
    assert watched.native == alone.native


def test_a_saved_model_has_its_record(frames, tmp_path):
    model, _, _ = fit(frames)
    model.save(tmp_path / "m")
    assert BoostedModel.load(tmp_path / "m").record == model.record


class StopAfterFirst(Callback):
    def on_visit_end(self, event):
        return StopRequest("that will do")


def test_a_callback_ends_the_run_with_a_model_and_the_log_says_why(frames, caplog):
    caplog.set_level(logging.INFO, logger="batchtrainingbooster")
    model, seen, _ = fit(frames, callbacks=[StopAfterFirst()], num_epochs=5)
    assert model.info.stop_reason is StopReason.CALLBACK
    assert model.info.n_rounds <= 8
    assert seen.one("early_stop").why == "that will do"
    assert "A callback asks to stop: that will do" in caplog.messages


def test_a_run_whose_settings_are_wrong_has_not_begun(frames):
    seen = Collector()
    with pytest.raises(ConfigError):
        fit(frames, callbacks=[seen], num_batches=0)
    assert seen.events == []


def test_a_run_that_fails_says_so_and_ends(frames):
    seen = Collector()
    train = frames[0].withColumn("kind", F.when(F.col("a") > 0.5, F.col("kind")))
    with pytest.raises(DataError):
        fit((train, frames[1]), callbacks=[seen])
    names = [name_of(type(event)) for event in seen.events]
    assert [name for name in names if name != "staging_progress"] == [
        "run_start", "staging_start", "failure", "run_end",
    ]  # fmt: skip
    failure = seen.one("failure")
    assert failure.error == "DataError"
    assert "'kind'" in failure.message
    assert seen.one("run_end").stop_reason is StopReason.FAILED


def test_a_booster_that_fails_in_the_middle_ends_the_run_with_what_there_was(frames):
    calls = []

    def metric(label, predicted):
        calls.append(1)
        if len(calls) > 12:
            raise ZeroDivisionError
        return float(len(calls))

    seen = Collector()
    with pytest.raises(BackendError):
        fit(
            frames, model={"eval_metric": metric}, callbacks=[seen], maximize=False,
            warm_restart="last",
        )  # fmt: skip
    end = seen.one("run_end")
    assert end.stop_reason is StopReason.FAILED
    assert end.visits == len(seen.all("visit_end")) < 2
    assert len(seen.all("round_end")) > 0
    assert seen.events[-1] is end


class Interrupt(Callback):
    def on_visit_end(self, event):
        raise KeyboardInterrupt


def test_an_interrupted_run_is_told_as_such(frames):
    seen = Collector()
    with pytest.raises(KeyboardInterrupt):
        fit(frames, callbacks=[seen, Interrupt()])
    assert seen.one("run_end").stop_reason is StopReason.INTERRUPTED
    assert seen.one("failure").error == "KeyboardInterrupt"


def test_sparks_tasks_are_told_while_it_stages(frames):
    @F.udf("double")
    def slowly(value):
        time.sleep(0.001)
        return value

    _, seen, _ = fit((frames[0].withColumn("b", slowly("b")), frames[1]))
    told = seen.all("staging_progress")
    assert told
    assert all(0 <= each.tasks_done <= each.tasks_total for each in told)
    places = [i for i, event in enumerate(seen.events) if event in told]
    assert places[0] > seen.events.index(seen.one("staging_start"))
    assert places[-1] < seen.events.index(seen.one("staging_end"))


def test_every_visit_of_external_memory_sees_all_batches(frames):
    model, seen, _ = fit(frames, strategy="external_memory", num_epochs=2)
    assert [event.batch for event in seen.all("visit_start")] == [None, None]
    assert [event.epoch for event in seen.all("epoch_start")] == [0, 1]
    assert model.record.evaluation is not None
