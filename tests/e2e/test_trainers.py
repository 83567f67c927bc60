"""What every trainer does alike, from a Spark DataFrame to a saved model."""

import catboost
import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from batchtrainingbooster import BoostedModel, CatBoostTrainer, LightGBMTrainer, XGBoostTrainer
from batchtrainingbooster.backends.catboost_data import table_of
from batchtrainingbooster.errors import BackendError, ConfigError
from batchtrainingbooster.model.tables import feature_matrix

TRAINERS = {t.backend: t for t in (XGBoostTrainer, CatBoostTrainer, LightGBMTrainer)}
N, N_VALID = 1_200, 301


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = N + N_VALID
    x = rng.standard_normal((n, 3))
    color = rng.choice(["red", "green", "blue", None], n)
    score = x[:, 0] + x[:, 1] * (color == "red") + 0.4 * rng.standard_normal(n)
    x[rng.random((n, 3)) < 0.05] = np.nan
    return pd.DataFrame(
        {
            "a b": x[:, 0], "b": x[:, 1], "c": x[:, 2], "color": color,
            "three": np.array(["low", "mid", "high"])[np.digitize(score, [-0.7, 0.7])],
            "binary": np.where(score > 0, "yes", "no"),
            "number": np.exp(score / 2),
            "weight": rng.random(n) + 0.1,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def frames(spark, table):
    return [spark.createDataFrame(part).cache() for part in (table[:N], table[N:])]


@pytest.fixture(params=TRAINERS)
def name(request):
    return request.param


FEATURES = ["a b", "b", "c", "color"]


def fit(name, frames, target, model=None, schedule=None, **training):
    return TRAINERS[name]().fit(
        *frames,
        target,
        {"n_estimators": 6, "max_depth": 3, **(model or {})},
        {"num_batches": 3, "feature_columns": FEATURES, **training},
        schedule or {"kind": "constant", "initial_lr": 0.2},
    )


class Script:
    """A metric whose values on the validation rows are given."""

    __name__ = "scripted"

    def __init__(self, values):
        self.values = iter(values)

    def __call__(self, y_true, y_pred):
        return next(self.values) if len(y_true) == N_VALID else 0.0


# losses (two rounds a visit), settings -> visits, best value, rounds in the model, end, rounds kept
SCRIPTS = {
    "every visit helps": ([8, 7, 6, 5, 4, 3, 2, 1], {}, 4, 1, 8, "completed", range(8)),
    "patience runs out": ([5, 4, 6, 6, 7, 7], {"max_patience": 2}, 3, 4, 2, "patience", [0, 1]),
    "rollback": ([5, 4, 6, 6, 3, 2, 9, 9], {}, 4, 2, 4, "completed", [0, 1, 4, 5]),
    "best round within a visit": ([4, 5, 6, 6, 3, 3.5, 9, 9], {}, 4, 3, 2, "completed", [0, 4]),
    "last": ([5, 4, 6, 6, 3, 2, 9, 9], {"warm_restart": "last"}, 4, 2, 6, "completed", range(6)),
    "gains too small": ([5, 4, 3.9, 3.9, 3.8, 3.8], {"min_delta": 0.5, "max_patience": 2}, 3, 4, 2,
        "patience", [0, 1]),
    "larger is better": ([1, 2, 1, 1, 3, 4, 0, 0], {"maximize": True}, 4, 4, 4, "completed",
        [0, 1, 4, 5]),
    "early stopping within a visit": ([5, 6, 4, 5, 3, 4, 9, 9], {"early": 1}, 4, 3, 3, "completed",
        [0, 2, 4]),
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_decisions_follow_the_metric_whatever_the_booster(script, name, frames):
    values, settings, visits, best, n_rounds, end, kept = SCRIPTS[script]
    settings = {"maximize": False, **settings}
    model = {"n_estimators": 2, "eval_metric": Script(values)}
    if settings.pop("early", None):
        model["early_stopping_rounds"] = 1
    trained = fit(name, frames, "binary", model, num_batches=4, **settings)
    info, history = trained.info, trained.history
    assert (info.best.value, info.best.n_rounds, info.n_rounds) == (best, n_rounds, n_rounds)
    assert info.stop_reason == end
    assert len({row.visit for row in history}) == visits
    assert [row.valid["scripted"] for row in history] == values
    assert [row.round for row in history if row.kept] == list(kept)
    assert info.metric == "scripted"


def test_a_function_needs_a_direction(name, frames):
    with pytest.raises(ConfigError, match="scripted is a function: say whether larger is better"):
        fit(name, frames, "binary", {"eval_metric": Script([])})


def test_history_has_the_same_columns(name, frames):
    def bias(y_true, y_pred):
        return abs(float(np.mean(y_pred) - np.mean(y_true)))

    history = fit(name, frames, "binary", {"eval_metric": bias}, maximize=False).history
    assert list(history.to_columns()) == [
        "visit", "batch", "epoch", "round", "n_rounds", "learning_rate", "train_bias",
        "valid_bias", "seconds", "kept",
    ]  # fmt: skip
    assert [row.round for row in history] == list(range(18))


@pytest.mark.parametrize("per", ["visit", "round"])
def test_learning_rates_follow_the_schedule(per, name, frames):
    schedule = {"initial_lr": 0.4, "decay_rate": 0.8, "per": per}
    history = fit(name, frames, "binary", None, schedule, warm_restart="last").history
    steps = [row.visit if per == "visit" else row.round for row in history]
    assert [row.learning_rate for row in history] == [0.4 * 0.8**step for step in steps]
    assert len(steps) == 18


def plain_margins(name, file, matrix):
    """What the library itself makes of its own file."""
    if name == "xgboost":
        booster = xgb.Booster(model_file=file)
        types = ["float", "float", "float", "c"]
        data = xgb.DMatrix(matrix, feature_types=types, feature_names=booster.feature_names)
        return booster.predict(data, output_margin=True)
    if name == "lightgbm":
        return lgb.Booster(model_file=file).predict(matrix, raw_score=True)
    model = catboost.CatBoost().load_model(file)
    return model.predict(table_of(matrix, model.feature_names_, (0, 0, 0, 3)))


@pytest.mark.parametrize("target", ["binary", "three", "number"])
def test_model_is_one_in_memory_in_files_on_executors_and_in_its_own_library(
    target, name, frames, table, tmp_path
):
    model = fit(name, frames, target)
    model.save(tmp_path / "model")
    loaded = BoostedModel.load(tmp_path / "model")
    valid = table[N:]
    margins = model.margins(valid)
    assert np.array_equal(loaded.margins(valid), margins)
    assert loaded.history == model.history
    (file,) = (tmp_path / "model").glob("model.*")
    matrix = feature_matrix(model.info.schema, valid)
    assert np.array_equal(plain_margins(name, str(file), matrix).reshape(margins.shape), margins)
    scored = model.transform(frames[1]).toPandas()
    if target == "number":
        assert scored["prediction"].tolist() == model.predict(valid).tolist()
        assert np.corrcoef(scored["prediction"], valid[target])[0, 1] > 0.7
    else:
        chances = np.array([vector.toArray() for vector in scored["probability"]])
        assert np.array_equal(chances, model.predict_proba(valid))
        assert np.array_equal(scored["prediction"], model.predict(valid))
        assert (scored["prediction"] == valid[target].to_numpy()).mean() > 0.7
    assert set(model.feature_importance()) == set(FEATURES)
    assert next(iter(model.feature_importance())) == "a b"


def test_partitioning_does_not_change_a_byte_of_the_model(name, frames):
    models = [
        fit(name, [frame.repartition(n) for frame in frames], "three", weight_column="weight")
        for n in (1, 5)
    ]
    assert models[0].native == models[1].native


def test_class_that_some_batches_lack(name, spark, table):
    """Five rows in twelve batches."""
    rare = table[:N].copy()
    rare["three"] = np.where(np.arange(N) < 5, "rare", rare["three"])
    frame = spark.createDataFrame(rare)
    model = fit(name, [frame, None], "three", num_batches=12, num_epochs=2)
    assert model.classes == ("high", "low", "mid", "rare")
    assert model.predict_proba(rare).shape == (N, 4)
    assert np.isfinite(model.margins(rare)).all()


def test_class_weights_move_the_predictions(name, frames, table):
    shares = []
    for weight in (1.0, 8.0):
        model = fit(name, frames, "binary", class_weight={"yes": weight})
        shares.append((model.predict(table[N:]) == "yes").mean())
    assert shares[1] > shares[0] + 0.1


def test_row_weights_count_in_metrics(name, frames, table):
    from sklearn.metrics import log_loss

    model = fit(
        name, frames, "binary", {"eval_metric": log_loss}, weight_column="weight",
        class_weight=None, maximize=False,
    )  # fmt: skip
    valid = table[N:]
    expected = log_loss(
        valid["binary"] == "yes", model.predict_proba(valid)[:, 1], sample_weight=valid["weight"]
    )
    assert model.info.best.value == pytest.approx(expected, rel=1e-5)


def test_earlier_model_is_continued_and_is_the_one_to_beat(name, frames):
    earlier = fit(name, frames, "three")
    later = fit(name, frames, "three", init_model=earlier, seed=7)
    assert later.info.n_rounds > earlier.info.n_rounds
    assert later.info.best.value < earlier.info.best.value
    assert later.history.rows[0].n_rounds == earlier.info.n_rounds + 1
    with pytest.raises(ConfigError, match="cannot be continued with"):
        fit(next(other for other in TRAINERS if other != name), frames, "three", init_model=earlier)


def test_objective_as_a_function(name, frames, table):
    def logistic(y_true, y_pred):
        chance = 1 / (1 + np.exp(-y_pred))
        return chance - y_true, chance * (1 - chance)

    model = fit(name, frames, "binary", {"objective": logistic})
    assert model.info.objective == "custom:logistic"
    assert (model.predict(table[N:]) == table["binary"][N:]).mean() > 0.8
    with pytest.raises(ConfigError, match="trained with a function, logistic; give it again"):
        fit(name, frames, "binary", init_model=model)
    again = fit(name, frames, "binary", {"objective": logistic}, init_model=model)
    assert again.info.n_rounds >= model.info.n_rounds


def test_function_that_fails_in_training_is_named_with_its_visit(name, frames):
    def fails(y_true, y_pred):
        if len(y_true) == N_VALID:
            raise ZeroDivisionError
        return 1.0

    with pytest.raises(BackendError, match=r"Visit 1 .*fails failed: ZeroDivisionError"):
        fit(name, frames, "binary", {"eval_metric": fails}, maximize=False)
