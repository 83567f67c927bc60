"""The mission's own example, on its own data."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.model_selection import train_test_split

from batchtrainingbooster import BoostedModel, XGBoostTrainer
from batchtrainingbooster.data.encode import category_codes
from batchtrainingbooster.errors import ColumnNotFoundError, DataError, NotFittedError
from batchtrainingbooster.model.tables import feature_matrix


@pytest.fixture(scope="module")
def parts(spark, shared_data, tmp_path_factory):
    """A stratified 80/20 split, as Spark reads it from CSV."""
    whole = pd.read_csv(shared_data / "obesity.csv")
    split = train_test_split(whole, test_size=0.2, stratify=whole["NObeyesdad"], random_state=7)
    folder = tmp_path_factory.mktemp("obesity")
    frames = []
    for name, part in zip(("train", "valid"), split, strict=True):
        part.to_csv(folder / f"{name}.csv", index=False)
        path = str(folder / f"{name}.csv")
        frames.append(spark.read.csv(path, header=True, inferSchema=True))
    return frames


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    configs = {
        "config_model": {"n_estimators": 100, "max_depth": 6, "eval_metric": "mlogloss"},
        "config_training": {"num_batches": 2, "max_patience": 5, "show_learning_curve": True},
        "config_lr_scheduler": {"initial_lr": 0.1, "decay_rate": 0.95},
    }
    before = json.dumps(configs)
    logger = logging.getLogger("batchtrainingbooster")
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    trainer = XGBoostTrainer()
    model = trainer.fit(
        train_dataframe=parts[0],
        valid_dataframe=parts[1],
        target_column="NObeyesdad",
        **configs,
    )
    logger.removeHandler(handler)
    assert json.dumps(configs) == before
    return trainer, model, "\n".join(records)


def test_accuracy_on_the_hold_out_is_at_least_95_percent(trained, parts):
    _, model, _ = trained
    valid = parts[1].toPandas()
    assert np.mean(model.predict(valid) == valid["NObeyesdad"]) >= 0.95


def test_what_was_inferred_is_logged(trained):
    _, _, log = trained
    assert "Target 'NObeyesdad': multiclass, 7 classes ('Insufficient_Weight'" in log
    assert "Objective: multi:softprob (inferred); deciding metric: mlogloss (given)" in log
    assert "Features: 16 columns (all others), of which categorical: Gender (2)" in log


def test_learning_curve_is_written_and_its_place_is_logged(trained):
    _, _, log = trained
    place = log.split("Learning curves: ")[1].split("\n")[0]
    assert Path(place).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_trainer_holds_what_fit_produced(trained):
    trainer, model, _ = trained
    assert trainer.model is model
    assert trainer.history is model.history
    assert trainer.timings.total >= trainer.timings.staging + trainer.timings.training - 0.01
    with pytest.raises(NotFittedError, match="call fit first"):
        XGBoostTrainer().model  # noqa: B018


def test_history_has_one_row_a_round(trained):
    _, model, _ = trained
    table = model.history.to_pandas()
    assert list(table.columns) == [
        "visit", "batch", "epoch", "round", "n_rounds", "learning_rate",
        "train_mlogloss", "valid_mlogloss", "seconds", "kept",
    ]  # fmt: skip
    assert table["round"].tolist() == list(range(200))
    assert sorted(table["batch"].unique()) == [0, 1]
    assert table.groupby("visit")["learning_rate"].unique().map(list).tolist() == [
        [0.1],
        [0.1 * 0.95],
    ]
    assert table["kept"].sum() == model.info.n_rounds == model.info.best.n_rounds
    assert table["valid_mlogloss"].min() == model.info.best.value


def test_valid_metric_in_history_is_that_of_the_model(trained, parts):
    _, model, _ = trained
    valid = parts[1].toPandas()
    counts = parts[0].groupBy("NObeyesdad").count().toPandas().set_index("NObeyesdad")["count"]
    weight = (counts.sum() / (len(counts) * counts)).loc[valid["NObeyesdad"]].to_numpy()
    chances = model.predict_proba(valid)
    own = chances[np.arange(len(valid)), [model.classes.index(v) for v in valid["NObeyesdad"]]]
    expected = -np.average(np.log(own), weights=weight)
    assert model.info.best.value == pytest.approx(expected, rel=1e-5)


def test_saved_model_predicts_the_same_bits_in_a_fresh_process(trained, parts, tmp_path):
    _, model, _ = trained
    valid = parts[1].toPandas()
    valid.to_csv(tmp_path / "valid.csv", index=False)
    model.save(tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "first_data.json", "history.json", "metadata.json", "model.ubj", "record.json",
    ]  # fmt: skip
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from batchtrainingbooster import BoostedModel\n"
        f"model = BoostedModel.load({str(tmp_path / 'model')!r})\n"
        f"valid = pd.read_csv({str(tmp_path / 'valid.csv')!r})\n"
        f"np.save({str(tmp_path / 'margins.npy')!r}, model.margins(valid))\n"
        f"np.save({str(tmp_path / 'labels.npy')!r}, model.predict(valid).astype(str))\n"
        "assert 'pyspark' not in sys.modules\n"
        "assert 'pickle' not in open(__import__('batchtrainingbooster').__file__).read()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "margins.npy"), model.margins(valid))
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), model.predict(valid))
    again = BoostedModel.load(tmp_path / "model")
    assert again.info == model.info
    assert again.history == model.history
    assert again.record == model.record
    assert again.native == model.native


def test_native_file_gives_the_same_margins_in_plain_xgboost(trained, parts, tmp_path):
    _, model, _ = trained
    model.save(tmp_path / "model")
    booster = xgb.Booster(model_file=tmp_path / "model" / "model.ubj")
    valid = parts[1].toPandas()
    plain = pd.DataFrame(index=valid.index)
    import pyarrow as pa

    for feature in model.info.schema.features:
        column = valid[feature.name]
        if feature.categories:
            column, _ = category_codes(pa.chunked_array([pa.array(column)]), feature)
        plain[feature.name] = np.asarray(column, np.float32)
    types = ["c" if f.categories else "float" for f in model.info.schema.features]
    data = xgb.DMatrix(plain, feature_types=types, enable_categorical=True)
    margins = booster.predict(data, output_margin=True)
    np.testing.assert_array_equal(margins, model.margins(valid))


def test_spark_scores_as_pandas_does_in_any_order_of_columns(trained, parts):
    _, model, _ = trained
    valid = parts[1]
    shuffled = valid.select(*reversed(valid.columns))
    scored = model.transform(shuffled).toPandas()
    local = valid.toPandas()
    assert list(scored.columns) == [
        *reversed(valid.columns),
        "rawPrediction",
        "probability",
        "prediction",
    ]
    np.testing.assert_array_equal(scored["prediction"], model.predict(local))
    np.testing.assert_array_equal(np.stack(scored["probability"]), model.predict_proba(local))
    np.testing.assert_array_equal(np.stack(scored["rawPrediction"]), model.margins(local))
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(local))
    import pyarrow as pa

    np.testing.assert_array_equal(model.predict(pa.Table.from_pandas(local)), model.predict(local))


def test_unseen_and_missing_categories_are_scored_as_missing(trained, parts):
    _, model, _ = trained
    one = parts[1].toPandas().head(1)
    unseen, missing = one.assign(CAEC="Hourly"), one.assign(CAEC=None)
    np.testing.assert_array_equal(model.margins(unseen), model.margins(missing))
    assert np.isnan(feature_matrix(model.info.schema, unseen)).sum() == 1


def test_scoring_refuses_what_it_cannot_read(trained, parts):
    _, model, _ = trained
    valid = parts[1]
    with pytest.raises(ColumnNotFoundError, match=r"'Wieght'|'Weight' \(did you mean 'Wieght'"):
        model.predict(valid.toPandas().rename(columns={"Weight": "Wieght"}))
    with pytest.raises(ColumnNotFoundError, match="'Weight'"):
        model.transform(valid.drop("Weight"))
    with pytest.raises(DataError, match="'Weight' is string; in training, a number"):
        model.transform(valid.withColumn("Weight", valid["Weight"].cast("string")))
    with pytest.raises(DataError, match="column 'prediction' already"):
        model.transform(valid.withColumn("prediction", valid["Weight"]))
    with pytest.raises(DataError, match="need a pandas DataFrame"):
        model.predict([[1, 2]])


def test_feature_importance_names_every_column(trained):
    _, model, _ = trained
    importance = model.feature_importance()
    assert set(importance) == set(model.info.schema.column_names)
    assert max(importance, key=importance.get) in ("Gender", "Weight")
    assert list(importance.values()) == sorted(importance.values(), reverse=True)


def test_plot_shows_curves_boundaries_and_learning_rate(trained):
    _, model, _ = trained
    upper, lower = model.plot_learning_curve().axes
    labels = upper.get_legend_handles_labels()[1]
    assert {"train (batch)", "validation", "dropped rounds"} <= set(labels)
    assert any(label.startswith("best: ") for label in labels)
    (rates,) = (line for line in lower.lines if len(line.get_xdata()) == 200)
    assert set(rates.get_ydata()) == {0.1, 0.1 * 0.95}


def test_partitioning_does_not_change_a_byte_of_the_model(parts, trained):
    _, model, _ = trained
    again = XGBoostTrainer().fit(
        parts[0].repartition(11),
        parts[1].repartition(3),
        "NObeyesdad",
        {"n_estimators": 100, "max_depth": 6, "eval_metric": "mlogloss"},
        {"num_batches": 2, "max_patience": 5},
        {"initial_lr": 0.1, "decay_rate": 0.95},
    )
    assert again.native == model.native
