import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hostile_json import hostile
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from batchtrainingbooster import BoostedModel
from batchtrainingbooster.core.data_summary import summary_of
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.stopping import Best, StopReason
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import BatchTrainingError, ModelFormatError
from batchtrainingbooster.model import persistence
from batchtrainingbooster.model.boosted_model import ModelInfo
from batchtrainingbooster.model.persistence import FORMAT_VERSION, verified


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


def test_what_the_first_rows_looked_like_comes_back(model, tmp_path):
    features = np.array([[1, 0], [2, 1], [np.nan, 1]], np.float32)
    summary = summary_of(features, np.array([0, 1, 1]), model.info.schema, (1, 2))
    whole = BoostedModel(model.info, model.native, model.history, first_data=summary)
    whole.save(tmp_path / "m")
    assert BoostedModel.load(tmp_path / "m").first_data == summary
    assert "first_data.json" in {file.name for file in verified(tmp_path / "m")}
    assert pickle.loads(pickle.dumps(whole)).first_data == summary  # noqa: S301


def test_model_of_the_format_before_is_read(model, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(persistence, "FORMAT_VERSION", 3)
        model.save(tmp_path / "m")
    resealed(tmp_path / "m", lambda content: content.pop("first_data"), version=3)
    again = BoostedModel.load(tmp_path / "m")
    assert again.info == model.info
    assert again.first_data is None


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

    monkeypatch.setattr(Folder, "write", full)
    with pytest.raises(ModelFormatError, match=r"/m cannot be written: .*No space left"):
        model.save(tmp_path / "m")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert BoostedModel.load(tmp_path / "m").native == model.native


def test_earlier_model_is_put_back_if_its_place_cannot_be_taken(model, tmp_path, monkeypatch):
    model.save(tmp_path / "m")
    rename = Path.rename

    def failing(self, target):
        if Path(target).name == "m" and monkeypatch.setattr(Path, "rename", rename) is None:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ModelFormatError, match="Input/output error"):
        model.save(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert BoostedModel.load(tmp_path / "m").native == model.native


def resealed(folder, change, version=FORMAT_VERSION):
    """Change the metadata, with a checksum that fits."""
    file = folder / "metadata.json"
    document = json.loads(file.read_text())
    document["format_version"] = version
    change(document["content"])
    text = json.dumps(document["content"], sort_keys=True, separators=(",", ":"))
    document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "metadata.json").unlink(), "is no saved model: it has no metadata.json"),
        (lambda f: (f / "metadata.json").write_text("{"), "metadata.json is damaged: no JSON"),
        (lambda f: (f / "metadata.json").write_text("[]"), "metadata.json is damaged, or no file"),
        (
            lambda f: (f / "metadata.json").write_text('{"format_version": 5}'),
            "has format 5; this version reads format 4: install a newer",
        ),
        (
            lambda f: (f / "metadata.json").write_text('{"format_version": 2}'),
            "has format 2; this version reads format 4: write it again",
        ),
        (lambda f: flip(f / "metadata.json"), "metadata.json is damaged"),
        (lambda f: resealed(f, lambda c: c.pop("model")), "metadata.json is damaged"),
        (
            lambda f: resealed(f, lambda c: c["native"].update(name="../../etc/passwd")),
            "'../../etc/passwd' is no path within the folder",
        ),
        (
            lambda f: resealed(f, lambda c: c["model"].update(backend="os")),
            "backend 'os' is not known",
        ),
        (lambda f: (f / "history.json").write_text("7"), "history.json is damaged: it has 1 bytes"),
        (lambda f: (f / "model.ubj").unlink(), "model.ubj is missing"),
        (lambda f: flip(f / "model.ubj"), "model.ubj is damaged: its SHA-256 is not"),
    ],
)
def test_damaged_folder_is_refused_by_name(model, tmp_path, damage, message):
    model.save(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(ModelFormatError, match=message) as caught:
        BoostedModel.load(tmp_path / "m")
    assert isinstance(caught.value, BatchTrainingError)


def flip(file):
    """One bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_named_errors_come_out_of_any_metadata(model, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzzed") / "m"
    model.save(folder)
    file = folder / "metadata.json"
    file.write_bytes(hostile(data, file.read_bytes(), FORMAT_VERSION))
    try:
        BoostedModel.load(folder)
    except BatchTrainingError:
        event("refused")


def test_place_that_is_no_local_folder_is_refused(model):
    with pytest.raises(ModelFormatError, match=r"s3://\*\*\*@bucket/m: a model is saved"):
        model.save("s3://AKIA:secret@bucket/m")


def test_what_a_killed_save_has_left_goes_with_the_next(model, tmp_path):
    (tmp_path / f".m.{'0' * 32}").mkdir()
    (tmp_path / ".m.notes").mkdir()
    model.save(tmp_path / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".m.notes", "m"]
