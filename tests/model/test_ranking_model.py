import numpy as np
import pytest
import xgboost as xgb

from batchtrainingbooster import BoostedModel
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.model.boosted_model import ModelInfo


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    features = rng.random((100, 2))
    data = xgb.DMatrix(features, np.round(3 * features[:, 0]), feature_names=["a", "b"])
    data.set_group([20] * 5)
    booster = xgb.train({"objective": "rank:ndcg"}, data, 3)
    info = ModelInfo(
        backend="xgboost",
        backend_version=xgb.__version__,
        objective="rank:ndcg",
        link="identity",
        metric="ndcg",
        maximize=True,
        schema=TableSchema(
            tuple(Feature(name, FeatureKind.NUMERIC) for name in "ab"),
            Target("y", TargetKind.RANKING, "int"),
        ),
        n_rounds=3,
        best=None,
        stop_reason=StopReason.COMPLETED,
        config={},
    )
    return BoostedModel(info, bytes(booster.save_raw("ubj")), History(()))


def test_predictions_are_margins_as_double(model, spark):
    rows = np.random.default_rng(1).random((10, 2))
    scored = model.transform(spark.createDataFrame(rows.tolist(), "a double, b double"))
    assert scored.columns == ["a", "b", "prediction"]
    assert dict(scored.dtypes)["prediction"] == "double"
    found = scored.toPandas()
    matrix = xgb.DMatrix(found[["a", "b"]].to_numpy(np.float32), feature_names=["a", "b"])
    margins = model.booster.predict(matrix, output_margin=True)
    np.testing.assert_array_equal(found["prediction"], margins.astype(np.float64))
    predicted = model.predict(found[["a", "b"]])
    assert predicted.dtype == np.float64
    np.testing.assert_array_equal(predicted, found["prediction"])


def test_there_are_no_probabilities(model):
    assert model.classes == ()
    with pytest.raises(ConfigError, match="predict_proba: the target 'y' has no classes"):
        model.predict_proba(None)


def test_kind_survives_saving(model, tmp_path):
    model.save(tmp_path / "m")
    assert BoostedModel.load(tmp_path / "m").info == model.info
