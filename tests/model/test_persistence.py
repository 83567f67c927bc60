import json

import numpy as np
import pytest
import xgboost as xgb

from batchtrainingbooster import BoostedModel
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.stopping import Best, StopReason
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.errors import BatchTrainingError, ModelFormatError
from batchtrainingbooster.model.boosted_model import ModelInfo


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    features = rng.random((100, 2))
    data = xgb.DMatrix(features, features[:, 0] > 0.5, feature_names=["a", "b"])
    booster = xgb.train({"objective": "binary:logistic"}, data, 3)
    row = Row(0, 0, 0, 0, 1, 0.3, {"logloss": 0.5}, {"logloss": 0.6}, 0.01)
    info = ModelInfo(
        backend="xgboost",
        backend_version=xgb.__version__,
        objective="binary:logistic",
        link="sigmoid",
        metric="logloss",
        maximize=False,
        schema=TableSchema(
            (Feature("a", FeatureKind.NUMERIC), Feature("b", FeatureKind.CATEGORICAL, ("p", "q"))),
            Target("y", TargetKind.BINARY, "boolean", (False, True)),
        ),
        n_rounds=3,
        best=Best(0.6, 0, 0, 1),
        stop_reason=StopReason.COMPLETED,
        config={"config_model": {"max_depth": 6}},
    )
    return BoostedModel(info, bytes(booster.save_raw("ubj")), History((row,)))


def test_all_comes_back(model, tmp_path):
    model.save(tmp_path / "m")
    again = BoostedModel.load(tmp_path / "m")
    assert again.info == model.info
    assert again.history == model.history
    assert again.native == model.native
    assert again.classes == (False, True)
    assert all(type(label) is bool for label in again.classes)


def test_saving_again_replaces_and_leaves_nothing_else(model, tmp_path):
    model.save(tmp_path / "m")
    model.save(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_other_folders_are_not_replaced(model, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ModelFormatError, match="exists and is no saved model"):
        model.save(tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_failed_save_leaves_the_earlier_model(model, tmp_path, monkeypatch):
    model.save(tmp_path / "m")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(tmp_path / "m")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert BoostedModel.load(tmp_path / "m").native == model.native


def change(folder, **changes):
    file = folder / "metadata.json"
    content = json.loads(file.read_text())
    content.update(changes)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "metadata.json").unlink(), "is no saved model: it has no metadata.json"),
        (lambda f: (f / "metadata.json").write_text("{"), "metadata.json cannot be read"),
        (lambda f: (f / "metadata.json").write_text("[]"), "has format None"),
        (lambda f: change(f, format_version=2), "has format 2; this version reads up to 1"),
        (lambda f: change(f, model={"backend": "xgboost"}), "metadata.json is damaged"),
        (lambda f: (f / "history.json").write_text("7"), "history.json is damaged"),
        (lambda f: (f / "model.ubj").unlink(), "model.ubj cannot be read"),
        (lambda f: (f / "model.ubj").write_bytes(b"x"), "its SHA-256 differs"),
    ],
)
def test_damaged_folder_is_refused_by_name(model, tmp_path, damage, message):
    model.save(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(ModelFormatError, match=message) as caught:
        BoostedModel.load(tmp_path / "m")
    assert isinstance(caught.value, BatchTrainingError)


def test_unknown_backend_is_refused(model, tmp_path):
    model.save(tmp_path / "m")
    content = json.loads((tmp_path / "m" / "metadata.json").read_text())
    content["model"]["backend"] = "os"
    (tmp_path / "m" / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ModelFormatError, match="backend 'os' is not known"):
        BoostedModel.load(tmp_path / "m")
